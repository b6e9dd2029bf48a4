//! The text that writes a commit.
//!
//! A commit is one text of many statements: one message to the server, whatever number of tables and rows it writes. A
//! prepared statement would be a message for each table, and more where its shape does not fit. So values stand in the
//! text; and that nothing but a value can come of them is a matter of their form: numbers are digits, a string is in
//! quotes only where each of its characters is harmless, and in hexadecimal otherwise, bytes always are.

use super::classify::{MySql, is_check, is_duplicate};
use super::examine::State;
use crate::commit::{Cell, Kind, OPERATION, RowSet, Shape, Sink, Written, no_conflict, whole};
use crate::errors::{Errors, classify};
use crate::lane::Lease;
use crate::rows::VERSION;
use futures::TryStreamExt;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Executor};
use std::fmt::Write;
use trade_core::store::{Head, StoreError, StoreErrorKind};

/// The rows of a change are read by the server from JSON, which takes it longer the longer it is.
const CHANGED_BYTES_MAX: usize = 256 * 1024;

/// Statements that are run one after the other, in as few messages as the server takes them.
#[derive(Debug)]
pub(super) struct Script {
    text_bytes_max: usize,
    packet_bytes_max: usize,
    messages: Vec<Message>,
}

#[derive(Debug, Default)]
struct Message {
    text: String,
    statements: Vec<Statement>,
}

#[derive(Debug, Clone, Copy)]
struct Statement {
    does: Does,
    /// How many rows it is to insert or change.
    rows: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Begin,
    /// Moves the head from where it is expected, before anything else.
    Move,
    /// The same as the last thing, in a transaction that holds the head; or shows that it still is where it was moved.
    Close,
    Write(RowSet),
}

/// Why a script ended early. What it did is still to be rolled back.
#[derive(Debug)]
pub(super) enum Failure {
    /// The head is not where it was expected. Nothing else was done.
    Moved(StoreError),
    Other(StoreError),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let (Failure::Moved(error) | Failure::Other(error)) = failure;
        error
    }
}

impl Script {
    /// A script in a transaction that is open.
    pub(super) fn new(state: &State) -> Self {
        Self {
            text_bytes_max: state.text_bytes_max,
            packet_bytes_max: state.packet_bytes_max,
            messages: vec![Message::default()],
        }
    }

    /// A script that begins a transaction and moves the head, if that is where it is expected.
    pub(super) fn moving(state: &State, from: Head, to: Head) -> Self {
        let mut script = Self::new(state);
        script.statement(Statement { does: Does::Begin, rows: 0 }, "START TRANSACTION");
        script.move_head(Does::Move, from, to);
        script
    }

    /// Ends a script that has the head moved. Where the server ended the transaction half-way, and went on with the rest
    /// of the text in another one, somebody else has moved the head: then this fails, and nothing of it is committed.
    pub(super) fn close(&mut self, from: Head, to: Head) {
        self.move_head(Does::Close, from, to);
    }

    fn move_head(&mut self, does: Does, from: Head, to: Head) {
        // In this order: what is set is seen by what is set after it. The table's check refuses a negative sequence.
        let sql = format!(
            "UPDATE tn_head SET sequence = CASE WHEN sequence = {} AND time = {} AND format = {VERSION} THEN {} \
             ELSE -1 END, time = {} WHERE one = 1",
            from.sequence,
            from.time.millis(),
            to.sequence,
            to.time.millis()
        );
        self.statement(Statement { does, rows: 1 }, &sql);
    }

    /// Runs it, and compares what each statement did with what it should have done.
    pub(super) async fn run(self, lease: &mut Lease<'_, MySql>) -> Result<(), Failure> {
        let failure =
            |kind, detail: String| Failure::Other(StoreError::new(kind, MySql::NAME, OPERATION, detail));
        if let Some(large) = self.messages.iter().find(|message| message.text.len() >= self.packet_bytes_max)
        {
            let detail = format!(
                "a row of {} bytes as text is more than the server's max_allowed_packet allows",
                large.text.len()
            );
            return Err(failure(StoreErrorKind::TooLarge, detail));
        }
        for message in self.messages {
            let patience = lease.answer_max();
            let answered = tokio::time::timeout(patience, message.run(&mut lease.connection)).await;
            answered.map_err(|_| {
                failure(StoreErrorKind::Unavailable, "the server did not answer in time".to_owned())
            })??;
        }
        Ok(())
    }

    fn fits(&self, bytes: usize) -> bool {
        self.messages.last().is_some_and(|last| last.text.len() + bytes <= self.text_bytes_max)
    }

    /// A message with room for so much more, or of its own.
    fn message(&mut self, bytes: usize) -> &mut Message {
        if !self.fits(bytes) {
            self.messages.push(Message::default());
        }
        self.last()
    }

    fn last(&mut self) -> &mut Message {
        if self.messages.is_empty() {
            self.messages.push(Message::default());
        }
        let last = self.messages.len() - 1;
        &mut self.messages[last]
    }

    fn statement(&mut self, statement: Statement, sql: &str) {
        let message = self.message(sql.len());
        message.begin(statement);
        message.text.push_str(sql);
    }

    fn insert<'r, const N: usize>(&mut self, set: RowSet, rows: impl Iterator<Item = [Cell<'r>; N]>) {
        let (head, tail) = insertion(set.shape());
        let mut text = String::new();
        let mut open = false;
        for row in rows {
            text.clear();
            push_row(&mut text, &row);
            if open && !self.fits(text.len() + tail.len()) {
                self.last().text.push_str(&tail);
                open = false;
            }
            if open {
                self.last().text.push(',');
            } else {
                let message = self.message(head.len() + text.len() + tail.len());
                message.begin(Statement { does: Does::Write(set), rows: 0 });
                message.text.push_str(&head);
                open = true;
            }
            self.last().add(&text);
        }
        if open {
            self.last().text.push_str(&tail);
        }
    }

    fn change<'r, const N: usize>(&mut self, set: RowSet, rows: impl Iterator<Item = [Cell<'r>; N]>) {
        let mut json = String::new();
        let mut count = 0;
        for row in rows {
            json.push(if json.is_empty() { '[' } else { ',' });
            push_json(&mut json, &row);
            count += 1;
            if json.len() >= CHANGED_BYTES_MAX.min(self.text_bytes_max / 4) {
                self.change_those(set, count, std::mem::take(&mut json));
                count = 0;
            }
        }
        if count > 0 {
            self.change_those(set, count, json);
        }
    }

    fn change_those(&mut self, set: RowSet, rows: u64, mut json: String) {
        json.push(']');
        self.statement(Statement { does: Does::Write(set), rows }, &change(set.shape(), &json));
    }
}

impl Sink for Script {
    const CHANGES_STOCK: bool = false;

    fn add<'r, const N: usize>(&mut self, set: RowSet, rows: impl ExactSizeIterator<Item = [Cell<'r>; N]>) {
        debug_assert_eq!(N, set.shape().columns.len(), "{set:?}");
        match set.shape().written {
            Written::Inserted | Written::Replaced { .. } => self.insert(set, rows),
            Written::Changed { .. } | Written::ChangedFrom { .. } => self.change(set, rows),
        }
    }
}

impl Message {
    fn begin(&mut self, statement: Statement) {
        if !self.text.is_empty() {
            self.text.push(';');
        }
        self.statements.push(statement);
    }

    /// Adds a row to the last statement.
    fn add(&mut self, row: &str) {
        self.text.push_str(row);
        if let Some(statement) = self.statements.last_mut() {
            statement.rows += 1;
        }
    }

    async fn run(self, connection: &mut MySqlConnection) -> Result<(), Failure> {
        let mut statements = self.statements.into_iter();
        let mut results = connection.fetch_many(sqlx::raw_sql(AssertSqlSafe(self.text)));
        loop {
            // Each statement answers once, or fails and is the last.
            match results.try_next().await {
                Ok(Some(result)) => {
                    let changed = result.left().map_or(0, |done| done.rows_affected());
                    if let Some(statement) = statements.next() {
                        statement.check(changed).map_err(Failure::Other)?;
                    }
                }
                Ok(None) => break,
                Err(error) => return Err(Statement::failed(statements.next(), error)),
            }
        }
        whole::<MySql>(0, statements.len() as u64, StoreErrorKind::Internal).map_err(Failure::Other)
    }
}

impl Statement {
    fn check(self, changed: u64) -> Result<(), StoreError> {
        let Does::Write(set) = self.does else { return Ok(()) };
        match set.shape().written {
            // A row that is replaced counts as two.
            Written::Replaced { .. } if (self.rows..=self.rows * 2).contains(&changed) => Ok(()),
            // A station may be of another version than expected though nobody moved the head, where what the commit
            // was made from was not of one moment.
            Written::ChangedFrom { .. } => whole::<MySql>(changed, self.rows, StoreErrorKind::Conflict),
            _ => whole::<MySql>(changed, self.rows, StoreErrorKind::Internal),
        }
    }

    /// What it means that a statement failed; none where it is not known which.
    fn failed(statement: Option<Self>, error: sqlx::Error) -> Failure {
        let (check, duplicate) = (is_check(&error), is_duplicate(&error));
        let error = classify::<MySql>(OPERATION)(error);
        match statement.map(|statement| statement.does) {
            Some(Does::Move) if check => Failure::Moved(error),
            Some(Does::Close) if check => Failure::Other(StoreError {
                kind: StoreErrorKind::Conflict,
                detail: "the server ended the transaction half-way".into(),
                ..error
            }),
            Some(Does::Write(set)) if duplicate && is_appended(set) => Failure::Other(no_conflict(error)),
            _ => Failure::Other(error),
        }
    }
}

/// Whether rows are keyed by sequences past the head, which nobody can have made.
fn is_appended(set: RowSet) -> bool {
    matches!(set, RowSet::TradeItems | RowSet::History | RowSet::Ledger | RowSet::Log)
}

/// What stands before and after the rows.
fn insertion(shape: &Shape) -> (String, String) {
    let Shape { table, columns, written } = shape;
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let head = format!("INSERT INTO {table} ({}) VALUES ", names.join(","));
    let Written::Replaced { key } = written else { return (head, String::new()) };
    let others: Vec<String> = names[*key..].iter().map(|name| format!("{name}=VALUES({name})")).collect();
    (head, format!(" ON DUPLICATE KEY UPDATE {}", others.join(",")))
}

/// The statement that changes rows, each of which is found by its key, in the order in which they are given.
fn change(shape: &Shape, json: &str) -> String {
    let Shape { table, columns, written } = shape;
    let kind = |kind| match kind {
        Kind::Int => "BIGINT",
        Kind::Text => "TEXT CHARACTER SET utf8mb4",
        Kind::Bytes => "BLOB",
    };
    let table_of = |(place, (_, of)): (usize, &(_, Kind))| {
        format!("v{place} {} PATH '$[{place}]' ERROR ON ERROR", kind(*of))
    };
    let values: Vec<String> = columns.iter().enumerate().map(table_of).collect();
    let last = columns.len() - 1;
    let (key, end, guard) = match written {
        Written::ChangedFrom { version } => (1, last, format!(" AND t.{version}=v.v{last}")),
        Written::Inserted => (0, last + 1, String::new()),
        Written::Changed { key } | Written::Replaced { key } => (*key, last + 1, String::new()),
    };
    let equal = |from: usize, to: usize| {
        columns[from..to].iter().zip(from..).map(|((name, _), place)| format!("t.{name}=v.v{place}"))
    };
    let set: Vec<String> = equal(key, end).collect();
    let found: Vec<String> = equal(0, key).collect();
    let mut sql = String::with_capacity(json.len() * 2 + 1_024);
    sql.push_str("UPDATE JSON_TABLE(");
    push_text(&mut sql, json);
    let (values, set, found) = (values.join(","), set.join(","), found.join(" AND "));
    // Writing to a string cannot fail.
    let _ = write!(sql, ",'$[*]' COLUMNS ({values})) v STRAIGHT_JOIN {table} t ON {found}{guard} SET {set}");
    sql
}

fn push_row(sql: &mut String, row: &[Cell<'_>]) {
    for (place, cell) in row.iter().enumerate() {
        sql.push(if place == 0 { '(' } else { ',' });
        match cell {
            Cell::Int(Some(number)) => {
                let _ = write!(sql, "{number}");
            }
            Cell::Text(Some(text)) => push_text(sql, text),
            Cell::Id(id) => push_text(sql, id),
            Cell::Bytes(Some(bytes)) => push_hexadecimal(sql, bytes),
            Cell::Int(None) | Cell::Text(None) | Cell::Bytes(None) => sql.push_str("NULL"),
        }
    }
    sql.push(')');
}

/// No row that is changed has bytes in it.
fn push_json(json: &mut String, row: &[Cell<'_>]) {
    for (place, cell) in row.iter().enumerate() {
        json.push(if place == 0 { '[' } else { ',' });
        let _ = match cell {
            Cell::Int(Some(number)) => write!(json, "{number}"),
            Cell::Text(Some(text)) => write!(json, "{}", serde_json::Value::from(&**text)),
            Cell::Id(id) => write!(json, "{}", serde_json::Value::from(&**id)),
            Cell::Int(None) | Cell::Text(None) | Cell::Bytes(_) => write!(json, "null"),
        };
    }
    json.push(']');
}

fn push_text(sql: &mut String, text: &str) {
    let harmless = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'\'' && byte != b'\\';
    if text.bytes().all(harmless) {
        sql.push('\'');
        sql.push_str(text);
        sql.push('\'');
    } else {
        sql.push_str("_utf8mb4 ");
        push_hexadecimal(sql, text.as_bytes());
    }
}

fn push_hexadecimal(sql: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    sql.push_str("x'");
    for byte in bytes {
        sql.push(char::from(DIGITS[usize::from(byte >> 4)]));
        sql.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    sql.push('\'');
}

/// Changes a few rows of every table whose rows are changed, each to what it is not.
#[cfg(test)]
pub(super) async fn change_some(state: &State, lease: &mut Lease<'_, MySql>) {
    use crate::dialect::Rendered;
    use crate::driver::{Columns, Driver};
    let number = |number: i64| Cell::Int(Some(number));
    let place = |text: &'static str| Cell::from(Some(text));
    let mut script = Script::moving(state, Head::EMPTY, Head::EMPTY);
    let stations = (1..41_i32)
        .map(i64::from)
        .map(|n| [n.into(), place("7"), number(40), number(9), number(2), number(1)]);
    script.add(RowSet::ChangedStations, stations);
    let trades =
        (0..40_i32).map(i64::from).map(|n| [number(10_000 + 4 * n), number(1), number(9), number(2)]);
    script.add(RowSet::ChangedTrades, trades);
    let odd = "“dock” \\ 4's \u{1f680}\"";
    let cargo = (0..40_i32).map(i64::from).map(|n| {
        let location = Cell::from((n % 3 > 0).then_some(if n % 3 == 1 { odd } else { "dock 4" }));
        [
            number(10_001 + 4 * n),
            number(1),
            number(9),
            location,
            place("{}"),
            place("null"),
            number(9),
            number(2),
        ]
    });
    script.add(RowSet::ChangedCargo, cargo);
    let stock =
        (1..41_i32).map(i64::from).map(|n| [number(n), place("i-1"), number(6), number(1), number(n)]);
    script.add(RowSet::Stock, stock);
    script.run(lease).await.unwrap();
    let sql =
        "SELECT location FROM tn_cargo WHERE sequence BETWEEN 10001 AND 10009 ORDER BY sequence; COMMIT";
    let found = MySql::fetch(&mut lease.connection, &Rendered::new(MySql::DIALECT, sql), &[]).await;
    let found = found.unwrap();
    let locations = found.iter().map(|row| Columns::text(row, 0).unwrap());
    assert_eq!(locations.collect::<Vec<_>>(), [None, Some(odd), Some("dock 4")]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_can_end_no_literal() {
        for (text, literal) in [
            ("T-1", "'T-1'"),
            ("[{\"itemId\":\"tea\"}]", "'[{\"itemId\":\"tea\"}]'"),
            ("o'clock", "_utf8mb4 x'6f27636c6f636b'"),
            ("\\", "_utf8mb4 x'5c'"),
            ("é", "_utf8mb4 x'c3a9'"),
            ("", "''"),
            ("a\0b", "_utf8mb4 x'610062'"),
        ] {
            let mut sql = String::new();
            push_text(&mut sql, text);
            assert_eq!(sql, literal);
        }
    }

    #[test]
    fn many_rows_go_in_several_messages_and_one_that_is_too_large_is_refused_as_it_is() {
        let state = State {
            text_bytes_max: 1_000,
            packet_bytes_max: 4_000,
            poll_interval: std::time::Duration::ZERO,
            pace: None,
        };
        let mut script = Script::moving(&state, Head::EMPTY, Head::EMPTY);
        script.add(RowSet::TradeItems, (0..200_i32).map(|n| [Cell::Id("tea".into()), i64::from(n).into()]));
        assert!(script.messages.len() > 2);
        let rows: u64 = script.messages.iter().flat_map(|m| &m.statements).map(|s| s.rows).sum();
        assert_eq!(rows, 201);
        for message in &script.messages {
            assert!(message.text.len() < 1_100);
            assert!(!message.text.ends_with([',', ';']), "{}", message.text);
            assert_eq!(message.text.matches(';').count() + 1, message.statements.len());
        }
    }
}
