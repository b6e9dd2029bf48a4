//! Whoever follows a request finds it from its caller's span to the commit, and to when subscribers can have its events.

// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

use std::fmt;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Instrument, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use trade_core::cause::{Cause, TraceParent};
use trade_core::command::{CreateStation, Request};
use trade_core::memory::MemoryStore;
use trade_core::service::TradeService;

/// What was told, in order, each as text.
#[derive(Default, Clone)]
struct Told(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Told {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut text = Text(format!("span {}", context.span(id).unwrap().name()));
        attributes.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn on_follows_from(&self, span: &Id, follows: &Id, context: Context<'_, S>) {
        let [span, follows] = [span, follows].map(|id| context.span(id).unwrap().name());
        self.0.lock().unwrap().push(format!("{span} follows {follows}"));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_request_is_followed_from_its_caller_to_its_subscribers() {
    let told = Told::default();
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(told.clone()));
    let service = TradeService::start(Arc::new(MemoryStore::new())).await.unwrap();
    let trace_parent = TraceParent::new([1; 16], [2; 8], 1).unwrap();
    let cause = Cause { trace_parent: Some(trace_parent), ..Cause::default() };
    let station = Request::new(CreateStation::new("ceres".try_into().unwrap())).caused_by(cause);
    service.submit(station).instrument(tracing::info_span!("caller")).await.unwrap();
    service.shutdown().await;
    let told = told.0.lock().unwrap();
    let place =
        |text: &str| told.iter().position(|told| told.contains(text)).unwrap_or_else(|| panic!("{told:?}"));
    let order = [
        place("span caller"),
        place("span commit commands=1 last=1"),
        place("commit follows caller"),
        place(&format!("traceparent={trace_parent}")),
    ];
    assert!(order.is_sorted(), "{told:?}");
}
