//! The documents that a commit makes and changes, collection by collection, in the order of their keys.

use super::statements::{Sort, Statements};
use super::turn::OPERATION;
use crate::documents::{cargo, history, ledger, log, receipt, station, stock, stored, trade, unwritable};
use crate::schema::{CARGO, HISTORY, LEDGER, LOG, PIECES, RECEIPTS, STATIONS, STOCK, TRADES};
use mongodb::bson::{RawDocumentBuf, rawdoc};
use std::collections::HashMap;
use trade_core::resource::{Sequence, Trade};
use trade_core::store::{Commit, LedgerPosition, LedgerWrite, StoreError, Write};
use trade_core::values::TransactionId;

/// Everything but the head, the commit's sequences moved by as much as the head has. Where the head did not prove the
/// versions that are expected, every change names its own.
///
/// # Errors
/// `Internal` for what no document can hold: whoever made the commit has a defect.
pub(super) fn of(commit: &Commit, shift: u64, is_proven: bool) -> Result<Vec<Statements>, StoreError> {
    let [new_stations, changed_stations] = stations(commit, shift, is_proven)?;
    let [new_stock, changed_stock] = stock(commit);
    let [new_trades, changed_trades] = trades(commit, shift, is_proven)?;
    let [new_cargo, changed_cargo] = cargo(commit, shift, is_proven)?;
    let [receipts, pieces] = receipts(commit, shift);
    Ok(vec![
        receipts,
        pieces,
        changed_stations,
        new_stations,
        changed_stock,
        new_stock,
        changed_trades,
        new_trades,
        changed_cargo,
        new_cargo,
        history(commit, shift),
        ledger(commit, shift),
        log(commit, shift)?,
    ])
}

fn both(collection: &'static str) -> [Statements; 2] {
    [Statements::new(collection, Sort::Insert), Statements::new(collection, Sort::Update)]
}

/// The document of a key, in the version that is expected where the head did not prove it. A filter of nothing but the
/// id is spared the query planner, a third of what the statement costs the server.
fn expected<K: AsRef<str>, T>(write: &Write<K, T>, version: u64, is_proven: bool) -> RawDocumentBuf {
    match is_proven {
        true => rawdoc! { "_id": write.key.as_ref() },
        false => rawdoc! { "_id": write.key.as_ref(), "version": stored(version) },
    }
}

fn stations(commit: &Commit, shift: u64, is_proven: bool) -> Result<[Statements; 2], StoreError> {
    let defect = unwritable(OPERATION);
    let [mut new, mut changed] = both(STATIONS);
    for write in &commit.stations {
        match (&write.value, write.expected) {
            (None, _) => {}
            (Some(value), None) => {
                new.add(station::write(value, write.created + shift).map_err(defect)?);
            }
            (Some(value), Some(version)) => {
                changed.update(
                    expected(write, version, is_proven),
                    station::change(value, commit.described.contains(&write.key)).map_err(defect)?,
                );
            }
        }
    }
    Ok([new, changed])
}

fn stock(commit: &Commit) -> [Statements; 2] {
    let [mut new, mut changed] = both(STOCK);
    for write in &commit.stock {
        if write.listed {
            let key = stock::key(&write.row.station_id, &write.row.item_id);
            changed.update(rawdoc! { "_id": key }, stock::change(&write.row.level));
        } else {
            new.add(stock::write(&write.row));
        }
    }
    [new, changed]
}

fn trades(commit: &Commit, shift: u64, is_proven: bool) -> Result<[Statements; 2], StoreError> {
    let defect = unwritable(OPERATION);
    let [mut new, mut changed] = both(TRADES);
    for write in &commit.trades {
        match (&write.value, write.expected) {
            (None, _) => {}
            (Some(value), None) => {
                new.add(trade::write(value, write.created + shift).map_err(defect)?);
            }
            (Some(value), Some(version)) => {
                changed.update(expected(write, version, is_proven), trade::change(value))
            }
        }
    }
    Ok([new, changed])
}

fn cargo(commit: &Commit, shift: u64, is_proven: bool) -> Result<[Statements; 2], StoreError> {
    let defect = unwritable(OPERATION);
    let [mut new, mut changed] = both(CARGO);
    let trades: HashMap<&TransactionId, &Trade> =
        commit.trades.iter().filter_map(|write| Some((&write.key, write.value.as_deref()?))).collect();
    for write in &commit.cargo {
        match (&write.value, write.expected) {
            (None, _) => {}
            (Some(value), None) => {
                let trade = value.transaction_id.as_ref().and_then(|id| trades.get(id));
                let expires_at = trade.and_then(|trade| trade.expires_at);
                new.add(cargo::write(value, write.created + shift, expires_at).map_err(defect)?);
            }
            (Some(value), Some(version)) => {
                changed.update(expected(write, version, is_proven), cargo::change(value).map_err(defect)?);
            }
        }
    }
    Ok([new, changed])
}

fn history(commit: &Commit, shift: u64) -> Statements {
    let mut events = Statements::new(HISTORY, Sort::Append);
    commit.history.iter().for_each(|(id, sequence)| events.add(history::write(id, sequence + shift)));
    events
}

fn ledger(commit: &Commit, shift: u64) -> Statements {
    let mut entries = Statements::new(LEDGER, Sort::Append);
    let (mut event, mut index): (Sequence, u32) = (0, 0);
    for write in &commit.ledger {
        let LedgerWrite { entry, .. } = write;
        index = if entry.sequence == event { index + 1 } else { 0 };
        event = entry.sequence;
        entries.add(ledger::write(write, LedgerPosition { sequence: event + shift, index }));
    }
    entries
}

fn log(commit: &Commit, shift: u64) -> Result<Statements, StoreError> {
    let mut records = Statements::new(LOG, Sort::Append);
    let chunks = log::write(&commit.log, shift).map_err(unwritable(OPERATION))?;
    chunks.into_iter().for_each(|chunk| records.add(chunk));
    Ok(records)
}

fn receipts(commit: &Commit, shift: u64) -> [Statements; 2] {
    let mut receipts = Statements::new(RECEIPTS, Sort::Insert);
    let mut pieces = Statements::new(PIECES, Sort::Insert);
    for receipt in &commit.receipts {
        receipts.add(receipt::write(receipt, shift));
        receipt::write_pieces(receipt).for_each(|piece| pieces.add(piece));
    }
    [receipts, pieces]
}
