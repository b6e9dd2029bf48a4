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
    /// Whether it served before.
    reused: bool,
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
        let idle = self.idle_connection().await;
        let reused = idle.is_some();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connection(operation).await?,
        };
        Ok(Lease { lane: self, connection, reused, _permit: permit, operation })
    }

    /// Runs one statement that only reads; once more where its connection was cut while nobody used it.
    pub(crate) async fn read(
        &self,
        operation: &'static str,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> Result<Vec<E::Row>, StoreError> {
        let mut lease = self.lease(operation).await?;
        let found = match lease.fetch(text, parameters).await {
            Err(error) => lease.renew_after(error).await?.fetch(text, parameters).await?,
            Ok(found) => found,
        };
        lease.give_back();
        Ok(found)
    }

    async fn connection(&self, operation: &'static str) -> Result<E::Connection, StoreError> {
        timeout(self.patience.connection, E::connect(&self.options))
            .await
            .map_err(|_| {
                let detail = "no connection could be made in time";
                StoreError::new(StoreErrorKind::Unavailable, E::NAME, operation, detail)
            })?
            .map_err(classify::<E>(operation))
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

    /// After the first statement of an operation failed: a new connection, where the old one was cut since it was last
    /// used, as it is when the server was restarted. For statements that only read.
    ///
    /// # Errors
    /// `error`, where it was something else.
    pub(crate) async fn renew_after(&mut self, error: StoreError) -> Result<&mut Self, StoreError> {
        if !self.reused || !is_cut(&error) {
            return Err(error);
        }
        self.reused = false;
        self.lane.idle().clear();
        self.connection = self.lane.connection(self.operation).await?;
        Ok(self)
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

/// Whether the connection itself is what failed.
fn is_cut(error: &StoreError) -> bool {
    match error.source.as_deref().and_then(|source| source.downcast_ref()) {
        Some(sqlx::Error::Io(_)) => true,
        // A session that the server ended with its own last words.
        Some(sqlx::Error::Database(error)) => {
            error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
        }
        _ => false,
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
