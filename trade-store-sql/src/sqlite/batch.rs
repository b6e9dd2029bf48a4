//! Statements that write many rows, and several of them at once.
//!
//! A statement costs a message to the connection's thread and back, more than what it does to one row. So rows are
//! written by the dozen, in a few fixed shapes, which the connection keeps prepared; and where all rows of a commit
//! are few, their statements go as one text.

use crate::rows::stored;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, Type};

/// Rows per statement, largest first.
const SHAPES: [usize; 4] = [256, 32, 4, 1];

/// A statement over a list of rows, each `(?, …)`.
#[derive(Debug)]
pub(super) struct RowStatement {
    before: &'static str,
    columns: usize,
    after: &'static str,
}

impl RowStatement {
    pub(super) const fn new(before: &'static str, columns: usize, after: &'static str) -> Self {
        Self { before, columns, after }
    }

    /// The statement in each of its shapes.
    #[cfg(test)]
    pub(super) fn every_text(&self) -> impl Iterator<Item = String> {
        SHAPES.into_iter().map(|rows| {
            let mut text = String::new();
            self.write(&mut text, rows);
            text
        })
    }

    /// Only constant text goes into it.
    fn write(&self, text: &mut String, rows: usize) {
        text.push_str(self.before);
        for row in 0..rows {
            text.push_str(if row == 0 { " (?" } else { ",(?" });
            text.extend(std::iter::repeat_n(",?", self.columns - 1));
            text.push(')');
        }
        text.push_str(self.after);
        text.push(';');
    }
}

/// Statements that are run one after the other, each of whose rows is expected to change one row.
#[derive(Debug)]
pub(super) struct Script {
    joined: bool,
    parts: Vec<(String, RowValues)>,
    /// How many rows it is to insert or change.
    pub(super) rows: u64,
}

impl Script {
    /// A script of one text, for few rows, or of one a statement.
    pub(super) fn new(joined: bool) -> Self {
        Self { joined, parts: Vec::new(), rows: 0 }
    }

    /// Adds a statement over some rows.
    pub(super) fn add<T>(&mut self, statement: &RowStatement, rows: &[T], bind: impl Fn(&mut RowValues, &T)) {
        let mut rest = rows;
        while !rest.is_empty() {
            let size = SHAPES.into_iter().find(|size| *size <= rest.len()).unwrap_or(1);
            let (chunk, later) = rest.split_at(size);
            if !self.joined || self.parts.is_empty() {
                self.parts.push((String::new(), RowValues::with_capacity(size * statement.columns)));
            }
            if let Some((text, values)) = self.parts.last_mut() {
                statement.write(text, size);
                chunk.iter().for_each(|row| bind(values, row));
            }
            rest = later;
        }
        self.rows += rows.len() as u64;
    }

    /// Runs it, and answers how many rows were inserted or changed.
    pub(super) async fn run(self, connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
        let mut changed = 0;
        for (text, values) in self.parts {
            let arguments = values.0.map_err(sqlx::Error::Encode)?;
            let query = sqlx::query_with(AssertSqlSafe(text), arguments);
            changed += query.execute(&mut *connection).await?.rows_affected();
        }
        Ok(changed)
    }
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

    /// A quantity, a version, a sequence.
    pub(super) fn number(&mut self, value: u64) -> &mut Self {
        self.add(stored(value))
    }
}
