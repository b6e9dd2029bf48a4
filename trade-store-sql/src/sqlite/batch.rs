//! Statements that write many rows, and several of them at once.
//!
//! A statement costs a message to the connection's thread and back, more than what it does to many rows. So rows are
//! written by the hundred, in a few fixed shapes, which the connection keeps prepared: the places that are left in a
//! shape stay NULL, and are passed over. Where all rows of a commit are few, their statements go as one text.

use crate::commit::{Cell, RowSet, Shape, Sink, Written};
use crate::rows::VERSION;
use crate::rows::stored;
use futures::TryStreamExt;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe, Executor};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use trade_core::store::Head;

/// Places for rows in a statement.
const SHAPES: [usize; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// The text of a set of rows in a shape, once it was asked for.
static TEXTS: [[OnceLock<Arc<str>>; SHAPES.len()]; RowSet::ALL.len()] =
    [const { [const { OnceLock::new() }; SHAPES.len()] }; RowSet::ALL.len()];

/// Only constant text goes into it.
fn text(set: RowSet, shape: usize) -> &'static Arc<str> {
    TEXTS[set as usize][shape].get_or_init(|| {
        let columns = set.shape().columns.len();
        let row = format!("(?{})", ",?".repeat(columns - 1));
        let rows = vec![row.as_str(); SHAPES[shape]].join(",");
        statement(set.shape(), &format!("(VALUES {rows})")).into()
    })
}

/// The statement that writes rows, the first value of each of which is never NULL.
fn statement(shape: &Shape, rows: &str) -> String {
    let Shape { table, columns, written } = shape;
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let insert = || {
        format!(
            "INSERT OR FAIL INTO {table} ({}) SELECT * FROM {rows} v WHERE v.column1 IS NOT NULL",
            names.join(", ")
        )
    };
    let update = |key: usize, columns: &[&str]| {
        let set = columns.iter().zip(key + 1..).map(|(name, place)| format!("{name} = v.column{place}"));
        let found =
            names[..key].iter().zip(1..).map(|(name, place)| format!("{table}.{name} = v.column{place}"));
        let (set, found) = (set.collect::<Vec<_>>().join(", "), found.collect::<Vec<_>>().join(" AND "));
        format!("UPDATE OR FAIL {table} SET {set} FROM {rows} v WHERE v.column1 IS NOT NULL AND {found}")
    };
    match written {
        Written::Inserted => format!("{};", insert()),
        Written::Replaced { key } => {
            let (key, others) = names.split_at(*key);
            let others: Vec<_> = others.iter().map(|name| format!("{name} = excluded.{name}")).collect();
            format!("{} ON CONFLICT ({}) DO UPDATE SET {};", insert(), key.join(", "), others.join(", "))
        }
        Written::Changed { key } => format!("{};", update(*key, &names[*key..])),
        Written::ChangedFrom { version } => {
            let expected = names.len();
            format!("{} AND {table}.{version} = v.column{expected};", update(1, &names[1..expected - 1]))
        }
    }
}

/// A set's statement in each of its shapes.
#[cfg(test)]
pub(super) fn every_text(set: RowSet) -> impl Iterator<Item = &'static str> {
    (0..SHAPES.len()).map(move |shape| &**text(set, shape))
}

/// The head, found where a commit expects it: the table's check refuses any other.
const HEAD_FROM: &str = "UPDATE OR FAIL tn_head SET \
    sequence = CASE WHEN sequence = ? AND time = ? AND format = ? THEN ? ELSE -1 END, time = ? WHERE one = 1;";

/// Whether the statement before it changed as many rows as it should have: the table's check refuses anything else.
const WHOLE: &str =
    "UPDATE OR FAIL tn_head SET sequence = CASE WHEN changes() = ? THEN sequence ELSE -1 END WHERE one = 1;";

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
    Shared(&'static Arc<str>),
    Own(String),
}

impl Script {
    /// A script of one text a statement.
    pub(super) fn new() -> Self {
        Self { joined: false, parts: Vec::new(), rows: 0 }
    }

    /// A script of one text, for few rows: a whole transaction that moves the head, if that is where it is expected, and
    /// looks itself whether every row it changes was found.
    pub(super) fn transaction(from: Head, to: Head) -> Self {
        let [from, from_time, to, to_time] =
            [stored(from.sequence), from.time.millis(), stored(to.sequence), to.time.millis()];
        let mut values = RowValues::with_capacity(5);
        for number in [from, from_time, stored(VERSION as u64), to, to_time] {
            values.add(Cell::Int(Some(number)));
        }
        Self {
            joined: true,
            parts: vec![(Text::Own(format!("BEGIN IMMEDIATE;{HEAD_FROM}")), values)],
            rows: 0,
        }
    }

    /// Runs a transaction to its end. An error comes with whether it had begun.
    pub(super) async fn run_whole(
        self,
        connection: &mut SqliteConnection,
    ) -> Result<(), (sqlx::Error, bool)> {
        let Some((Text::Own(text), values)) = self.parts.into_iter().next() else { return Ok(()) };
        let arguments = values.0.map_err(|error| (sqlx::Error::Encode(error), false))?;
        let query = sqlx::query_with(AssertSqlSafe(text + "COMMIT"), arguments);
        let mut results = connection.fetch_many(query);
        results.try_next().await.map_err(|error| (error, false))?;
        while results.try_next().await.map_err(|error| (error, true))?.is_some() {}
        Ok(())
    }

    /// Runs it, and answers how many rows it inserted or changed, and how many it should have.
    pub(super) async fn run(self, connection: &mut SqliteConnection) -> Result<(u64, u64), sqlx::Error> {
        let mut changed = 0;
        for (text, values) in self.parts {
            let arguments = values.0.map_err(sqlx::Error::Encode)?;
            let query = match text {
                Text::Shared(text) => sqlx::query_with(AssertSqlSafe(text.clone()), arguments),
                Text::Own(text) => sqlx::query_with(AssertSqlSafe(text), arguments),
            };
            changed += query.execute(&mut *connection).await?.rows_affected();
        }
        Ok((changed, self.rows))
    }
}

impl Sink for Script {
    const CHANGES_STOCK: bool = false;

    fn add<'r, const N: usize>(
        &mut self,
        set: RowSet,
        mut rows: impl ExactSizeIterator<Item = [Cell<'r>; N]>,
    ) {
        debug_assert_eq!(N, set.shape().columns.len(), "{set:?}");
        self.rows += rows.len() as u64;
        let found = if let Written::Inserted | Written::Replaced { .. } = set.shape().written {
            0
        } else {
            rows.len()
        };
        while rows.len() > 0 {
            let count = rows.len().min(SHAPES[SHAPES.len() - 1]);
            let shape = SHAPES.partition_point(|places| *places < count);
            let text = text(set, shape);
            match self.parts.last_mut() {
                Some((Text::Own(joined), _)) if self.joined => joined.push_str(text),
                _ => self.parts.push((Text::Shared(text), RowValues::with_capacity(count * N))),
            }
            let Some((_, values)) = self.parts.last_mut() else { return };
            for cell in rows.by_ref().take(count).flatten() {
                values.add(cell);
            }
            if self.joined {
                // What follows is bound by its place. Elsewhere, what is not bound is NULL.
                for _ in 0..(SHAPES[shape] - count) * N {
                    values.add(Cell::Int(None));
                }
            }
        }
        if self.joined
            && found > 0
            && let Some((Text::Own(text), values)) = self.parts.last_mut()
        {
            text.push_str(WHOLE);
            values.add(Cell::number(found as u64));
        }
    }
}

/// The values of some rows, in column order.
#[derive(Debug)]
struct RowValues(Result<SqliteArguments, BoxDynError>);

impl RowValues {
    fn with_capacity(values: usize) -> Self {
        let mut arguments = SqliteArguments::default();
        arguments.reserve(values, 0);
        Self(Ok(arguments))
    }

    /// The first value that cannot be encoded is told when the statement runs.
    fn add(&mut self, cell: Cell<'_>) {
        let Ok(arguments) = &mut self.0 else { return };
        let added = match cell {
            Cell::Int(number) => arguments.add(number),
            Cell::Text(text) => arguments.add(text.map(Cow::into_owned)),
            Cell::Id(id) => arguments.add(id),
            Cell::Bytes(bytes) => arguments.add(bytes.map(Cow::into_owned)),
        };
        if let Err(error) = added {
            self.0 = Err(error);
        }
    }
}
