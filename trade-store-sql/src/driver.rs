//! How a database is talked to: connections, statements, values and rows.

use crate::dialect::{Dialect, Rendered};
use crate::errors::Errors;
use std::fmt::Debug;
use std::time::Duration;

/// An engine, as far as its connections go.
pub trait Driver: Errors {
    /// A connection; what was begun on it ends with it.
    type Connection: sqlx::Connection + Debug + Send;
    /// How to make one.
    type Options: Debug + Clone + Send + Sync;
    /// A row of an answer.
    type Row: Columns + Send + Sync;

    /// How it words a statement.
    const DIALECT: &'static Dialect;
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
}

/// The columns of a row, by their places: see [`crate::layouts`].
pub trait Columns {
    /// A number.
    ///
    /// # Errors
    /// The driver's, if there is none in this place.
    fn number(&self, at: usize) -> Result<Option<i64>, sqlx::Error>;

    /// A text.
    ///
    /// # Errors
    /// As [`Self::number`].
    fn text(&self, at: usize) -> Result<Option<&str>, sqlx::Error>;

    /// Bytes.
    ///
    /// # Errors
    /// As [`Self::number`].
    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, sqlx::Error>;
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
