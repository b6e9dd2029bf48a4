//! A commit's rows as statements: every column one array, all tables of a statement in one message.
//!
//! A statement is a list of data-modifying common table expressions, one a table, each over `unnest` of its columns, so
//! that a commit costs the same few messages whatever number of rows it has. Its text depends only on which sets of rows
//! are not empty, and is made once. PostgreSQL changes a table twice in one statement, as long as the rows differ;
//! CockroachDB refuses it: there, what is made and what is changed in one table go in two statements. So does what would
//! take the server too long for one.

use crate::commit::{Cell, Kind, RowSet, Shape, Sink, Written};
use crate::rows::VERSION;
use crate::rows::stored;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgConnection, PgRow, PgTypeInfo};
use sqlx::{Arguments, AssertSqlSafe, Encode, Postgres as Driver, Row, Type};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use trade_core::store::Head;

/// A statement takes the server some seconds for each so many bytes at most, and has a time limit.
const STATEMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The rows of a set are cut where they come to so much.
const PART_BYTES_MAX: usize = 1024 * 1024;

/// Rows, set by set; a set of many in several parts.
#[derive(Debug, Default)]
pub(super) struct Batch {
    sets: Vec<Rows>,
}

/// Rows of a set, column by column.
#[derive(Debug)]
struct Rows {
    set: RowSet,
    count: u64,
    columns: Vec<Column>,
}

/// An array, in the binary form of the protocol.
#[derive(Debug)]
struct Column {
    kind: Kind,
    count: i32,
    has_null: bool,
    elements: Vec<u8>,
}

/// What goes in one message.
#[derive(Debug, Default)]
pub(super) struct Statement {
    sets: Vec<Rows>,
}

impl Sink for Batch {
    const CHANGES_STOCK: bool = true;

    fn add<'r, const N: usize>(&mut self, set: RowSet, rows: impl ExactSizeIterator<Item = [Cell<'r>; N]>) {
        debug_assert_eq!(N, set.shape().columns.len(), "{set:?}");
        if rows.len() == 0 {
            return;
        }
        let mut part = Rows::new(set, rows.len());
        for row in rows {
            if part.bytes() >= PART_BYTES_MAX {
                self.sets.push(std::mem::replace(&mut part, Rows::new(set, 0)));
            }
            for (column, cell) in part.columns.iter_mut().zip(row) {
                column.add(&cell);
            }
            part.count += 1;
        }
        self.sets.push(part);
    }
}

impl Rows {
    /// None yet, of a set of which so many are to come.
    fn new(set: RowSet, rows: usize) -> Self {
        let column = |(_, kind): &(&str, Kind)| Column {
            kind: *kind,
            count: 0,
            has_null: false,
            elements: Vec::with_capacity(rows * 12),
        };
        Self { set, count: 0, columns: set.shape().columns.iter().map(column).collect() }
    }

    fn bytes(&self) -> usize {
        self.columns.iter().map(|column| column.elements.len()).sum()
    }
}

impl Batch {
    /// As few statements as the rows can go in, none of which takes the server long, in an order in which they can be
    /// run; `table_once` where none may change a table twice.
    pub(super) fn into_statements(self, table_once: bool) -> Vec<Statement> {
        let mut statements: Vec<Statement> = Vec::new();
        for rows in self.sets {
            let (table, bytes) = (rows.set.shape().table, rows.bytes());
            let has_room = |statement: &&mut Statement| {
                let taken: usize = statement.sets.iter().map(Rows::bytes).sum();
                let twice = statement.sets.iter().any(|other| other.set.shape().table == table);
                taken + bytes <= STATEMENT_BYTES_MAX && !(twice && table_once)
            };
            match statements.iter_mut().find(has_room) {
                Some(statement) => statement.sets.push(rows),
                None => statements.push(Statement { sets: vec![rows] }),
            }
        }
        statements
    }
}

impl Column {
    fn add(&mut self, cell: &Cell<'_>) {
        self.count += 1;
        match cell {
            Cell::Int(Some(number)) => self.element(&number.to_be_bytes()),
            Cell::Text(Some(text)) => self.element(text.as_bytes()),
            Cell::Id(id) => self.element(id.as_bytes()),
            Cell::Bytes(Some(bytes)) => self.element(bytes),
            Cell::Int(None) | Cell::Text(None) | Cell::Bytes(None) => {
                self.has_null = true;
                self.elements.extend((-1_i32).to_be_bytes());
            }
        }
    }

    fn element(&mut self, bytes: &[u8]) {
        // No message holds more than 2^31 bytes: what is longer could not be sent.
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.elements.extend(length.to_be_bytes());
        self.elements.extend(bytes);
    }

    fn types(&self) -> (PgTypeInfo, PgTypeInfo) {
        match self.kind {
            Kind::Int => (<Vec<i64> as Type<Driver>>::type_info(), <i64 as Type<Driver>>::type_info()),
            Kind::Text => (<Vec<String> as Type<Driver>>::type_info(), <String as Type<Driver>>::type_info()),
            Kind::Bytes => {
                (<Vec<Vec<u8>> as Type<Driver>>::type_info(), <Vec<u8> as Type<Driver>>::type_info())
            }
        }
    }
}

impl Type<Driver> for Column {
    fn type_info() -> PgTypeInfo {
        <Vec<i64> as Type<Driver>>::type_info()
    }
}

impl Encode<'_, Driver> for Column {
    /// Dimensions, whether an element is null, the element's type, how many there are, the first place; the elements.
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let (_, element) = self.types();
        let element = element.oid().ok_or("a type of the server's own has a number")?;
        buffer.extend(1_i32.to_be_bytes());
        buffer.extend(i32::from(self.has_null).to_be_bytes());
        buffer.extend(element.0.to_be_bytes());
        buffer.extend(self.count.to_be_bytes());
        buffer.extend(1_i32.to_be_bytes());
        buffer.extend(&self.elements);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.types().0)
    }
}

/// Makes every part of a statement depend on the head having been moved.
const IF_MOVED: &str = "EXISTS (SELECT 1 FROM head)";

impl Statement {
    /// How many rows it is to make or change.
    pub(super) fn rows(&self) -> u64 {
        self.sets.iter().map(|rows| rows.count).sum()
    }

    /// Runs it in a transaction that holds the head, and answers how many rows it made or changed.
    pub(super) async fn run(self, connection: &mut PgConnection, texts: &Texts) -> Result<u64, sqlx::Error> {
        let text = texts.of(&self.sets, None);
        let row = fetch_one(connection, text, self.arguments()?).await?;
        Ok(row.try_get::<i64, _>(0)?.unsigned_abs())
    }

    /// Runs it as a transaction of its own, which moves the head from where a commit was loaded; does nothing, and
    /// answers `false`, where the head is elsewhere. It fails, and changes nothing, where it finds fewer rows than it
    /// should.
    pub(super) async fn run_alone(
        self,
        connection: &mut PgConnection,
        texts: &Texts,
        from: Head,
        to: Head,
    ) -> Result<bool, sqlx::Error> {
        let mut arguments = self.arguments()?;
        let text = texts.of(&self.sets, Some(arguments.len() + 1));
        let numbers = [
            stored(to.sequence),
            to.time.millis(),
            stored(from.sequence),
            from.time.millis(),
            stored(self.rows()),
        ];
        for number in numbers {
            arguments.add(number).map_err(sqlx::Error::Encode)?;
        }
        let row = fetch_one(connection, text, arguments).await?;
        Ok(row.try_get::<i64, _>(0)? == 1)
    }

    fn arguments(&self) -> Result<PgArguments, sqlx::Error> {
        let mut arguments = PgArguments::default();
        let columns = self.sets.iter().flat_map(|rows| &rows.columns);
        let bytes = columns.clone().map(|column| column.elements.len() + 24).sum();
        arguments.reserve(columns.clone().count() + 5, bytes);
        for column in columns {
            arguments.add(column).map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }
}

/// The texts of statements, once they were asked for.
#[derive(Debug, Default)]
pub(super) struct Texts(Mutex<HashMap<TextKey, Arc<str>>>);

/// The sets that are written, and the first parameter of those that move the head.
type TextKey = (Vec<RowSet>, Option<usize>);

impl Texts {
    /// Some megabytes; beyond, it starts afresh.
    const COUNT_MAX: usize = 512;

    fn of(&self, sets: &[Rows], head: Option<usize>) -> Arc<str> {
        let key: TextKey = (sets.iter().map(|rows| rows.set).collect(), head);
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = texts.get(&key) {
            return text.clone();
        }
        if texts.len() >= Self::COUNT_MAX {
            texts.clear();
        }
        let made: Arc<str> = text(&key.0, head).into();
        texts.entry(key).or_insert(made).clone()
    }
}

async fn fetch_one(
    connection: &mut PgConnection,
    text: Arc<str>,
    arguments: PgArguments,
) -> Result<PgRow, sqlx::Error> {
    // To the end of the answer: a statement that is a transaction of its own has ended only then, and may fail in that.
    let mut rows = sqlx::query_with(AssertSqlSafe(text), arguments).fetch_all(connection).await?;
    rows.pop().ok_or(sqlx::Error::RowNotFound)
}

/// The text of a statement that writes some sets. Only constant text goes into it.
pub(super) fn text(sets: &[RowSet], head: Option<usize>) -> String {
    let mut text = String::from("WITH ");
    // Writing to a string cannot fail.
    if let Some(first) = head {
        let [sequence, time, from, from_time] = [first, first + 1, first + 2, first + 3];
        let _ = write!(
            text,
            "head AS (UPDATE tn_head SET sequence = ${sequence}, time = ${time} \
             WHERE one = 1 AND sequence = ${from} AND time = ${from_time} AND format = {VERSION} RETURNING 1), "
        );
    }
    let (mut parameter, mut sum) = (1, String::new());
    for (place, set) in sets.iter().enumerate() {
        let shape = set.shape();
        let (comma, plus) = if place == 0 { ("", "") } else { (", ", " + ") };
        let _ = write!(text, "{comma}w{place} AS ({})", part(shape, parameter, head.is_some()));
        let _ = write!(sum, "{plus}(SELECT count(*) FROM w{place})");
        parameter += shape.columns.len();
    }
    let _ = match head {
        None => write!(text, " SELECT {sum}"),
        // A division by zero undoes it all. A plain count would be read when the transaction had ended.
        Some(first) => write!(
            text,
            " SELECT moved, 1 / CASE WHEN moved = 0 OR written = ${} THEN 1 ELSE 0 END \
             FROM (SELECT (SELECT count(*) FROM head) AS moved, {sum} AS written) counted",
            first + 4
        ),
    };
    text
}

/// Writes the rows of a set. The first of its parameters is numbered.
fn part(shape: &Shape, parameter: usize, if_moved: bool) -> String {
    let Shape { table, columns, written } = shape;
    let join = |parts: Vec<String>| parts.join(", ");
    let places = 1..=columns.len();
    let arrays = columns.iter().zip(parameter..).map(|((_, kind), parameter)| {
        let array = match kind {
            Kind::Int => "bigint[]",
            Kind::Text => "text[]",
            Kind::Bytes => "bytea[]",
        };
        format!("CAST(${parameter} AS {array})")
    });
    let values = places.clone().map(|place| format!("c{place}"));
    let rows = format!("unnest({}) v ({})", join(arrays.collect()), join(values.clone().collect()));
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let insert = || {
        let values = join(values.map(|value| format!("v.{value}")).collect());
        let condition = if if_moved { format!(" WHERE {IF_MOVED}") } else { String::new() };
        format!("INSERT INTO {table} ({}) SELECT {values} FROM {rows}{condition}", names.join(", "))
    };
    let update = |key: usize, set: &[&str]| {
        let set = set.iter().zip(key + 1..).map(|(name, place)| format!("{name} = v.c{place}"));
        let found = names[..key].iter().zip(1..).map(|(name, place)| format!("{table}.{name} = v.c{place}"));
        let condition = if if_moved { format!(" AND {IF_MOVED}") } else { String::new() };
        let (set, found) = (join(set.collect()), found.collect::<Vec<_>>().join(" AND "));
        format!("UPDATE {table} SET {set} FROM {rows} WHERE {found}{condition}")
    };
    let written = match written {
        Written::Inserted => insert(),
        Written::Replaced { key } => {
            let (key, others) = names.split_at(*key);
            let others = others.iter().map(|name| format!("{name} = excluded.{name}")).collect();
            format!("{} ON CONFLICT ({}) DO UPDATE SET {}", insert(), key.join(", "), join(others))
        }
        Written::Changed { key } => update(*key, &names[*key..]),
        Written::ChangedFrom { version } => {
            let expected = names.len();
            format!("{} AND {table}.{version} = v.c{expected}", update(1, &names[1..expected - 1]))
        }
    };
    format!("{written} RETURNING 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(rows: u32) -> Batch {
        let mut batch = Batch::default();
        let item = Cell::Text(Some("x".repeat(100).into()));
        let stock = |n: u32| [i64::from(n).into(), item.clone(), 1.into(), 0.into(), 0.into()];
        batch.add(RowSet::Stock, (0..rows).map(stock));
        batch.add(RowSet::ListedStock, (0..rows).map(stock));
        batch
    }

    #[test]
    fn a_statement_changes_a_table_twice_only_where_the_server_takes_it() {
        assert_eq!(batch(10).into_statements(false).len(), 1);
        let statements = batch(10).into_statements(true);
        assert_eq!(statements.iter().map(Statement::rows).collect::<Vec<_>>(), [10, 10]);
    }

    #[test]
    fn what_would_take_long_goes_in_several_statements() {
        for table_once in [false, true] {
            let statements = batch(100_000).into_statements(table_once);
            assert!(statements.len() > 5, "{}", statements.len());
            assert_eq!(statements.iter().map(Statement::rows).sum::<u64>(), 200_000);
            for statement in &statements {
                let bytes: usize = statement.sets.iter().map(Rows::bytes).sum();
                assert!(bytes <= STATEMENT_BYTES_MAX, "{bytes}");
                for rows in &statement.sets {
                    assert!(
                        rows.columns
                            .iter()
                            .all(|column| u64::from(column.count.unsigned_abs()) == rows.count)
                    );
                }
            }
        }
    }
}
