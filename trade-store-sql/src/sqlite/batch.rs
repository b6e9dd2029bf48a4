//! Statements that write many rows, and several of them at once.
//!
//! A statement costs a message to the connection's thread and back, more than what it does to many rows. So rows are
//! written by the hundred, in a few fixed shapes, which the connection keeps prepared: the places that are left in a
//! shape stay NULL, and are passed over. Where all rows of a commit are few, their statements go as one text.

use crate::rows::stored;
use futures::TryStreamExt;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe, Encode, Executor, Sqlite, Type};
use std::sync::{Arc, OnceLock};

/// Places for rows in a statement.
const SHAPES: [usize; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// A statement over a list of rows, each `(?, …)`, whose first column is never NULL.
#[derive(Debug)]
pub(super) struct RowStatement {
    before: &'static str,
    columns: usize,
    after: &'static str,
    /// Its text in each shape, once it was asked for.
    texts: [OnceLock<Arc<str>>; SHAPES.len()],
}

impl RowStatement {
    /// `before` ends where the list is read from, `after` is what follows the condition on its rows, which are `v`.
    pub(super) const fn new(before: &'static str, columns: usize, after: &'static str) -> Self {
        Self { before, columns, after, texts: [const { OnceLock::new() }; SHAPES.len()] }
    }

    /// The statement in each of its shapes.
    #[cfg(test)]
    pub(super) fn every_text(&self) -> impl Iterator<Item = &str> {
        (0..SHAPES.len()).map(|shape| &**self.text(shape))
    }

    /// Only constant text goes into it.
    fn text(&self, shape: usize) -> &Arc<str> {
        self.texts[shape].get_or_init(|| {
            let row = format!("(?{})", ",?".repeat(self.columns - 1));
            let rows = vec![row.as_str(); SHAPES[shape]].join(",");
            format!("{} (VALUES {rows}) v WHERE v.column1 IS NOT NULL {};", self.before, self.after).into()
        })
    }
}

/// Statements that are run one after the other, each of whose rows is expected to change one row.
#[derive(Debug)]
pub(super) struct Script {
    joined: bool,
    parts: Vec<(Text, RowValues)>,
    /// How many rows it is to insert or change.
    rows: u64,
}

#[derive(Debug)]
enum Text {
    Shared(Arc<str>),
    Own(String),
}

impl Script {
    /// A script of one text a statement.
    pub(super) fn new() -> Self {
        Self { joined: false, parts: Vec::new(), rows: 0 }
    }

    /// A script of one text, for few rows, that begins with a statement that changes none.
    pub(super) fn joined(first: &str) -> Self {
        Self { joined: true, parts: vec![(Text::Own(first.into()), RowValues::with_capacity(0))], rows: 0 }
    }

    /// Adds a statement over some rows.
    pub(super) fn add<T>(&mut self, statement: &RowStatement, rows: &[T], bind: impl Fn(&mut RowValues, &T)) {
        for chunk in rows.chunks(SHAPES[SHAPES.len() - 1]) {
            let shape = SHAPES.partition_point(|places| *places < chunk.len());
            let text = statement.text(shape);
            match self.parts.last_mut() {
                Some((Text::Own(joined), values)) if self.joined => {
                    joined.push_str(text);
                    chunk.iter().for_each(|row| bind(values, row));
                    // What follows is bound by its place.
                    for _ in 0..(SHAPES[shape] - chunk.len()) * statement.columns {
                        values.add(None::<i64>);
                    }
                }
                _ => {
                    // What is not bound is NULL.
                    let mut values = RowValues::with_capacity(chunk.len() * statement.columns);
                    chunk.iter().for_each(|row| bind(&mut values, row));
                    self.parts.push((Text::Shared(text.clone()), values));
                }
            }
        }
        self.rows += rows.len() as u64;
    }

    /// Runs it, and answers whether each of its rows inserted or changed one, as it should.
    pub(super) async fn run(self, connection: &mut SqliteConnection) -> Result<Written, sqlx::Error> {
        let mut changed = 0;
        for (text, values) in self.parts {
            let arguments = values.0.map_err(sqlx::Error::Encode)?;
            let query = match text {
                Text::Shared(text) => sqlx::query_with(AssertSqlSafe(text), arguments),
                Text::Own(text) => sqlx::query_with(AssertSqlSafe(text), arguments),
            };
            if self.joined {
                // The first statement changes nothing, and SQLite counts for it what the one before it did.
                let mut results = connection.fetch_many(query);
                results.try_next().await?;
                while let Some(result) = results.try_next().await? {
                    changed += result.left().map_or(0, |done| done.rows_affected());
                }
            } else {
                changed += query.execute(&mut *connection).await?.rows_affected();
            }
        }
        Ok(Written { changed, expected: self.rows })
    }
}

/// How many rows a script changed, and should have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) changed: u64,
    pub(super) expected: u64,
}

/// The values of some rows, in column order.
#[derive(Debug)]
pub(super) struct RowValues(Result<SqliteArguments, BoxDynError>);

impl RowValues {
    fn with_capacity(values: usize) -> Self {
        let mut arguments = SqliteArguments::default();
        arguments.reserve(values, 0);
        Self(Ok(arguments))
    }

    /// The first value that cannot be encoded is told when the statement runs.
    pub(super) fn add<'v, T: Encode<'v, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> &mut Self {
        if let Ok(arguments) = &mut self.0
            && let Err(error) = arguments.add(value)
        {
            self.0 = Err(error);
        }
        self
    }

    /// An id, shared and not copied.
    pub(super) fn text<'i, I>(&mut self, id: &'i I) -> &mut Self
    where
        Arc<str>: From<&'i I>,
    {
        self.add(Arc::<str>::from(id))
    }

    /// A quantity, a version, a sequence.
    pub(super) fn number(&mut self, value: u64) -> &mut Self {
        self.add(stored(value))
    }
}
