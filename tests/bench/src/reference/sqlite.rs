//! A trade's rows written to SQLite by hand: prepared statements on one connection, write-ahead log,
//! `synchronous=FULL`, the writer's caches as large as the store's.
//!
//! For each trade: the levels and versions of both stations, the trade, its item, its shipment, its ledger row, a
//! receipt, a record of the log, and every index that the lists are served by; for each commit: the head.

use super::{ByHand, LEAD_TIME_MS, RECORD_BYTES, lines, now_ms, request};
use crate::report::Failure;
use rusqlite::{Connection, Statement, params};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tests::load::{Ends, ITEMS, OPENING_UNITS, Shape};

const SCHEMA: &str = "
CREATE TABLE head (one INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, time INTEGER NOT NULL);
CREATE TABLE station (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL);
CREATE TABLE stock (
    station INTEGER NOT NULL, item TEXT NOT NULL,
    on_hand INTEGER NOT NULL CHECK (on_hand >= 0),
    reserved INTEGER NOT NULL CHECK (reserved BETWEEN 0 AND on_hand),
    incoming INTEGER NOT NULL CHECK (incoming >= 0),
    PRIMARY KEY (station, item)
) WITHOUT ROWID;
CREATE TABLE trade (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, seller INTEGER NOT NULL, buyer INTEGER NOT NULL,
    lines TEXT NOT NULL, status INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
    version INTEGER NOT NULL
);
CREATE INDEX trade_seller ON trade (seller, sequence);
CREATE INDEX trade_buyer ON trade (buyer, sequence);
CREATE INDEX trade_status ON trade (status, sequence);
CREATE TABLE trade_item (item TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (item, sequence)) WITHOUT ROWID;
CREATE TABLE cargo (
    sequence INTEGER PRIMARY KEY, trade INTEGER UNIQUE, origin INTEGER NOT NULL, destination INTEGER NOT NULL,
    status INTEGER NOT NULL, eta INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
    version INTEGER NOT NULL
);
CREATE INDEX cargo_origin ON cargo (origin, sequence);
CREATE INDEX cargo_destination ON cargo (destination, sequence);
CREATE INDEX cargo_status ON cargo (status, sequence);
CREATE TABLE ledger (
    sequence INTEGER NOT NULL, place INTEGER NOT NULL, time INTEGER NOT NULL, item TEXT NOT NULL,
    quantity INTEGER NOT NULL, origin INTEGER NOT NULL, destination INTEGER NOT NULL, reason INTEGER NOT NULL,
    PRIMARY KEY (sequence, place)
) WITHOUT ROWID;
CREATE INDEX ledger_origin ON ledger (origin, sequence);
CREATE INDEX ledger_destination ON ledger (destination, sequence);
CREATE TABLE receipt (
    request BLOB PRIMARY KEY, fingerprint BLOB NOT NULL, time INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX receipt_time ON receipt (time);
CREATE TABLE log (last INTEGER PRIMARY KEY, record BLOB NOT NULL);
INSERT INTO head VALUES (1, 0, 0);
";

/// The events of a trade: its own, its shipment's, its stations'.
const EVENTS: i64 = 4;

/// A database of its own, in a folder that is removed at the end.
#[derive(Debug)]
pub(crate) struct SqliteByHand {
    connection: Connection,
    shape: Shape,
    /// The number of the next trade.
    next: u64,
    _folder: TempDir,
}

impl SqliteByHand {
    /// A new database with the stations and what they hold.
    pub(crate) fn open(shape: Shape) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let mut connection = Connection::open(folder.path().join("reference.db"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -65_536)?;
        // As many bytes as the store.
        connection.pragma_update(None, "wal_autocheckpoint", 32_000)?;
        connection.execute_batch(SCHEMA)?;
        let transaction = connection.transaction()?;
        for station in 0..shape.stations() {
            let number = i64::try_from(station)?;
            let id = shape.station_name(station);
            transaction.execute("INSERT INTO station VALUES (?1, ?2, 1)", params![number, id])?;
            for item in 0..ITEMS {
                transaction.execute(
                    "INSERT INTO stock VALUES (?1, ?2, ?3, 0, 0)",
                    params![number, Shape::item_name(item), i64::try_from(OPENING_UNITS)?],
                )?;
            }
        }
        transaction.commit()?;
        Ok(Self { connection, shape, next: 0, _folder: folder })
    }
}

impl ByHand for SqliteByHand {
    fn trades_per_second(&mut self, per_commit: u64, duration: Duration) -> Result<f64, Failure> {
        let mut statements = Statements::prepare(&self.connection)?;
        let first = self.next;
        let begin = Instant::now();
        while begin.elapsed() < duration {
            let time = now_ms()?;
            statements.begin.raw_execute()?;
            for _ in 0..per_commit {
                statements.trade(self.shape, self.next, time)?;
                self.next += 1;
            }
            statements.head.execute(params![i64::try_from(self.next)? * EVENTS, time])?;
            statements.commit.raw_execute()?;
        }
        Ok((self.next - first) as f64 / begin.elapsed().as_secs_f64())
    }
}

struct Statements<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    take: Statement<'c>,
    give: Statement<'c>,
    version: Statement<'c>,
    trade: Statement<'c>,
    trade_item: Statement<'c>,
    cargo: Statement<'c>,
    ledger: Statement<'c>,
    receipt: Statement<'c>,
    log: Statement<'c>,
    head: Statement<'c>,
    record: Vec<u8>,
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection) -> Result<Self, Failure> {
        let prepare = |sql| connection.prepare(sql);
        Ok(Self {
            begin: prepare("BEGIN IMMEDIATE")?,
            commit: prepare("COMMIT")?,
            take: prepare(
                "UPDATE stock SET on_hand = on_hand - ?1 WHERE station = ?2 AND item = ?3 AND on_hand - reserved >= ?1",
            )?,
            give: prepare("UPDATE stock SET on_hand = on_hand + ?1 WHERE station = ?2 AND item = ?3")?,
            version: prepare("UPDATE station SET version = version + 1 WHERE number = ?1")?,
            trade: prepare("INSERT INTO trade VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?6, 1)")?,
            trade_item: prepare("INSERT INTO trade_item VALUES (?1, ?2)")?,
            cargo: prepare("INSERT INTO cargo VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?6, 1)")?,
            ledger: prepare("INSERT INTO ledger VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, 0)")?,
            receipt: prepare("INSERT INTO receipt VALUES (?1, zeroblob(16), ?2)")?,
            log: prepare("INSERT INTO log VALUES (?1, ?2)")?,
            head: prepare("UPDATE head SET sequence = ?1, time = ?2")?,
            record: vec![b'x'; RECORD_BYTES],
        })
    }

    fn trade(&mut self, shape: Shape, number: u64, time: i64) -> Result<(), Failure> {
        let Ends { seller, buyer, item } = shape.ends(number);
        let (seller, buyer) = (i64::try_from(seller)?, i64::try_from(buyer)?);
        let (item, quantity) = (Shape::item_name(item), 1);
        let sequence = i64::try_from(number)? * EVENTS + 1;
        if self.take.execute(params![quantity, seller, item])? != 1 {
            return Err("the seller has too little".into());
        }
        self.give.execute(params![quantity, buyer, item])?;
        self.version.execute([seller])?;
        self.version.execute([buyer])?;
        let id = Shape::trade_name(number);
        self.trade.execute(params![sequence, id, seller, buyer, lines(&item), time])?;
        self.trade_item.execute(params![item, sequence])?;
        self.cargo.execute(params![sequence + 1, sequence, seller, buyer, time + LEAD_TIME_MS, time])?;
        self.ledger.execute(params![sequence + 2, time, item, quantity, seller, buyer])?;
        self.receipt.execute(params![request(time, number).as_slice(), time])?;
        self.log.execute(params![sequence + EVENTS - 1, self.record])?;
        Ok(())
    }
}
