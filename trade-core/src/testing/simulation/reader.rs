//! Who reads the feed, whatever becomes of the process that serves it.

use super::network::Network;
use crate::event::{Event, EventFilter};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A subscriber from the beginning on.
#[derive(Debug)]
pub(super) struct Reader {
    heard: Heard,
    task: JoinHandle<()>,
}

type Heard = Arc<Mutex<Vec<Event>>>;

impl Reader {
    pub(super) fn start(network: Arc<Network>, place: usize) -> Self {
        let heard = Heard::default();
        Self { task: tokio::spawn(read(network, heard.clone(), place)), heard }
    }

    /// What was heard until now.
    pub(super) fn end(self) -> Vec<Event> {
        self.task.abort();
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads at a process, and goes on at the next one when it is cut off.
async fn read(network: Arc<Network>, heard: Heard, first: usize) {
    let heard = || heard.lock().unwrap_or_else(PoisonError::into_inner);
    for place in first.. {
        let process = network.at(place);
        let position = heard().last().map_or(0, |event| event.sequence);
        let mut subscription = process.service.bus().subscribe(Some(position), EventFilter::default());
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
