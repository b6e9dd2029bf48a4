//! Trades' rows written to MySQL or MariaDB by hand: one connection, one text of statements over many rows for all
//! trades of a commit.
//!
//! For each trade: the levels and versions of both stations, the trade, its item, its shipment, its ledger row, a
//! receipt, a record of the log, and every index that the lists are served by; for each commit: the head.

use super::batch::{Batch, TradeRow};
use super::{ByHand, RECORD_BYTES, now_ms};
use crate::database::{Database, Kind};
use crate::report::Failure;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, raw_sql};
use std::fmt::{Display, Write};
use std::time::{Duration, Instant};
use tests::load::{ITEMS, OPENING_UNITS, Shape};

const SCHEMA: &str = "
CREATE TABLE head (one INT PRIMARY KEY, sequence BIGINT NOT NULL, time BIGINT NOT NULL);
CREATE TABLE station (
    number BIGINT PRIMARY KEY, id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL UNIQUE,
    version BIGINT NOT NULL
);
CREATE TABLE stock (
    station BIGINT NOT NULL, item VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    on_hand BIGINT NOT NULL, reserved BIGINT NOT NULL, incoming BIGINT NOT NULL,
    PRIMARY KEY (station, item),
    CHECK (on_hand >= 0), CHECK (reserved BETWEEN 0 AND on_hand), CHECK (incoming >= 0)
);
CREATE TABLE trade (
    sequence BIGINT PRIMARY KEY, id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL UNIQUE,
    seller BIGINT NOT NULL, buyer BIGINT NOT NULL, content TEXT NOT NULL, status TINYINT NOT NULL,
    created BIGINT NOT NULL, updated BIGINT NOT NULL, version BIGINT NOT NULL,
    INDEX (seller, sequence), INDEX (buyer, sequence), INDEX (status, sequence)
);
CREATE TABLE trade_item (
    item VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, sequence BIGINT NOT NULL,
    PRIMARY KEY (item, sequence)
);
CREATE TABLE cargo (
    sequence BIGINT PRIMARY KEY, trade BIGINT UNIQUE, origin BIGINT NOT NULL, destination BIGINT NOT NULL,
    status TINYINT NOT NULL, eta BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL,
    version BIGINT NOT NULL,
    INDEX (origin, sequence), INDEX (destination, sequence), INDEX (status, sequence)
);
CREATE TABLE ledger (
    sequence BIGINT NOT NULL, place SMALLINT NOT NULL, time BIGINT NOT NULL,
    item VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, quantity BIGINT NOT NULL,
    origin BIGINT NOT NULL, destination BIGINT NOT NULL, reason TINYINT NOT NULL,
    PRIMARY KEY (sequence, place), INDEX (origin, sequence), INDEX (destination, sequence)
);
CREATE TABLE receipt (
    request BINARY(16) PRIMARY KEY, fingerprint BINARY(16) NOT NULL, time BIGINT NOT NULL, INDEX (time)
);
CREATE TABLE log (last BIGINT PRIMARY KEY, record BLOB NOT NULL);
INSERT INTO head VALUES (1, 0, 0);
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
";

/// A database of its own.
#[derive(Debug)]
pub(crate) struct MySqlByHand {
    connection: MySqlConnection,
    shape: Shape,
    /// The number of the next trade.
    next: u64,
    /// A record of the log, as it stands in a statement.
    record: String,
    _database: Database,
}

impl MySqlByHand {
    /// A new database with the stations and what they hold.
    pub(crate) async fn open(shape: Shape) -> Result<Self, Failure> {
        let database = Database::create(Kind::MySql).await?;
        let mut connection = MySqlConnection::connect(&database.url).await?;
        connection.execute(raw_sql(SCHEMA)).await?;
        let mut text = String::new();
        let stations =
            (0..shape.stations()).map(|number| format!("{number},'{}',1", shape.station_name(number)));
        insert(&mut text, "station", stations);
        let level = |station, item| format!("{station},'{}',{OPENING_UNITS},0,0", Shape::item_name(item));
        let levels =
            (0..shape.stations()).flat_map(|station| (0..ITEMS).map(move |item| level(station, item)));
        insert(&mut text, "stock", levels);
        connection.execute(raw_sql(AssertSqlSafe(text))).await?;
        let record = format!("x'{}'", "78".repeat(RECORD_BYTES));
        Ok(Self { connection, shape, next: 0, record, _database: database })
    }

    async fn commit(&mut self, count: u64) -> Result<(), Failure> {
        let batch = Batch::new(self.shape, self.next, count, now_ms()?)?;
        let text = self.statements(&batch)?;
        self.connection.execute(raw_sql(AssertSqlSafe(text))).await?;
        self.next += count;
        Ok(())
    }

    fn statements(&self, batch: &Batch) -> Result<String, Failure> {
        let (time, eta, record) = (batch.time, batch.eta, &self.record);
        let mut text = String::with_capacity(batch.trades.len() * 2 * (RECORD_BYTES + 500));
        text.push_str("START TRANSACTION; UPDATE stock s JOIN (");
        // The checks of the table refuse what is not there to be taken.
        select(
            &mut text,
            batch
                .levels
                .iter()
                .map(|((station, item), change)| format!("{station} station, '{item}' item, {change} more")),
        );
        text.push_str(") v ON s.station = v.station AND s.item = v.item SET s.on_hand = s.on_hand + v.more;");
        text.push_str("UPDATE station s JOIN (");
        select(
            &mut text,
            batch.stations.iter().map(|(number, more)| format!("{number} number, {more} more")),
        );
        text.push_str(") v ON s.number = v.number SET s.version = s.version + v.more;");
        insert(
            &mut text,
            "trade",
            rows(batch, |row| {
                let TradeRow { sequence, id, seller, buyer, lines, .. } = row;
                format!("{sequence},'{id}',{seller},{buyer},'{lines}',0,{time},{time},1")
            }),
        );
        insert(
            &mut text,
            "trade_item",
            batch.items.iter().map(|(item, sequence)| format!("'{item}',{sequence}")),
        );
        insert(
            &mut text,
            "cargo",
            rows(batch, |row| {
                let TradeRow { sequence, seller, buyer, .. } = row;
                format!("{},{sequence},{seller},{buyer},0,{eta},{time},{time},1", row.cargo())
            }),
        );
        insert(
            &mut text,
            "ledger",
            rows(batch, |row| {
                let TradeRow { seller, buyer, item, .. } = row;
                format!("{},0,{time},'{item}',1,{seller},{buyer},0", row.ledger())
            }),
        );
        insert(
            &mut text,
            "receipt",
            rows(batch, |row| {
                format!("x'{:032x}',REPEAT('\\0',16),{time}", u128::from_be_bytes(row.request))
            }),
        );
        insert(&mut text, "log", rows(batch, |row| format!("{},{record}", row.last())));
        write!(text, "UPDATE head SET sequence = {}, time = {time} WHERE one = 1; COMMIT", batch.last)?;
        Ok(text)
    }
}

fn rows<'b, T: Display>(batch: &'b Batch, row: impl Fn(&'b TradeRow) -> T) -> impl Iterator<Item = T> {
    batch.trades.iter().map(row)
}

fn insert(text: &mut String, table: &str, rows: impl Iterator<Item = impl Display>) {
    for (index, row) in rows.enumerate() {
        // Writing to a string cannot fail.
        let _ = match index {
            0 => write!(text, "INSERT INTO {table} VALUES ({row})"),
            _ => write!(text, ",({row})"),
        };
    }
    text.push(';');
}

/// Rows as a query, which both servers take where a table is expected.
fn select(text: &mut String, rows: impl Iterator<Item = impl Display>) {
    for (index, row) in rows.enumerate() {
        let union = if index == 0 { "" } else { " UNION ALL " };
        let _ = write!(text, "{union}SELECT {row}");
    }
}

impl ByHand for MySqlByHand {
    fn trades_per_second(&mut self, per_commit: u64, duration: Duration) -> Result<f64, Failure> {
        let first = self.next;
        let begin = Instant::now();
        tokio::runtime::Handle::current().block_on(async {
            while begin.elapsed() < duration {
                self.commit(per_commit).await?;
            }
            Ok::<_, Failure>(())
        })?;
        Ok((self.next - first) as f64 / begin.elapsed().as_secs_f64())
    }
}
