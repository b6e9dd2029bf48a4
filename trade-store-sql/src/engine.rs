//! What an engine is to the code that all of them share.

use crate::dialect::{Dialect, Rendered};
use crate::rows::Columns;
use crate::store::SqlStore;
use std::fmt::Debug;
use std::time::Duration;
use trade_core::resource::Sequence;
use trade_core::store::{Commit, Head, Held, StoreError, StoreErrorKind};

/// An engine: how it connects, runs a statement, tells its errors, and commits.
pub trait Engine: Debug + Send + Sync + Sized + 'static {
    /// A connection; what was begun on it ends with it.
    type Connection: sqlx::Connection + Debug + Send;
    /// How to make one.
    type Options: Debug + Clone + Send + Sync;
    /// A row of an answer.
    type Row: Columns + Send + Sync;
    /// What a store of this engine keeps beside its connections.
    type State: Debug + Send + Sync;

    /// What it is called.
    const NAME: &'static str;
    /// How it words a statement.
    const DIALECT: Dialect;
    /// A connection that was idle for longer is tried before it is used: the server may be gone.
    const IDLE_MAX: Option<Duration>;
    /// Reads the server's clock, in milliseconds since 1970.
    const CLOCK: Option<&'static str>;

    /// Makes a connection.
    fn connect(options: &Self::Options)
    -> impl Future<Output = Result<Self::Connection, sqlx::Error>> + Send;

    /// Runs a statement, to the end of its answer.
    fn fetch(
        connection: &mut Self::Connection,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;

    /// Runs a statement, and answers how many rows it changed.
    fn execute(
        connection: &mut Self::Connection,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

    /// What an error asks of the caller, and what it is.
    fn meaning(error: &sqlx::Error) -> (StoreErrorKind, &'static str);

    /// Whether an error says that the server has no room for another connection.
    fn is_full(_error: &sqlx::Error) -> bool {
        false
    }

    /// As [`trade_core::store::Store::commit`].
    fn commit(
        store: &SqlStore<Self>,
        commit: &Commit,
    ) -> impl Future<Output = Result<Head, StoreError>> + Send;

    /// As [`trade_core::store::Store::hold`].
    fn hold(store: &SqlStore<Self>) -> impl Future<Output = Result<Box<dyn Held + '_>, StoreError>> + Send;

    /// As [`trade_core::store::EventLog::changed`].
    fn changed(
        store: &SqlStore<Self>,
        after: Sequence,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether what was read holds, and what is written will be found again, as far as the engine does not see to that by
    /// itself.
    fn check(_state: &Self::State) -> impl Future<Output = Result<(), StoreError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Stops what the state keeps running, and closes what it keeps open, when the connections were closed.
    fn stop(state: &Self::State) -> impl Future<Output = ()> + Send;
}

/// A value that goes into a statement.
#[derive(Debug, Clone)]
pub enum Param<'p> {
    /// A number.
    Int(Option<i64>),
    /// A text.
    Text(Option<&'p str>),
    /// A list of texts, for `{texts:N}`.
    Texts(Vec<&'p str>),
    /// A list of pairs of texts without spaces, for `{pairs:N}`.
    Pairs(Vec<(&'p str, &'p str)>),
    /// A list of numbers, for `{integers:N}`.
    Ints(Vec<i64>),
}

#[cfg(any(feature = "sqlite", feature = "mysql"))]
impl Param<'_> {
    /// A list as JSON, for engines that take it so.
    #[cfg(any(feature = "sqlite", feature = "mysql"))]
    pub(crate) fn json(&self) -> Option<String> {
        let list = match self {
            Self::Int(_) | Self::Text(_) => return None,
            Self::Texts(texts) => serde_json::Value::from_iter(texts.iter().copied()),
            Self::Pairs(pairs) => pairs.iter().map(|(a, b)| serde_json::Value::from_iter([*a, *b])).collect(),
            Self::Ints(numbers) => serde_json::Value::from_iter(numbers.iter().copied()),
        };
        Some(list.to_string())
    }
}

impl From<i64> for Param<'_> {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl<'p> From<&'p str> for Param<'p> {
    fn from(text: &'p str) -> Self {
        Self::Text(Some(text))
    }
}

impl<'p> From<Option<&'p str>> for Param<'p> {
    fn from(text: Option<&'p str>) -> Self {
        Self::Text(text)
    }
}

impl From<Option<i64>> for Param<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}

/// Turns a driver's error of an operation into the store's.
pub(crate) fn classify<E: Engine>(operation: &'static str) -> impl Fn(sqlx::Error) -> StoreError + Copy {
    move |error| {
        let (kind, detail) = E::meaning(&error);
        StoreError::new(kind, E::NAME, operation, detail).caused_by(error)
    }
}
