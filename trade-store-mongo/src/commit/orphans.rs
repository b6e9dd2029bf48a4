//! Transactions that nobody will end.
//!
//! A process that is killed, or cut off, in the middle of a commit leaves its transaction open at the server, which keeps
//! what it changed for it, the head of the log among it, for `transactionLifetimeLimitSeconds`: a minute in which nobody
//! could write, also the process that is started again. So whoever waits for the head for some time looks for open
//! transactions of the same network and the same user that have run nothing for long, and ends them. One whose process
//! still lives loses nothing: its next command is refused as passing, and the service decides its commands again.
//!
//! Both commands are allowed to every user for what is their own:
//! <https://www.mongodb.com/docs/manual/reference/operator/aggregation/currentOp/>,
//! <https://www.mongodb.com/docs/manual/reference/command/killSessions/>.

use crate::link::Link;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Error;
use std::time::Duration;
use tokio::time::Instant;

/// How long the head is waited for before somebody looks.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How long a transaction must have run nothing.
const IDLE_MIN: Duration = Duration::from_millis(1_500);
/// The pause before the next look.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// Who waits for the head, and when they look next.
#[derive(Debug)]
pub(super) struct Watch {
    next: Instant,
}

impl Watch {
    pub(super) fn begin() -> Self {
        Self { next: Instant::now() + PATIENCE }
    }

    /// Ends what is in the way, if it is time to look.
    pub(super) async fn look(&mut self, link: &Link) {
        if Instant::now() < self.next {
            return;
        }
        // Where it fails, the server ends them by itself, later.
        let _ = tokio::time::timeout(link.options.lock_timeout, end_idle(link)).await;
        self.next = Instant::now() + LOOK_PAUSE;
    }
}

async fn end_idle(link: &Link) -> Result<(), Error> {
    let idle = i64::try_from(IDLE_MIN.as_micros()).unwrap_or(i64::MAX);
    let mut own = doc! { "allUsers": false, "idleSessions": true };
    if link.is_sharded {
        // What goes through another mongos is shown only to who may see everybody's.
        own.insert("localOps", true);
    }
    let pipeline = [
        doc! { "$currentOp": own },
        doc! { "$match": {
            "type": "idleSession",
            "appName": &link.app_name,
            "transaction.timeInactiveMicros": { "$gte": idle },
        } },
        doc! { "$project": { "id": "$lsid.id" } },
    ];
    let admin = link.database.client().database("admin");
    let reply =
        admin.run_command(doc! { "aggregate": 1, "pipeline": pipeline.to_vec(), "cursor": {} }).await?;
    let found = reply.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    let id = |session: &Bson| session.as_document()?.get("id").map(|id| doc! { "id": id.clone() });
    let sessions: Vec<Document> =
        found.map(|found| found.iter().filter_map(id).collect()).unwrap_or_default();
    if !sessions.is_empty() {
        admin.run_command(doc! { "killSessions": sessions }).await?;
    }
    Ok(())
}
