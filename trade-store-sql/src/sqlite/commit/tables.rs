//! The rows of a commit, table by table.

use super::super::batch::{RowStatement, Script};
use super::super::classify::{NAME, damaged};
use super::super::resolve::RowKeys;
use super::OPERATION;
use crate::rows::{lines_text, stored};
use std::collections::HashMap;
use trade_core::resource::{Cargo, LedgerEntry, Sequence, Station, Trade, Version};
use trade_core::store::{
    Commit, Head, LedgerWrite, LogRecord, Receipt, StockWrite, StoreError, StoreErrorKind, Write,
};
use trade_core::values::{ItemId, Label, ShipmentId, StationId, Timestamp, TransactionId};

static NEW_STATIONS: RowStatement = RowStatement::new(
    "INSERT OR FAIL INTO tn_station (sequence, id, name, on_hand_total, item_count, updated_at, version) SELECT * FROM",
    7,
    "",
);
pub(in super::super) static CHANGED_STATIONS: RowStatement = RowStatement::new(
    "UPDATE OR FAIL tn_station SET on_hand_total = v.column2, item_count = v.column3, updated_at = v.column4, \
     version = v.column5 FROM",
    6,
    "AND tn_station.sequence = v.column1 AND tn_station.version = v.column6",
);
static STOCK: RowStatement = RowStatement::new(
    "INSERT OR FAIL INTO tn_stock (station, item, on_hand, reserved, incoming) SELECT * FROM",
    5,
    " ON CONFLICT (station, item) DO UPDATE SET \
     on_hand = excluded.on_hand, reserved = excluded.reserved, incoming = excluded.incoming",
);
static NEW_TRADES: RowStatement = RowStatement::new(
    "INSERT OR FAIL INTO tn_trade (sequence, id, buyer, seller, lines, settlement, status, expires_at, created_at, \
     updated_at, version) SELECT * FROM",
    11,
    "",
);
pub(in super::super) static CHANGED_TRADES: RowStatement = RowStatement::new(
    "UPDATE OR FAIL tn_trade SET status = v.column2, updated_at = v.column3, version = v.column4 FROM",
    4,
    "AND tn_trade.sequence = v.column1",
);
static TRADE_ITEMS: RowStatement =
    RowStatement::new("INSERT OR FAIL INTO tn_trade_item (item, sequence) SELECT * FROM", 2, "");
static NEW_CARGO: RowStatement = RowStatement::new(
    "INSERT OR FAIL INTO tn_cargo (sequence, trade, id, origin, destination, lines, status, eta, requested_eta, location, \
     expires_at, created_at, updated_at, version) SELECT * FROM",
    14,
    "",
);
pub(in super::super) static CHANGED_CARGO: RowStatement = RowStatement::new(
    "UPDATE OR FAIL tn_cargo SET status = v.column2, eta = v.column3, location = v.column4, updated_at = v.column5, \
     version = v.column6 FROM",
    6,
    "AND tn_cargo.sequence = v.column1",
);
static HISTORY: RowStatement =
    RowStatement::new("INSERT OR FAIL INTO tn_cargo_history (cargo, sequence) SELECT * FROM", 2, "");
static LEDGER: RowStatement = RowStatement::new(
    "INSERT OR FAIL INTO tn_ledger (sequence, place, time, item, quantity, from_place, to_place, reason, cargo, \
     listed_at) SELECT * FROM",
    10,
    "",
);
static RECEIPTS: RowStatement = RowStatement::new(
    "INSERT OR FAIL INTO tn_receipt (request, fingerprint, time, answer) SELECT * FROM",
    4,
    "",
);
static LOG: RowStatement =
    RowStatement::new("INSERT OR FAIL INTO tn_log (last, record) SELECT * FROM", 2, "");

static MOMENT: RowStatement = RowStatement::new(
    "INSERT OR FAIL INTO tn_moment (time, last) SELECT * FROM",
    2,
    " ON CONFLICT (time) DO UPDATE SET last = excluded.last",
);
/// The head, found where the commit expects it: the table's check refuses any other.
static HEAD_FROM: RowStatement = RowStatement::new(
    "UPDATE OR FAIL tn_head SET time = v.column2, \
     sequence = CASE WHEN sequence = v.column3 AND time = v.column4 THEN v.column1 ELSE -1 END FROM",
    4,
    "AND tn_head.one = 1",
);
pub(in super::super) static HEAD: RowStatement = RowStatement::new(
    "UPDATE OR FAIL tn_head SET sequence = v.column1, time = v.column2 FROM",
    2,
    "AND tn_head.one = 1",
);

/// A commit with what its rows need to be written.
pub(super) struct Rows<'r, 'c> {
    pub(super) commit: &'c Commit,
    pub(super) keys: &'r RowKeys<'c>,
    /// How far the head has moved since the commit was loaded.
    pub(super) shift: u64,
    /// Where the log ends after it.
    pub(super) head: Head,
}

impl Rows<'_, '_> {
    /// Moves the head, if it is where the commit was loaded.
    pub(super) fn write_head_from_base(&self, script: &mut Script) {
        let (last, time) = (stored(self.head.sequence), self.head.time.millis());
        let base = self.commit.base;
        script.add(&HEAD_FROM, &[()], |row, ()| {
            row.add(last).add(time).number(base.sequence).add(base.time.millis());
        });
    }
}

/// Adds the rows of a table to a script.
pub(super) type WriteTable = fn(&Rows<'_, '_>, &mut Script) -> Result<(), StoreError>;

/// Rows that another commit may have made first, and rows that are changed.
pub(super) const GUARDED: [WriteTable; 5] =
    [write_stations, write_stock, write_trades, write_cargo, write_receipts];
/// Rows keyed by sequences past the head, which nobody can have made.
pub(super) const APPENDED: [WriteTable; 4] = [write_trade_items, write_history, write_ledger, write_log];
/// The head, where it was not moved first.
pub(super) const MOVED: [WriteTable; 1] = [write_head];

/// What a commit makes and what it changes, each with its key, ascending by it.
fn split<K, T>(
    writes: &[Write<K, T>],
    key: impl Fn(&K) -> Result<i64, StoreError>,
) -> Result<[Vec<(i64, &T)>; 2], StoreError> {
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for write in writes {
        if let Some(value) = &write.value {
            let rows = if write.expected.is_none() { &mut new } else { &mut changed };
            rows.push((key(&write.key)?, &**value));
        }
    }
    new.sort_unstable_by_key(|(key, _)| *key);
    changed.sort_unstable_by_key(|(key, _)| *key);
    Ok([new, changed])
}

fn write_stations(rows: &Rows<'_, '_>, script: &mut Script) -> Result<(), StoreError> {
    let [new, changed] = split(&rows.commit.stations, |id| rows.keys.station(id))?;
    let total = |station: &Station| station.on_hand_total.to_string();
    script.add(&NEW_STATIONS, &new, |row, (key, station)| {
        row.add(*key).text(&station.station_id).add(station.name.as_ref().map(Label::as_str));
        row.add(total(station)).number(station.item_count);
        row.add(station.updated_at.millis()).number(station.version);
    });
    let versions: HashMap<&StationId, Version> =
        rows.commit.stations.iter().filter_map(|write| Some((&write.key, write.expected?))).collect();
    script.add(&CHANGED_STATIONS, &changed, |row, (key, station)| {
        row.add(*key).add(total(station)).number(station.item_count);
        row.add(station.updated_at.millis()).number(station.version);
        row.number(versions.get(&station.station_id).copied().unwrap_or_default());
    });
    Ok(())
}

fn write_stock(rows: &Rows<'_, '_>, script: &mut Script) -> Result<(), StoreError> {
    let keyed = |write| -> Result<(i64, &StockWrite), StoreError> {
        let write: &StockWrite = write;
        Ok((rows.keys.station(&write.row.station_id)?, write))
    };
    let mut stock = rows.commit.stock.iter().map(keyed).collect::<Result<Vec<_>, _>>()?;
    stock.sort_by_key(|(station, _)| *station);
    script.add(&STOCK, &stock, |row, (station, StockWrite { row: stock, .. })| {
        row.add(*station).text(&stock.item_id);
        row.number(stock.level.on_hand).number(stock.level.reserved).number(stock.level.incoming);
    });
    Ok(())
}

/// A trade with the keys and the text of its row.
struct TradeRow<'c> {
    sequence: i64,
    trade: &'c Trade,
    buyer: i64,
    seller: i64,
    lines: String,
}

fn write_trades(rows: &Rows<'_, '_>, script: &mut Script) -> Result<(), StoreError> {
    let [new, changed] = split(&rows.commit.trades, |id| rows.keys.trade(id))?;
    let row = |(sequence, trade): (i64, _)| {
        let trade: &Trade = trade;
        if trade.shipment_id != ShipmentId::of_trade(&trade.transaction_id) {
            let detail = format!("trade {} has a shipment of another name", trade.transaction_id);
            return Err(StoreError::new(StoreErrorKind::Internal, NAME, OPERATION, detail));
        }
        let (buyer, seller) = (rows.keys.station(&trade.buyer)?, rows.keys.station(&trade.seller)?);
        let lines = lines_text(&trade.items).map_err(damaged(OPERATION))?;
        Ok(TradeRow { sequence, trade, buyer, seller, lines })
    };
    let new = new.into_iter().map(row).collect::<Result<Vec<_>, _>>()?;
    script.add(&NEW_TRADES, &new, |row, TradeRow { sequence, trade, buyer, seller, lines }| {
        row.add(*sequence).text(&trade.transaction_id).add(*buyer).add(*seller).add(lines.as_str());
        row.number(trade.settlement.code().into()).number(trade.status.code().into());
        row.add(trade.expires_at.map(Timestamp::millis));
        row.add(trade.created_at.millis()).add(trade.updated_at.millis()).number(trade.version);
    });
    script.add(&CHANGED_TRADES, &changed, |row, (key, trade)| {
        row.add(*key).number(trade.status.code().into());
        row.add(trade.updated_at.millis()).number(trade.version);
    });
    Ok(())
}

fn write_trade_items(rows: &Rows<'_, '_>, script: &mut Script) -> Result<(), StoreError> {
    let [new, _] = split(&rows.commit.trades, |id| rows.keys.trade(id))?;
    let items = |(sequence, trade)| {
        let trade: &Trade = trade;
        trade.items.iter().map(move |line| (&line.item_id, sequence))
    };
    let mut items: Vec<(&ItemId, i64)> = new.into_iter().flat_map(items).collect();
    items.sort_unstable();
    // An item may stand on several lines, at different prices.
    items.dedup();
    script.add(&TRADE_ITEMS, &items, |row, (item, sequence)| {
        row.text(*item).add(*sequence);
    });
    Ok(())
}

/// A shipment with the keys of its row; what it does not repeat of its trade is absent.
struct CargoRow<'c> {
    sequence: i64,
    cargo: &'c Cargo,
    trade: Option<i64>,
    expires_at: Option<Timestamp>,
    own: Option<OwnColumns>,
}

struct OwnColumns {
    origin: i64,
    destination: i64,
    lines: String,
}

fn write_cargo(rows: &Rows<'_, '_>, script: &mut Script) -> Result<(), StoreError> {
    let [new, changed] = split(&rows.commit.cargo, |id| rows.keys.cargo(id))?;
    let trades: HashMap<&TransactionId, &Trade> = match new.is_empty() {
        true => HashMap::new(),
        false => rows.commit.trades.iter().filter_map(|w| Some((&w.key, w.value.as_deref()?))).collect(),
    };
    let row = |(sequence, cargo)| cargo_row(rows.keys, &trades, sequence, cargo);
    let new = new.into_iter().map(row).collect::<Result<Vec<_>, _>>()?;
    script.add(&NEW_CARGO, &new, |row, CargoRow { sequence, cargo, trade, expires_at, own }| {
        let id = own.is_some().then_some(cargo.shipment_id.as_str());
        row.add(*sequence).add(*trade).add(id);
        row.add(own.as_ref().map(|own| own.origin)).add(own.as_ref().map(|own| own.destination));
        row.add(own.as_ref().map(|own| own.lines.as_str()));
        row.number(cargo.status.code().into()).add(cargo.eta.millis());
        row.add(cargo.requested_eta.map(Timestamp::millis)).add(cargo.location.as_ref().map(Label::as_str));
        row.add(expires_at.map(Timestamp::millis));
        row.add(cargo.created_at.millis()).add(cargo.updated_at.millis()).number(cargo.version);
    });
    script.add(&CHANGED_CARGO, &changed, |row, (key, cargo)| {
        row.add(*key).number(cargo.status.code().into()).add(cargo.eta.millis());
        row.add(cargo.location.as_ref().map(Label::as_str));
        row.add(cargo.updated_at.millis()).number(cargo.version);
    });
    Ok(())
}

fn cargo_row<'c>(
    keys: &RowKeys<'c>,
    trades: &HashMap<&TransactionId, &'c Trade>,
    sequence: i64,
    cargo: &'c Cargo,
) -> Result<CargoRow<'c>, StoreError> {
    let trade = match &cargo.transaction_id {
        Some(id) => Some((keys.trade(id)?, trades.get(id))),
        None => None,
    };
    let repeats_nothing = trade.is_some_and(|(key, trade)| {
        key == sequence - 1
            && trade.is_some_and(|trade| {
                cargo.shipment_id == trade.shipment_id
                    && cargo.origin == trade.seller
                    && cargo.destination == trade.buyer
                    && cargo.items == trade.items
            })
    });
    let own = if repeats_nothing {
        None
    } else {
        Some(OwnColumns {
            origin: keys.station(&cargo.origin)?,
            destination: keys.station(&cargo.destination)?,
            lines: lines_text(&cargo.items).map_err(damaged(OPERATION))?,
        })
    };
    let expires_at = trade.and_then(|(_, trade)| trade?.expires_at);
    Ok(CargoRow { sequence, cargo, trade: trade.map(|(key, _)| key), expires_at, own })
}

fn write_history(rows: &Rows<'_, '_>, script: &mut Script) -> Result<(), StoreError> {
    let key = |(id, sequence): &(_, Sequence)| Ok((rows.keys.cargo(id)?, sequence + rows.shift));
    let mut history = rows.commit.history.iter().map(key).collect::<Result<Vec<_>, StoreError>>()?;
    history.sort_unstable();
    script.add(&HISTORY, &history, |row, (cargo, sequence)| {
        row.add(*cargo).number(*sequence);
    });
    Ok(())
}

fn write_ledger(rows: &Rows<'_, '_>, script: &mut Script) -> Result<(), StoreError> {
    let mut entries = Vec::with_capacity(rows.commit.ledger.len());
    let (mut event, mut place): (Sequence, u64) = (0, 0);
    for LedgerWrite { entry, listed_at } in &rows.commit.ledger {
        place = if entry.sequence == event { place + 1 } else { 0 };
        event = entry.sequence;
        let cargo = entry.shipment_id.as_ref().map(|id| rows.keys.cargo(id)).transpose()?;
        let listed_at = listed_at.as_ref().map(|id| rows.keys.station(id)).transpose()?;
        let (from, to) = (rows.keys.place(&entry.from)?, rows.keys.place(&entry.to)?);
        entries.push((entry, place, from, to, cargo, listed_at));
    }
    script.add(&LEDGER, &entries, |row, (entry, place, from, to, cargo, listed_at)| {
        let entry: &LedgerEntry = entry;
        row.number(entry.sequence + rows.shift).number(*place).add(entry.time.millis());
        row.text(&entry.item_id).number(entry.quantity.units());
        row.add(*from).add(*to).number(entry.reason.code().into()).add(*cargo).add(*listed_at);
    });
    Ok(())
}

fn write_receipts(rows: &Rows<'_, '_>, script: &mut Script) -> Result<(), StoreError> {
    script.add(&RECEIPTS, &rows.commit.receipts, |row, Receipt { request, fingerprint, time, answer }| {
        row.add(&request.0[..]).add(&fingerprint.0[..]).add(time.millis()).add(answer.as_deref());
    });
    Ok(())
}

/// The records, and the moments they were committed at.
fn write_log(rows: &Rows<'_, '_>, script: &mut Script) -> Result<(), StoreError> {
    script.add(&LOG, &rows.commit.log, |row, LogRecord { last, step }| {
        row.add(stored(last + rows.shift)).add(step.encode());
    });
    let same_time = |a: &LogRecord, b: &LogRecord| a.step.time == b.step.time;
    let moments: Vec<_> = rows.commit.log.chunk_by(same_time).filter_map(|steps| steps.last()).collect();
    script.add(&MOMENT, &moments, |row, LogRecord { last, step }| {
        row.add(step.time.millis()).add(stored(last + rows.shift));
    });
    Ok(())
}

fn write_head(rows: &Rows<'_, '_>, script: &mut Script) -> Result<(), StoreError> {
    script.add(&HEAD, &[()], |row, ()| {
        row.add(stored(rows.head.sequence)).add(rows.head.time.millis());
    });
    Ok(())
}
