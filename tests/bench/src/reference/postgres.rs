//! Trades' rows written to PostgreSQL by hand: one connection, prepared statements over arrays, one of each table for
//! all trades of a commit.
//!
//! For each trade: the levels and versions of both stations, the trade, its item, its shipment, its ledger row, a
//! receipt, a record of the log, and every index that the lists are served by; for each commit: the head.

use super::batch::{Batch, TradeRow};
use super::{ByHand, RECORD_BYTES, now_ms};
use crate::database::{Database, Kind};
use crate::report::Failure;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Connection, Executor, PgConnection, Postgres, query};
use std::time::{Duration, Instant};
use tests::load::{ITEMS, OPENING_UNITS, Shape};

const SCHEMA: &str = r#"
CREATE TABLE head (one integer PRIMARY KEY, sequence bigint NOT NULL, time bigint NOT NULL);
CREATE TABLE station (number bigint PRIMARY KEY, id text COLLATE "C" NOT NULL UNIQUE, version bigint NOT NULL);
CREATE TABLE stock (
    station bigint NOT NULL, item text COLLATE "C" NOT NULL,
    on_hand bigint NOT NULL CHECK (on_hand >= 0),
    reserved bigint NOT NULL CHECK (reserved BETWEEN 0 AND on_hand),
    incoming bigint NOT NULL CHECK (incoming >= 0),
    PRIMARY KEY (station, item)
);
CREATE TABLE trade (
    sequence bigint PRIMARY KEY, id text COLLATE "C" NOT NULL UNIQUE, seller bigint NOT NULL, buyer bigint NOT NULL,
    lines text NOT NULL, status smallint NOT NULL, created bigint NOT NULL, updated bigint NOT NULL,
    version bigint NOT NULL
);
CREATE INDEX trade_seller ON trade (seller, sequence);
CREATE INDEX trade_buyer ON trade (buyer, sequence);
CREATE INDEX trade_status ON trade (status, sequence);
CREATE TABLE trade_item (item text COLLATE "C" NOT NULL, sequence bigint NOT NULL, PRIMARY KEY (item, sequence));
CREATE TABLE cargo (
    sequence bigint PRIMARY KEY, trade bigint UNIQUE, origin bigint NOT NULL, destination bigint NOT NULL,
    status smallint NOT NULL, eta bigint NOT NULL, created bigint NOT NULL, updated bigint NOT NULL,
    version bigint NOT NULL
);
CREATE INDEX cargo_origin ON cargo (origin, sequence);
CREATE INDEX cargo_destination ON cargo (destination, sequence);
CREATE INDEX cargo_status ON cargo (status, sequence);
CREATE TABLE ledger (
    sequence bigint NOT NULL, place smallint NOT NULL, time bigint NOT NULL, item text COLLATE "C" NOT NULL,
    quantity bigint NOT NULL, origin bigint NOT NULL, destination bigint NOT NULL, reason smallint NOT NULL,
    PRIMARY KEY (sequence, place)
);
CREATE INDEX ledger_origin ON ledger (origin, sequence);
CREATE INDEX ledger_destination ON ledger (destination, sequence);
CREATE TABLE receipt (request bytea PRIMARY KEY, fingerprint bytea NOT NULL, time bigint NOT NULL);
CREATE INDEX receipt_time ON receipt (time);
CREATE TABLE log (last bigint PRIMARY KEY, record bytea NOT NULL);
INSERT INTO head VALUES (1, 0, 0);
"#;

const STOCK: &str = "UPDATE stock s SET on_hand = s.on_hand + v.change \
    FROM UNNEST($1::bigint[], $2::text[], $3::bigint[]) v (station, item, change) \
    WHERE s.station = v.station AND s.item = v.item AND s.on_hand + v.change >= s.reserved";
const STATION: &str = "UPDATE station s SET version = s.version + v.changes \
    FROM UNNEST($1::bigint[], $2::bigint[]) v (number, changes) WHERE s.number = v.number";
const TRADE: &str = "INSERT INTO trade SELECT sequence, id, seller, buyer, lines, 0, $6, $6, 1 \
    FROM UNNEST($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[]) \
    v (sequence, id, seller, buyer, lines)";
const TRADE_ITEM: &str = "INSERT INTO trade_item SELECT * FROM UNNEST($1::text[], $2::bigint[])";
const CARGO: &str = "INSERT INTO cargo SELECT sequence, sequence - 1, seller, buyer, 0, $4, $5, $5, 1 \
    FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[]) v (sequence, seller, buyer)";
const LEDGER: &str = "INSERT INTO ledger SELECT sequence, 0, $5, item, 1, seller, buyer, 0 \
    FROM UNNEST($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) v (sequence, item, seller, buyer)";
const RECEIPT: &str = "INSERT INTO receipt SELECT request, $2, $3 FROM UNNEST($1::bytea[]) v (request)";
const LOG: &str = "INSERT INTO log SELECT * FROM UNNEST($1::bigint[], $2::bytea[])";
const HEAD: &str = "UPDATE head SET sequence = $1, time = $2 WHERE one = 1";

/// A database of its own.
#[derive(Debug)]
pub(crate) struct PostgresByHand {
    connection: PgConnection,
    shape: Shape,
    /// The number of the next trade.
    next: u64,
    _database: Database,
}

impl PostgresByHand {
    /// A new database with the stations and what they hold.
    pub(crate) async fn open(shape: Shape) -> Result<Self, Failure> {
        let database = Database::create(Kind::Postgres).await?;
        let mut connection = PgConnection::connect(&database.url).await?;
        connection.execute(SCHEMA).await?;
        let stations = 0..i64::try_from(shape.stations())?;
        let names: Vec<_> = (0..shape.stations()).map(|number| shape.station_name(number)).collect();
        query("INSERT INTO station SELECT *, 1 FROM UNNEST($1::bigint[], $2::text[])")
            .bind(stations.collect::<Vec<_>>())
            .bind(names)
            .execute(&mut connection)
            .await?;
        let items: Vec<_> = (0..ITEMS).map(Shape::item_name).collect();
        query("INSERT INTO stock SELECT number, item, $2, 0, 0 FROM station, UNNEST($1::text[]) v (item)")
            .bind(items)
            .bind(i64::try_from(OPENING_UNITS)?)
            .execute(&mut connection)
            .await?;
        Ok(Self { connection, shape, next: 0, _database: database })
    }

    async fn commit(&mut self, count: u64) -> Result<(), Failure> {
        let batch = Batch::new(self.shape, self.next, count, now_ms()?)?;
        let mut transaction = self.connection.begin().await?;
        let written = &mut *transaction;
        let levels = batch.levels.len() as u64;
        if stock(&batch).execute(&mut *written).await?.rows_affected() != levels {
            return Err("a seller has too little".into());
        }
        let (numbers, changes): (Vec<i64>, Vec<i64>) = batch.stations.iter().unzip();
        query(STATION).bind(numbers).bind(changes).execute(&mut *written).await?;
        trade(&batch).execute(&mut *written).await?;
        let (items, sequences): (Vec<_>, Vec<_>) =
            batch.items.iter().map(|(item, at)| (&**item, *at)).unzip();
        query(TRADE_ITEM).bind(items).bind(sequences).execute(&mut *written).await?;
        cargo(&batch).execute(&mut *written).await?;
        ledger(&batch).execute(&mut *written).await?;
        let requests: Vec<_> = column(&batch, |trade| &trade.request[..]);
        query(RECEIPT).bind(requests).bind(&[0_u8; 16][..]).bind(batch.time).execute(&mut *written).await?;
        let records = vec![&[b'x'; RECORD_BYTES][..]; batch.trades.len()];
        query(LOG).bind(column(&batch, TradeRow::last)).bind(records).execute(&mut *written).await?;
        query(HEAD).bind(batch.last).bind(batch.time).execute(&mut *written).await?;
        transaction.commit().await?;
        self.next += count;
        Ok(())
    }
}

type Statement<'q> = Query<'q, Postgres, PgArguments>;

fn column<'b, T>(batch: &'b Batch, of: impl Fn(&'b TradeRow) -> T) -> Vec<T> {
    batch.trades.iter().map(of).collect()
}

fn stock(batch: &Batch) -> Statement<'_> {
    let stations: Vec<_> = batch.levels.keys().map(|(station, _)| *station).collect();
    let items: Vec<_> = batch.levels.keys().map(|(_, item)| item.as_str()).collect();
    query(STOCK).bind(stations).bind(items).bind(batch.levels.values().copied().collect::<Vec<_>>())
}

fn trade(batch: &Batch) -> Statement<'_> {
    query(TRADE)
        .bind(column(batch, |trade| trade.sequence))
        .bind(column(batch, |trade| trade.id.as_str()))
        .bind(column(batch, |trade| trade.seller))
        .bind(column(batch, |trade| trade.buyer))
        .bind(column(batch, |trade| trade.lines.as_str()))
        .bind(batch.time)
}

fn cargo(batch: &Batch) -> Statement<'_> {
    query(CARGO)
        .bind(column(batch, TradeRow::cargo))
        .bind(column(batch, |trade| trade.seller))
        .bind(column(batch, |trade| trade.buyer))
        .bind(batch.eta)
        .bind(batch.time)
}

fn ledger(batch: &Batch) -> Statement<'_> {
    query(LEDGER)
        .bind(column(batch, TradeRow::ledger))
        .bind(column(batch, |trade| trade.item.as_str()))
        .bind(column(batch, |trade| trade.seller))
        .bind(column(batch, |trade| trade.buyer))
        .bind(batch.time)
}

impl ByHand for PostgresByHand {
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
