//! What the handles of one store tell each other.

use crate::resource::Sequence;
use crate::store::LogRecord;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// Shows the steps that some handle said last it was about to commit.
#[derive(Debug)]
pub(super) struct Board {
    newest: watch::Sender<Notice>,
    handles: Mutex<usize>,
}

#[derive(Debug, Default)]
struct Notice {
    by: usize,
    log: Vec<LogRecord>,
}

impl Default for Board {
    fn default() -> Self {
        Self { newest: watch::Sender::new(Notice::default()), handles: Mutex::default() }
    }
}

impl Board {
    /// The number of a new handle.
    pub(super) fn join(&self) -> usize {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        *handles += 1;
        *handles
    }

    pub(super) fn tell(&self, by: usize, log: Vec<LogRecord>) {
        self.newest.send_replace(Notice { by, log });
    }

    /// Waits until another handle tells of what follows a sequence.
    pub(super) async fn foretold(&self, to: usize, after: Sequence) -> Vec<LogRecord> {
        let mut newest = self.newest.subscribe();
        let follows = |notice: &Notice| {
            notice.by != to && notice.log.first().is_some_and(|record| record.first() == after + 1)
        };
        let told = newest.wait_for(follows).await.ok().map(|notice| notice.log.clone());
        match told {
            Some(log) => log,
            // Nobody is left to tell.
            None => std::future::pending().await,
        }
    }
}
