//! The way to the servers: what every command of a store goes by.

use crate::classify::{NAME, classify};
use crate::options::MongoOptions;
use crate::seen::Seen;
use mongodb::bson::doc;
use mongodb::{ClientSession, Database};
use std::fmt;
use std::time::Duration;
use tokio::sync::Mutex;
use trade_core::store::{StoreError, StoreErrorKind};

/// By how much the client outwaits the server, which tells more exactly what happened.
pub(crate) const OUTWAIT: Duration = Duration::from_secs(2);

/// The databases of a store, and how long it waits for them.
pub(crate) struct Link {
    /// By the connections of those who write, load what commands touch, or look where the log ends.
    pub(crate) database: Database,
    /// By those of everybody else: however many read, the others have theirs.
    pub(crate) reading: Database,
    /// What this store's connections are known by at the server.
    pub(crate) app_name: String,
    /// Whether the servers are `mongos`, each of which knows the transactions that go through it.
    pub(crate) is_sharded: bool,
    pub(crate) options: MongoOptions,
    pub(crate) seen: Seen,
    /// Held by whoever of this process writes: they would only meet at the head of the log.
    pub(crate) turn: Mutex<()>,
}

/// Without the driver's options, among which are credentials.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("database", &self.database.name())
            .field("app_name", &self.app_name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// A session for commands that belong together.
    pub(crate) async fn session(&self, operation: &'static str) -> Result<ClientSession, StoreError> {
        // What a read must have seen is said in the command itself.
        let session = self.database.client().start_session().causal_consistency(false).await;
        session.map_err(classify(operation))
    }

    /// Waits for the answer to a command, a little longer than the server may take for it.
    ///
    /// # Errors
    /// `Unavailable` where there is none.
    pub(crate) async fn answered<T>(
        &self,
        operation: &'static str,
        command: impl IntoFuture<Output = T>,
    ) -> Result<T, StoreError> {
        let answer_max = self.options.operation_timeout.saturating_add(OUTWAIT);
        tokio::time::timeout(answer_max, command.into_future()).await.map_err(|_| {
            let detail = "the server did not answer in time";
            StoreError::new(StoreErrorKind::Unavailable, NAME, operation, detail)
        })
    }

    /// The milliseconds that the server may take for a command.
    pub(crate) fn millis_max(&self) -> i64 {
        // 0 would be no limit.
        i64::try_from(self.options.operation_timeout.as_millis())
            .unwrap_or(i64::MAX)
            .clamp(1, i32::MAX.into())
    }

    /// Learns how far the server is: what others committed before is seen by what is read from now on.
    pub(crate) async fn see_now(&self, operation: &'static str) -> Result<(), StoreError> {
        let mut session = self.session(operation).await?;
        let ping = self.database.run_command(doc! { "ping": 1 }).session(&mut session);
        self.answered(operation, ping).await?.map_err(classify(operation))?;
        self.seen.learn(&session);
        Ok(())
    }
}
