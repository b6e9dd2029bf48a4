//! What this store has seen of the server's time.

use mongodb::bson::Timestamp;
use std::sync::{Mutex, PoisonError};

/// The newest operation time that an answer told. A read is served by a server that is as far, by what a majority has
/// confirmed: so it sees what this store wrote, and what was written before a head that this store holds, and never
/// what an election might undo.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Option<Timestamp>>);

impl Seen {
    /// Learns a time from an answer.
    pub(crate) fn advance(&self, time: Option<Timestamp>) {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // No time is older than any.
        *newest = (*newest).max(time);
    }

    /// What a read must have seen.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
