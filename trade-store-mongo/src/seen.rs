//! What this store has seen of the server's time.

use mongodb::bson::Timestamp;
use mongodb::{ClientSession, ClusterTime};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The newest operation time that an answer told. A read is served by a server that is as far, by what a majority has
/// confirmed: so it sees what this store wrote, and what was written before a head that this store holds, and never
/// what an election might undo.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Newest>);

#[derive(Debug, Default)]
struct Newest {
    operation: Option<Timestamp>,
    /// The time of the cluster, as one of its servers signed it. A server that was not told of it refuses to wait for a
    /// time that it has not reached.
    cluster: Option<ClusterTime>,
}

impl Seen {
    /// Learns what the answers in a session told.
    pub(crate) fn learn(&self, session: &ClientSession) {
        let mut newest = self.newest();
        // No time is older than any.
        newest.operation = newest.operation.max(session.operation_time());
        if newest.cluster.as_ref() < session.cluster_time() {
            newest.cluster = session.cluster_time().cloned();
        }
    }

    /// Tells the server of a session, which may not be the one that told.
    pub(crate) fn tell(&self, session: &mut ClientSession) {
        if let Some(time) = &self.newest().cluster {
            session.advance_cluster_time(time);
        }
    }

    /// What a read must have seen.
    pub(crate) fn operation(&self) -> Option<Timestamp> {
        self.newest().operation
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
