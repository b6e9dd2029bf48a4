//! Connections, lent one operation at a time.
//!
//! A connection comes back only from an operation that ended in order. One that was lent to a future that was dropped,
//! or that failed, may hold an open transaction or an unfinished statement: it is closed, which rolls back whatever
//! was open, and the next operation opens another. So no state outlives its operation, however that ended.

use super::classify::{NAME, classify};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};
use trade_core::store::{StoreError, StoreErrorKind};

/// Up to so many connections of one kind.
#[derive(Debug)]
pub(super) struct Lane {
    options: SqliteConnectOptions,
    idle: Mutex<Vec<SqliteConnection>>,
    free: Semaphore,
}

/// A connection for one operation.
#[derive(Debug)]
pub(super) struct Lease<'l> {
    lane: &'l Lane,
    // Dropped before the permit, so that there are never more connections than permits.
    pub(super) connection: SqliteConnection,
    _permit: SemaphorePermit<'l>,
}

impl Lane {
    pub(super) fn new(options: SqliteConnectOptions, connections_max: usize) -> Self {
        Self { options, idle: Mutex::default(), free: Semaphore::new(connections_max) }
    }

    /// Waits for a connection, first come, first served.
    pub(super) async fn lease(&self, operation: &'static str) -> Result<Lease<'_>, StoreError> {
        let closed =
            |_| StoreError::new(StoreErrorKind::Unavailable, NAME, operation, "the store was closed");
        let permit = self.free.acquire().await.map_err(closed)?;
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(classify(operation))?,
        };
        Ok(Lease { lane: self, connection, _permit: permit })
    }

    /// Closes what is idle; what is lent is closed when it comes back.
    pub(super) async fn close(&self) {
        self.free.close();
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            // It holds nothing that could be lost.
            connection.close().await.ok();
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    /// Gives the connection back after an operation that left nothing open.
    pub(super) fn give_back(self) {
        if !self.lane.free.is_closed() {
            self.lane.idle().push(self.connection);
        }
    }
}
