//! What the pure parts cost: deciding a trade, a step as a record of the log, an event as JSON.
//!
//! `cargo bench --bench rules`, in the folder `tests/bench`

#![allow(clippy::expect_used)]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use tests::load::Shape;
use trade_core::clock::{Clock, SystemClock};
use trade_core::command::{Command, InitiateTrades};
use trade_core::event::Actor;
use trade_core::rules::{Context, Draft, check, decide};
use trade_core::step::Step;
use trade_core::view::View;

const STATIONS: u64 = 1_000;
const BATCH: u64 = 1_000;

fn context() -> Context {
    let now = SystemClock::new().now();
    Context::new(now, Actor::Anonymous)
}

/// A view of all stations and what they hold.
fn opened(shape: Shape, context: &Context) -> View {
    let mut draft = Draft::new(View::empty());
    for station in 0..shape.stations() {
        let create = Command::CreateStation(shape.opening(station));
        draft.decide(&create, context).expect("a station can be made");
    }
    draft.view
}

fn rules(criterion: &mut Criterion) {
    let (shape, context) = (Shape::spread(STATIONS), context());
    let view = opened(shape, &context);
    let trade = Command::InitiateTrade(shape.trade(0));
    criterion.bench_function("check and decide a trade", |bencher| {
        bencher.iter(|| {
            check(&trade).expect("a valid trade");
            decide(black_box(&view), &trade, &context).expect("there is stock enough")
        });
    });
    let trades = (0..BATCH).map(|number| shape.trade(number)).collect();
    let batch = Command::InitiateTrades(InitiateTrades { trades, atomic: false });
    criterion.bench_function("decide and apply a batch of 1 000 trades", |bencher| {
        bencher.iter_batched(
            || Draft::new(view.clone()),
            |mut draft| {
                draft.decide(&batch, &context).expect("there is stock enough");
                draft
            },
            BatchSize::LargeInput,
        );
    });
}

fn encoders(criterion: &mut Criterion) {
    let (shape, context) = (Shape::spread(STATIONS), context());
    let view = opened(shape, &context);
    let decided = decide(&view, &Command::InitiateTrade(shape.trade(0)), &context);
    let step = decided.expect("there is stock enough").step.expect("a trade is a step");
    let record = step.encode().expect("it can be written");
    criterion.bench_function("Step::encode", |bencher| bencher.iter(|| black_box(&step).encode()));
    criterion.bench_function("Step::decode", |bencher| {
        bencher.iter(|| Step::decode(black_box(&record)).expect("a record can be read"));
    });
    criterion.bench_function("the events of a step", |bencher| bencher.iter(|| black_box(&step).events(1)));
    let events = step.events(1);
    criterion.bench_function("the four events of a trade as JSON", |bencher| {
        bencher.iter(|| serde_json::to_vec(black_box(&events)).expect("events are JSON"));
    });
}

criterion_group!(benches, rules, encoders);
criterion_main!(benches);
