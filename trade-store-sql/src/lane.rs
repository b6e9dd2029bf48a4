//! Connections, lent one operation at a time.
//!
//! A connection comes back only from an operation that ended in order. One that was lent to a future that was dropped,
//! or that failed, may hold an open transaction or an unfinished statement: it is closed, which rolls back whatever
//! was open, and the next operation opens another. So no state outlives its operation, however that ended.

use crate::dialect::Rendered;
use crate::engine::{Engine, Param, classify};
use sqlx::Connection;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use trade_core::store::{StoreError, StoreErrorKind};

/// How long an operation may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a connection, and for one to be made.
    pub(crate) connection: Duration,
    /// For an answer.
    pub(crate) answer: Duration,
}

impl Patience {
    /// As long as it takes: for a file, which cannot go silent.
    #[cfg(feature = "sqlite")]
    pub(crate) const BOUNDLESS: Self = Self { connection: Duration::MAX, answer: Duration::MAX };
}

/// Up to so many connections of one kind.
#[derive(Debug)]
pub(crate) struct Lane<E: Engine> {
    options: E::Options,
    patience: Patience,
    idle: Mutex<Vec<(E::Connection, Instant)>>,
    free: Semaphore,
}

/// A connection for one operation.
#[derive(Debug)]
pub(crate) struct Lease<'l, E: Engine> {
    lane: &'l Lane<E>,
    // Dropped before the permit, so that there are never more connections than permits.
    pub(crate) connection: E::Connection,
    _permit: SemaphorePermit<'l>,
    pub(crate) operation: &'static str,
}

impl<E: Engine> Lane<E> {
    pub(crate) fn new(options: E::Options, connections_max: usize, patience: Patience) -> Self {
        Self { options, patience, idle: Mutex::default(), free: Semaphore::new(connections_max) }
    }

    /// Waits for a connection, first come, first served.
    pub(crate) async fn lease(&self, operation: &'static str) -> Result<Lease<'_, E>, StoreError> {
        let unavailable = |detail| StoreError::new(StoreErrorKind::Unavailable, E::NAME, operation, detail);
        let waited = timeout(self.patience.connection, self.free.acquire()).await;
        let permit = waited
            .map_err(|_| unavailable("all connections are in use"))?
            .map_err(|_| unavailable("the store was closed"))?;
        let connection = match self.idle_connection().await {
            Some(connection) => connection,
            None => timeout(self.patience.connection, E::connect(&self.options))
                .await
                .map_err(|_| unavailable("no connection could be made in time"))?
                .map_err(classify::<E>(operation))?,
        };
        Ok(Lease { lane: self, connection, _permit: permit, operation })
    }

    async fn idle_connection(&self) -> Option<E::Connection> {
        let (mut connection, since) = self.idle().pop()?;
        if E::IDLE_MAX.is_none_or(|max| since.elapsed() < max) {
            return Some(connection);
        }
        match timeout(self.patience.answer, connection.ping()).await {
            Ok(Ok(())) => Some(connection),
            _ => {
                // Where one has died, those that were idle for longer have too.
                self.idle().clear();
                None
            }
        }
    }

    /// Closes what is idle; what is lent is closed when it comes back.
    pub(crate) async fn close(&self) {
        self.free.close();
        let idle = std::mem::take(&mut *self.idle());
        for (connection, _) in idle {
            // It holds nothing that could be lost.
            let _ = timeout(self.patience.answer, connection.close()).await;
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(E::Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Engine> Lease<'_, E> {
    /// Runs a statement, to the end of its answer.
    pub(crate) async fn fetch(
        &mut self,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> Result<Vec<E::Row>, StoreError> {
        let answer = E::fetch(&mut self.connection, text, parameters);
        answered::<E, _>(self.lane.patience, self.operation, answer).await
    }

    /// Runs a statement, and answers how many rows it changed.
    pub(crate) async fn execute(
        &mut self,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> Result<u64, StoreError> {
        let answer = E::execute(&mut self.connection, text, parameters);
        answered::<E, _>(self.lane.patience, self.operation, answer).await
    }

    /// How long an answer may take.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn answer_max(&self) -> Duration {
        self.lane.patience.answer
    }

    /// Gives the connection back after an operation that left nothing open.
    pub(crate) fn give_back(self) {
        if !self.lane.free.is_closed() {
            self.lane.idle().push((self.connection, Instant::now()));
        }
    }
}

async fn answered<E: Engine, T>(
    patience: Patience,
    operation: &'static str,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match timeout(patience.answer, answer).await {
        Ok(answer) => answer.map_err(classify::<E>(operation)),
        Err(_) => {
            let detail = "the server did not answer in time";
            Err(StoreError::new(StoreErrorKind::Unavailable, E::NAME, operation, detail))
        }
    }
}
