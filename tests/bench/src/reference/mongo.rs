//! Trades' documents written to MongoDB by hand: one connection, one transaction for all trades of a commit, in it one
//! `update` of many statements or one `insert_many` for each collection.
//!
//! The documents, indexes and validators are those of the store. For each trade: the levels, totals and versions of both
//! stations, the trade, its shipment, its ledger row, a record of the log; for each commit: the head, first of all, and a
//! receipt.

mod schema;

use super::batch::{Batch, TradeRow};
use super::{ByHand, RECORD_BYTES, now_ms};
use crate::database::{Database, Kind};
use crate::report::Failure;
use mongodb::bson::raw::{RawArrayBuf, RawDocumentBuf};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, Decimal128, rawdoc};
use mongodb::options::{Acknowledgment, ClientOptions, ReadConcern, TransactionOptions, WriteConcern};
use mongodb::{Client, ClientSession};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tests::load::{ITEMS, OPENING_UNITS, Shape};

const AMOUNT: &str = "2.55";
const CURRENCY: &str = "GBP";
/// What a document of the log holds of records.
const LOG_BYTES: usize = 32 << 10;

/// A database of its own.
#[derive(Debug)]
pub(crate) struct MongoByHand {
    client: Client,
    session: ClientSession,
    transaction: TransactionOptions,
    shape: Shape,
    /// The number of the next trade.
    next: u64,
    /// Where the log ends.
    head: i64,
    price: RawDocumentBuf,
    database: Database,
}

impl MongoByHand {
    /// A new database with the stations and what they hold.
    pub(crate) async fn open(shape: Shape) -> Result<Self, Failure> {
        let database = Database::create(Kind::Mongo).await?;
        let mut options = ClientOptions::parse(&database.url).await?;
        options.max_pool_size = Some(1);
        let client = Client::with_options(options)?;
        let durable = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
        let transaction = TransactionOptions::builder()
            .read_concern(ReadConcern::snapshot())
            .write_concern(durable)
            .build();
        let session = client.start_session().await?;
        let amount: Decimal128 = AMOUNT.parse()?;
        let price = rawdoc! { "amount": amount, "currency": CURRENCY };
        let mut opened = Self { client, session, transaction, shape, next: 0, head: 0, price, database };
        opened.prepare().await?;
        Ok(opened)
    }

    async fn prepare(&mut self) -> Result<(), Failure> {
        schema::make(&self.client.database(self.database.name())).await?;
        let now = DateTime::from_millis(now_ms()?);
        let head = rawdoc! { "_id": 1_i32, "sequence": 0_i64, "time": now, "commits": 0_i64 };
        self.insert("head", vec![head]).await?;
        let total: Decimal128 = (ITEMS * OPENING_UNITS).to_string().parse()?;
        let items = i64::try_from(ITEMS)?;
        // As if they had been made by other steps than those that are counted.
        let stations = (1..).zip(0..self.shape.stations()).map(|(sequence, number): (i64, _)| {
            let name = self.shape.station_name(number);
            rawdoc! {
                "_id": name, "quantity": total, "itemCount": items, "version": 1_i64, "createdSequence": sequence,
                "updatedAt": now,
            }
        });
        self.insert("stations", stations.collect()).await?;
        let units = i64::try_from(OPENING_UNITS)?;
        let levels = (0..self.shape.stations()).flat_map(|number| {
            let station = self.shape.station_name(number);
            (0..ITEMS).map(move |item| {
                let item = Shape::item_name(item);
                rawdoc! {
                    "_id": format!("{station}/{item}"), "stationId": station.as_str(), "itemId": item,
                    "onHand": units, "reserved": 0_i64, "incoming": 0_i64,
                }
            })
        });
        self.insert("stock", levels.collect()).await
    }

    async fn commit(&mut self, count: u64) -> Result<(), Failure> {
        let batch = Batch::new(self.shape, self.next, count, now_ms()?)?;
        let time = DateTime::from_millis(batch.time);
        self.session.start_transaction().with_options(self.transaction.clone()).await?;
        let head = statement(
            rawdoc! { "_id": 1_i32, "sequence": self.head },
            rawdoc! { "$set": { "sequence": batch.last, "time": time }, "$inc": { "commits": 1_i64 } },
        );
        self.update("head", vec![head]).await?;
        self.update("stations", self.stations(&batch)).await?;
        self.update("stock", self.stock(&batch)).await?;
        self.insert("trades", self.trades(&batch)).await?;
        self.insert("cargo", self.cargo(&batch)).await?;
        self.insert("ledger", self.ledger(&batch)).await?;
        self.insert("log", log(&batch)).await?;
        self.insert("receipts", receipt(&batch).into_iter().collect()).await?;
        self.session.commit_transaction().await?;
        self.next += count;
        self.head = batch.last;
        Ok(())
    }

    async fn insert(&mut self, collection: &str, documents: Vec<RawDocumentBuf>) -> Result<(), Failure> {
        let database = self.client.database(self.database.name());
        let collection = database.collection::<RawDocumentBuf>(collection);
        collection.insert_many(documents).session(&mut self.session).await?;
        Ok(())
    }

    /// Every statement must find its document. What the validators refuse is not found either.
    async fn update(&mut self, collection: &str, statements: Vec<RawDocumentBuf>) -> Result<(), Failure> {
        let count = statements.len();
        let mut updates = RawArrayBuf::new();
        statements.into_iter().for_each(|statement| updates.push(statement));
        let database = self.client.database(self.database.name());
        let command = rawdoc! { "update": collection, "updates": updates };
        let answer = database.run_raw_command(command).session(&mut self.session).await?;
        match answer.get_i32("n").map(usize::try_from) {
            Ok(Ok(found)) if found == count => Ok(()),
            _ => Err(format!("not all of {count} documents of {collection} are changed: {answer}").into()),
        }
    }

    fn stations(&self, batch: &Batch) -> Vec<RawDocumentBuf> {
        let time = DateTime::from_millis(batch.time);
        let mut totals: BTreeMap<i64, i64> = BTreeMap::new();
        for ((number, _), change) in &batch.levels {
            *totals.entry(*number).or_default() += change;
        }
        let statements = batch.stations.iter().map(|(number, changes)| {
            let total = totals.get(number).copied().unwrap_or_default();
            statement(
                rawdoc! { "_id": self.station(*number) },
                rawdoc! { "$inc": { "quantity": total, "version": *changes }, "$set": { "updatedAt": time } },
            )
        });
        statements.collect()
    }

    fn stock(&self, batch: &Batch) -> Vec<RawDocumentBuf> {
        let statements = batch.levels.iter().map(|((number, item), change)| {
            statement(
                rawdoc! { "_id": format!("{}/{item}", self.station(*number)) },
                rawdoc! { "$inc": { "onHand": *change } },
            )
        });
        statements.collect()
    }

    fn trades(&self, batch: &Batch) -> Vec<RawDocumentBuf> {
        let time = DateTime::from_millis(batch.time);
        rows(batch, |row| {
            rawdoc! {
                "_id": row.id.as_str(), "buyer": self.station(row.buyer), "seller": self.station(row.seller),
                "items": self.lines(row), "totals": [self.price.clone()], "settlement": "immediate",
                "status": "initiated", "shipmentId": shipment(row), "createdAt": time, "updatedAt": time,
                "version": 1_i64, "sequence": row.sequence,
            }
        })
    }

    fn cargo(&self, batch: &Batch) -> Vec<RawDocumentBuf> {
        let (time, eta) = (DateTime::from_millis(batch.time), DateTime::from_millis(batch.eta));
        rows(batch, |row| {
            rawdoc! {
                "_id": shipment(row), "transactionId": row.id.as_str(), "origin": self.station(row.seller),
                "destination": self.station(row.buyer), "items": self.lines(row), "status": "pending", "ETA": eta,
                "createdAt": time, "updatedAt": time, "version": 1_i64, "sequence": row.cargo(),
            }
        })
    }

    fn ledger(&self, batch: &Batch) -> Vec<RawDocumentBuf> {
        let time = DateTime::from_millis(batch.time);
        rows(batch, |row| {
            let (seller, buyer) = (self.station(row.seller), self.station(row.buyer));
            rawdoc! {
                "_id": { "sequence": row.ledger(), "index": 0_i64 }, "time": time, "itemId": row.item.as_str(),
                "quantity": 1_i64, "from": format!("station/{seller}"), "to": format!("station/{buyer}"),
                "reason": "trade_initiated", "transactionId": row.id.as_str(), "shipmentId": shipment(row),
                "stations": [seller, buyer],
            }
        })
    }

    fn station(&self, number: i64) -> String {
        self.shape.station_name(number.unsigned_abs())
    }

    fn lines(&self, row: &TradeRow) -> RawArrayBuf {
        let mut lines = RawArrayBuf::new();
        lines.push(
            rawdoc! { "itemId": row.item.as_str(), "quantity": 1_i64, "unitPrice": self.price.clone() },
        );
        lines
    }
}

fn shipment(row: &TradeRow) -> String {
    format!("shipment-{}", row.id)
}

/// Several steps in a document: it is never changed, and read in order.
fn log(batch: &Batch) -> Vec<RawDocumentBuf> {
    let time = DateTime::from_millis(batch.time);
    let documents = batch.trades.chunks(LOG_BYTES / RECORD_BYTES).map(|rows| {
        let (mut steps, mut last) = (RawArrayBuf::new(), 0);
        for row in rows {
            last = row.last();
            steps.push(rawdoc! { "last": last, "record": binary(vec![b'x'; RECORD_BYTES]) });
        }
        rawdoc! { "_id": last, "time": time, "steps": steps }
    });
    documents.collect()
}

/// One for all of them, as there is for requests that came without a key and were tried together.
fn receipt(batch: &Batch) -> Option<RawDocumentBuf> {
    let request = batch.trades.first()?.request;
    let time = DateTime::from_millis(batch.time);
    Some(rawdoc! { "_id": binary(request.to_vec()), "fingerprint": binary(vec![0; 16]), "time": time })
}

fn rows(batch: &Batch, row: impl Fn(&TradeRow) -> RawDocumentBuf) -> Vec<RawDocumentBuf> {
    batch.trades.iter().map(row).collect()
}

fn binary(bytes: Vec<u8>) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes }
}

fn statement(query: RawDocumentBuf, change: RawDocumentBuf) -> RawDocumentBuf {
    rawdoc! { "q": query, "u": change }
}

impl ByHand for MongoByHand {
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
