//! Connections, lent one operation at a time.
//!
//! A connection comes back only from an operation that ended in order. One that was lent to a future that was dropped,
//! or that failed, may hold an open transaction or an unfinished statement: it is closed, which rolls back whatever
//! was open, and the next operation opens another. So no state outlives its operation, however that ended.

use crate::dialect::Rendered;
use crate::driver::{Driver, Param};
use crate::errors::classify;
use crate::places::{Places, Used};
use crate::telemetry;
use metrics::Histogram;
use sqlx::Connection;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use trade_core::store::{StoreError, StoreErrorKind};

/// Before a connection is tried again that the server had no room for: it takes a moment to notice that one was closed.
const ROOM_PAUSE: Duration = Duration::from_millis(50);
/// How often the only connection of readers is tried.
const ROOM_TRIES: u32 = 20;

/// How long an operation may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a connection, and for one to be made.
    pub(crate) connection: Duration,
    /// For an answer.
    pub(crate) answer: Duration,
    /// For somebody who uses a reader's connection.
    pub(crate) idle: Duration,
}

impl Patience {
    /// As long as it takes: for a file, which cannot go silent.
    #[cfg(feature = "sqlite")]
    pub(crate) const BOUNDLESS: Self =
        Self { connection: Duration::MAX, answer: Duration::MAX, idle: Duration::MAX };
}

/// Up to so many connections of one kind.
#[derive(Debug)]
pub(crate) struct Lane<E: Driver> {
    options: E::Options,
    patience: Patience,
    places: Arc<Places<E>>,
    rank: Rank<E>,
    waited: Histogram,
}

/// Which connections of a server are made first.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "postgres", feature = "mysql")),
    expect(dead_code, reason = "files have one rank")
)]
pub(crate) enum Rank<E: Driver> {
    /// Those of a file: there are always enough.
    #[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "servers have ranks"))]
    Equal,
    /// They are made before all others of the order, and kept.
    First(Arc<Order<E>>),
    /// They are made where all of the first are there, and given up where one of those cannot be made, or when nobody
    /// uses them.
    Later(Arc<Order<E>>),
    /// The same, at a server without first ones.
    Elsewhere,
}

/// The lanes of one server, by rank.
///
/// A server has room for so many connections, and readers would take all of it: then nothing could be written any more.
/// So before a reader makes a connection, those of the first lanes that were lost are made again; and where the server
/// has no room for one of these, readers give up theirs.
#[derive(Debug)]
pub(crate) struct Order<E: Driver> {
    first: [Arc<Places<E>>; 3],
    later: Arc<Places<E>>,
    /// Held by whoever makes one of the first.
    door: tokio::sync::Mutex<()>,
}

impl<E: Driver> Order<E> {
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn new(first: [Arc<Places<E>>; 3], later: Arc<Places<E>>) -> Arc<Self> {
        Arc::new(Self { first, later, door: tokio::sync::Mutex::default() })
    }
}

/// Whose connection is given up for one that cannot be done without.
enum Room<'o, E: Driver> {
    OfReaders(&'o Order<E>),
    /// Of whoever hears of a lack; so many tries are left.
    OfWhoCanDoWithout(u32),
}

/// A connection for one operation.
#[derive(Debug)]
pub(crate) struct Lease<'l, E: Driver> {
    lane: &'l Lane<E>,
    // Dropped before its place, so that there are never more connections than places.
    pub(crate) connection: E::Connection,
    /// Whether it served before.
    reused: bool,
    _used: Used<'l, E>,
    pub(crate) operation: &'static str,
}

impl<E: Driver> Lane<E> {
    pub(crate) fn new(
        options: E::Options,
        patience: Patience,
        places: Arc<Places<E>>,
        rank: Rank<E>,
    ) -> Self {
        Self { options, patience, places, rank, waited: telemetry::wait(E::NAME) }
    }

    /// Where its connections are.
    #[cfg(feature = "postgres")]
    pub(crate) fn places(&self) -> Arc<Places<E>> {
        self.places.clone()
    }

    /// Waits for a connection, first come, first served.
    pub(crate) async fn lease(&self, operation: &'static str) -> Result<Lease<'_, E>, StoreError> {
        let unavailable = |detail| StoreError::new(StoreErrorKind::Unavailable, E::NAME, operation, detail);
        let begun = Instant::now();
        let taken = timeout(self.patience.connection, self.take(operation)).await;
        self.waited.record(begun.elapsed());
        taken
            .unwrap_or_else(|_| Err(unavailable("no connection was free, nor could one be made in time")))?
            .ok_or_else(|| unavailable("the store was closed"))
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
            Err(error) => {
                lease = lease.renew_after(error).await?;
                lease.fetch(text, parameters).await?
            }
            Ok(found) => found,
        };
        lease.give_back();
        Ok(found)
    }

    /// Finds out whether a connection can be had, where a place is free for one. Where none is, all are used.
    pub(crate) async fn prove(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.places.try_take().is_some() {
            self.lease(operation).await?.give_back();
        }
        Ok(())
    }

    /// None where the lane is closed.
    async fn take(&self, operation: &'static str) -> Result<Option<Lease<'_, E>>, StoreError> {
        loop {
            let Some(place) = self.places.take().await else { return Ok(None) };
            if matches!(self.rank, Rank::Later(_) | Rank::Elsewhere) {
                self.places.close_unused(self.patience.idle);
            }
            let idle = self.idle_connection(&self.places).await;
            let reused = idle.is_some();
            let connection = match idle {
                Some((connection, _)) => Some(connection),
                None => self.connection().await.map_err(classify::<E>(operation))?,
            };
            let Some(connection) = connection else {
                // The others of this lane have to do: one of them is waited for.
                self.places.abandon(place);
                continue;
            };
            let used = self.places.used(place);
            return Ok(Some(Lease { lane: self, connection, reused, _used: used, operation }));
        }
    }

    /// Makes a connection. None where the server has no room for it, and there are others in this lane.
    async fn connection(&self) -> Result<Option<E::Connection>, sqlx::Error> {
        match &self.rank {
            Rank::Equal => E::connect(&self.options).await.map(Some),
            Rank::First(order) => {
                let _door = order.door.lock().await;
                self.first_connection(order).await.map(Some)
            }
            Rank::Later(order) => {
                self.keep_first(order).await?;
                self.connection_if_there_is_room().await
            }
            Rank::Elsewhere => self.connection_if_there_is_room().await,
        }
    }

    /// Makes every connection of the first lanes that was lost. What is used now is there.
    async fn keep_first(&self, order: &Order<E>) -> Result<(), sqlx::Error> {
        let _door = order.door.lock().await;
        for places in &order.first {
            let Some(_place) = places.try_take() else { continue };
            let (connection, used_at) = match self.idle_connection(places).await {
                Some(idle) => idle,
                None => (self.first_connection(order).await?, Instant::now()),
            };
            places.push(connection, used_at);
        }
        Ok(())
    }

    /// Makes a connection of a first lane, whatever readers have to give up for it.
    async fn first_connection(&self, order: &Order<E>) -> Result<E::Connection, sqlx::Error> {
        self.connection_by(Room::OfReaders(order)).await
    }

    /// Makes one of the readers' connections, or None where others have to do. They need one.
    async fn connection_if_there_is_room(&self) -> Result<Option<E::Connection>, sqlx::Error> {
        if self.places.is_single() {
            return self.connection_by(Room::OfWhoCanDoWithout(ROOM_TRIES)).await.map(Some);
        }
        match timeout(self.patience.connection / 2, E::connect(&self.options)).await {
            Ok(Ok(connection)) => Ok(Some(connection)),
            Ok(Err(error)) if !E::is_full(&error) => Err(error),
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }

    /// Makes a connection that cannot be done without: where the server has no room for it, others give up theirs.
    async fn connection_by(&self, mut room: Room<'_, E>) -> Result<E::Connection, sqlx::Error> {
        let mut made = Box::pin(E::connect(&self.options));
        loop {
            tokio::select! {
                result = &mut made => match result {
                    Err(error) if E::is_full(&error) => {
                        if !self.make_room(&mut room).await {
                            return Err(error);
                        }
                        sleep(ROOM_PAUSE).await;
                        made = Box::pin(E::connect(&self.options));
                    }
                    result => return result,
                },
                // What stands between the store and the server may let whoever comes wait until another one leaves.
                () = sleep(self.patience.connection / 2) => {
                    self.make_room(&mut room).await;
                }
            }
        }
    }

    /// Answers whether it is worth trying again.
    async fn make_room(&self, room: &mut Room<'_, E>) -> bool {
        match room {
            Room::OfReaders(order) => order.later.make_room(0).await,
            Room::OfWhoCanDoWithout(tries) => {
                self.places.tell_lack();
                *tries = tries.saturating_sub(1);
                *tries > 0
            }
        }
    }

    /// A connection that nobody uses, if it still is one, and when it was known to be.
    async fn idle_connection(&self, places: &Places<E>) -> Option<(E::Connection, Instant)> {
        let (mut connection, used_at) = places.pop()?;
        if E::IDLE_MAX.is_none_or(|max| used_at.elapsed() < max) {
            return Some((connection, used_at));
        }
        match timeout(self.patience.answer, connection.ping()).await {
            Ok(Ok(())) => Some((connection, Instant::now())),
            _ => {
                // Where one has died, those that were idle for longer have too.
                places.clear();
                None
            }
        }
    }

    /// Closes what is idle; what is lent is closed when it comes back.
    pub(crate) async fn close(&self) {
        self.places.close().await;
    }
}

impl<'l, E: Driver> Lease<'l, E> {
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

    /// After the first statement of an operation failed: another connection, where the old one was cut since it was last
    /// used, as it is when the server was restarted. For statements that only read.
    ///
    /// # Errors
    /// `error`, where it was something else.
    pub(crate) async fn renew_after(self, error: StoreError) -> Result<Self, StoreError> {
        if !self.reused || !is_cut(&error) {
            return Err(error);
        }
        let (lane, operation) = (self.lane, self.operation);
        // Its place is free for whoever waits.
        drop(self);
        lane.places.clear();
        lane.lease(operation).await
    }

    /// How long an answer may take.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn answer_max(&self) -> Duration {
        self.lane.patience.answer
    }

    /// Gives the connection back after an operation that left nothing open.
    pub(crate) fn give_back(self) {
        self.lane.places.push(self.connection, Instant::now());
    }
}

/// Whether the connection itself is what failed.
fn is_cut(error: &StoreError) -> bool {
    match error.source.as_deref().and_then(|source| source.downcast_ref()) {
        Some(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => true,
        // A session that the server ended with its own last words.
        Some(sqlx::Error::Database(error)) => {
            error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
        }
        _ => false,
    }
}

async fn answered<E: Driver, T>(
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
