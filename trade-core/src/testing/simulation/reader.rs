//! Who reads the feed, whatever becomes of the process that serves it.

use super::network::Network;
use crate::event::{Event, EventFilter};
use crate::policy::Principal;
use crate::values::Scope;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A subscriber from the beginning on.
#[derive(Debug)]
pub(super) struct Reader {
    /// What it may see.
    pub(super) scope: Scope,
    heard: Heard,
    task: JoinHandle<()>,
}

type Heard = Arc<Mutex<Vec<Event>>>;

impl Reader {
    /// Of the owner of the network, or of somebody else.
    pub(super) fn start(network: Arc<Network>, place: usize, principal: Option<Principal>) -> Self {
        let heard = Heard::default();
        let session = principal.clone().map(|principal| network.at(place).service.session(principal));
        let scope = session.map_or(Scope::All, |session| session.scope().clone());
        Self { scope, task: tokio::spawn(read(network, heard.clone(), place, principal)), heard }
    }

    /// What was heard until now.
    pub(super) fn end(self) -> Vec<Event> {
        self.task.abort();
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads at a process, and goes on at the next one when it is cut off.
async fn read(network: Arc<Network>, heard: Heard, first: usize, principal: Option<Principal>) {
    let heard = || heard.lock().unwrap_or_else(PoisonError::into_inner);
    for place in first.. {
        let process = network.at(place);
        let position = heard().last().map_or(0, |event| event.sequence);
        let (after, filter) = (Some(position), EventFilter::default());
        let mut subscription = match &principal {
            None => process.service.bus().subscribe(after, filter),
            Some(principal) => process.service.session(principal.clone()).subscribe(after, filter),
        };
        loop {
            let next = tokio::select! {
                biased;
                () = process.store.ended() => break,
                next = subscription.next() => next,
            };
            match next {
                Ok(Some(event)) => heard().push(event.event().clone()),
                Ok(None) => break,
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
        let position = subscription.position();
        network.sea.trace.note(format_args!("a reader is cut off by {} at {position}", process.number));
        drop((subscription, process));
        sleep(Duration::from_millis(1)).await;
    }
}
