//! The rows of a commit, table by table.

use super::keys::RowKeys;
use super::new_trades::NewTrades;
use super::{Cell, Defect, RowSet, Sink};
use crate::receipts::{self, Piece};
use crate::rows::stored;
use std::collections::HashMap;
use trade_core::resource::{Cargo, Lines, Sequence, Station, Trade, Version};
use trade_core::store::{Commit, Head, LedgerWrite, LogRecord, StockRow, Write};
use trade_core::values::{ItemId, Label, Metadata, ShipmentId, StationId, Timestamp};

/// A commit with what its rows need to be written.
pub(crate) struct CommitRows<'r, 'c> {
    pub(crate) commit: &'c Commit,
    pub(crate) keys: &'r RowKeys<'c>,
    /// How far the head has moved since the commit was loaded.
    pub(crate) shift: u64,
    /// Where the log ends after it.
    pub(crate) head: Head,
    /// What it makes of trades.
    pub(crate) new_trades: NewTrades<'c>,
}

impl<'r, 'c> CommitRows<'r, 'c> {
    /// Of a commit that stands behind `stored_head`, which is so far from where it was loaded.
    pub(crate) fn new(
        commit: &'c Commit,
        keys: &'r RowKeys<'c>,
        shift: u64,
        stored_head: Head,
    ) -> Result<Self, Defect> {
        let new_trades = NewTrades::of(commit, keys, shift)?;
        Ok(Self { commit, keys, shift, head: commit.head_after(stored_head), new_trades })
    }
}

/// Adds the rows of a table to a sink.
pub(crate) type WriteTable<S> = fn(&CommitRows<'_, '_>, &mut S) -> Result<(), Defect>;

/// Rows that another commit may have made first, and rows that are changed.
pub(crate) fn guarded<S: Sink>() -> [WriteTable<S>; 5] {
    [write_stations, write_stock, write_trades, write_cargo, write_receipts]
}

/// Rows keyed by sequences past the head, which nobody can have made.
pub(crate) fn appended<S: Sink>() -> [WriteTable<S>; 4] {
    [write_trade_items, write_history, write_ledger, write_log]
}

/// The head, where it was not moved first.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn moved<S: Sink>() -> [WriteTable<S>; 1] {
    [write_head]
}

/// Lines as a row keeps them.
fn lines_text(lines: &Lines) -> Result<String, Defect> {
    serde_json::to_string(lines).map_err(|error| Defect(format!("lines cannot be written: {error}")))
}

/// Metadata as a row keeps it, or that which was asked for, which may be none.
fn metadata_text<T: serde::Serialize>(metadata: Option<&T>) -> Result<Option<String>, Defect> {
    let text = metadata.map(serde_json::to_string).transpose();
    text.map_err(|error| Defect(format!("metadata cannot be written: {error}")))
}

/// What a commit makes and what it changes, each with its key, ascending by it.
fn split<K, T>(
    writes: &[Write<K, T>],
    key: impl Fn(&K) -> Result<i64, Defect>,
) -> Result<[Vec<(i64, &T)>; 2], Defect> {
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

type Described<'v, T> = (i64, &'v T, Option<String>);

/// Rows with their metadata as text.
fn with_metadata<'v, T>(
    rows: Vec<(i64, &'v T)>,
    of: impl Fn(&T) -> Option<&Metadata>,
) -> Result<Vec<Described<'v, T>>, Defect> {
    rows.into_iter().map(|(key, row)| Ok((key, row, metadata_text(of(row))?))).collect()
}

fn write_stations<S: Sink>(rows: &CommitRows<'_, '_>, sink: &mut S) -> Result<(), Defect> {
    let [new, changed] = split(&rows.commit.stations, |id| rows.keys.station(id))?;
    let is_described = |(_, station): &(i64, &Station)| rows.commit.described.contains(&station.station_id);
    let (described, changed): (Vec<_>, Vec<_>) = changed.into_iter().partition(is_described);
    let [new, described] = [
        with_metadata(new, |station| station.metadata.as_ref())?,
        with_metadata(described, |station| station.metadata.as_ref())?,
    ];
    sink.add(
        RowSet::NewStations,
        new.into_iter().map(|(sequence, station, metadata)| {
            [
                sequence.into(),
                Cell::id(&station.station_id),
                station.name.as_ref().map(Label::as_str).into(),
                metadata.into(),
                station.on_hand_total.to_string().into(),
                Cell::number(station.item_count),
                station.updated_at.millis().into(),
                Cell::number(station.version),
            ]
        }),
    );
    let versions: HashMap<&StationId, Version> =
        rows.commit.stations.iter().filter_map(|write| Some((&write.key, write.expected?))).collect();
    let expected = |station: &Station| versions.get(&station.station_id).copied().unwrap_or_default();
    sink.add(
        RowSet::ChangedStations,
        changed.into_iter().map(|(sequence, station)| {
            [
                sequence.into(),
                station.on_hand_total.to_string().into(),
                Cell::number(station.item_count),
                station.updated_at.millis().into(),
                Cell::number(station.version),
                Cell::number(expected(station)),
            ]
        }),
    );
    sink.add(
        RowSet::DescribedStations,
        described.into_iter().map(|(sequence, station, metadata)| {
            [
                sequence.into(),
                station.name.as_ref().map(Label::as_str).into(),
                metadata.into(),
                station.on_hand_total.to_string().into(),
                Cell::number(station.item_count),
                station.updated_at.millis().into(),
                Cell::number(station.version),
                Cell::number(expected(station)),
            ]
        }),
    );
    Ok(())
}

fn write_stock<S: Sink>(rows: &CommitRows<'_, '_>, sink: &mut S) -> Result<(), Defect> {
    let (mut stock, mut listed) = (Vec::new(), Vec::with_capacity(rows.commit.stock.len()));
    for write in &rows.commit.stock {
        let of = if write.listed && S::CHANGES_STOCK { &mut listed } else { &mut stock };
        of.push((rows.keys.station(&write.row.station_id)?, &write.row));
    }
    for (set, mut levels) in [(RowSet::Stock, stock), (RowSet::ListedStock, listed)] {
        levels.sort_by_key(|(station, _)| *station);
        sink.add(
            set,
            levels.into_iter().map(|(station, StockRow { item_id, level, .. })| {
                [
                    station.into(),
                    Cell::id(item_id),
                    Cell::number(level.on_hand),
                    Cell::number(level.reserved),
                    Cell::number(level.incoming),
                ]
            }),
        );
    }
    Ok(())
}

/// A trade with the keys and the text of its row.
struct TradeRow<'c> {
    sequence: i64,
    trade: &'c Trade,
    buyer: i64,
    seller: i64,
    lines: String,
    metadata: Option<String>,
}

fn write_trades<S: Sink>(rows: &CommitRows<'_, '_>, sink: &mut S) -> Result<(), Defect> {
    let [new, changed] = split(&rows.commit.trades, |id| rows.keys.trade(id))?;
    let row = |(sequence, trade): (i64, _)| {
        let trade: &Trade = trade;
        if trade.shipment_id != ShipmentId::of_trade(&trade.transaction_id) {
            return Err(Defect(format!("trade {} has a shipment of another name", trade.transaction_id)));
        }
        let (buyer, seller) = (rows.keys.station(&trade.buyer)?, rows.keys.station(&trade.seller)?);
        let (lines, metadata) = (lines_text(&trade.items)?, metadata_text(trade.metadata.as_ref())?);
        Ok(TradeRow { sequence, trade, buyer, seller, lines, metadata })
    };
    let new = new.into_iter().map(row).collect::<Result<Vec<_>, _>>()?;
    sink.add(
        RowSet::NewTrades,
        new.into_iter().map(|TradeRow { sequence, trade, buyer, seller, lines, metadata }| {
            [
                sequence.into(),
                Cell::id(&trade.transaction_id),
                buyer.into(),
                seller.into(),
                lines.into(),
                Cell::number(trade.settlement.code()),
                Cell::number(trade.status.code()),
                trade.expires_at.map(Timestamp::millis).into(),
                metadata.into(),
                trade.created_at.millis().into(),
                trade.updated_at.millis().into(),
                Cell::number(trade.version),
                rows.new_trades.get(&trade.transaction_id).and_then(|trade| trade.cargo).into(),
                rows.new_trades.get(&trade.transaction_id).and_then(|trade| trade.moved).into(),
            ]
        }),
    );
    sink.add(
        RowSet::ChangedTrades,
        changed.into_iter().map(|(key, trade)| {
            [
                key.into(),
                Cell::number(trade.status.code()),
                trade.updated_at.millis().into(),
                Cell::number(trade.version),
            ]
        }),
    );
    Ok(())
}

fn write_trade_items<S: Sink>(rows: &CommitRows<'_, '_>, sink: &mut S) -> Result<(), Defect> {
    let [new, _] = split(&rows.commit.trades, |id| rows.keys.trade(id))?;
    let items = |(sequence, trade)| {
        let trade: &Trade = trade;
        trade.items.iter().map(move |line| (&line.item_id, sequence))
    };
    let mut items: Vec<(&ItemId, i64)> = new.into_iter().flat_map(items).collect();
    items.sort_unstable();
    // An item may stand on several lines, at different prices.
    items.dedup();
    sink.add(RowSet::TradeItems, items.into_iter().map(|(item, sequence)| [Cell::id(item), sequence.into()]));
    Ok(())
}

/// A shipment with the keys of its row; what it does not repeat of its trade is absent.
struct CargoRow<'c> {
    sequence: i64,
    cargo: &'c Cargo,
    trade: Option<i64>,
    expires_at: Option<Timestamp>,
    metadata: Option<String>,
    requested_metadata: Option<String>,
    own: Option<OwnColumns>,
}

struct OwnColumns {
    origin: i64,
    destination: i64,
    lines: String,
}

fn write_cargo<S: Sink>(rows: &CommitRows<'_, '_>, sink: &mut S) -> Result<(), Defect> {
    let [new, changed] = split(&rows.commit.cargo, |id| rows.keys.cargo(id))?;
    let changed = with_metadata(changed, |cargo: &Cargo| cargo.metadata.as_ref())?;
    let changed = changed.into_iter().map(|(key, cargo, metadata)| {
        Ok((key, cargo, metadata, metadata_text(cargo.requested_metadata.as_ref())?))
    });
    let changed = changed.collect::<Result<Vec<_>, Defect>>()?;
    let row = |(sequence, cargo)| cargo_row(rows, sequence, cargo);
    let new = new.into_iter().map(row).collect::<Result<Vec<_>, _>>()?;
    sink.add(
        RowSet::NewCargo,
        new.into_iter().map(|row| {
            let CargoRow { sequence, cargo, trade, expires_at, metadata, requested_metadata, own } = row;
            let id = own.is_some().then_some(cargo.shipment_id.as_str());
            let (origin, destination) =
                (own.as_ref().map(|own| own.origin), own.as_ref().map(|own| own.destination));
            [
                sequence.into(),
                trade.into(),
                id.into(),
                origin.into(),
                destination.into(),
                Cell::Text(own.map(|own| own.lines.into())),
                Cell::number(cargo.status.code()),
                cargo.eta.millis().into(),
                cargo.requested_eta.map(Timestamp::millis).into(),
                cargo.location.as_ref().map(Label::as_str).into(),
                metadata.into(),
                requested_metadata.into(),
                expires_at.map(Timestamp::millis).into(),
                cargo.created_at.millis().into(),
                cargo.updated_at.millis().into(),
                Cell::number(cargo.version),
            ]
        }),
    );
    sink.add(
        RowSet::ChangedCargo,
        changed.into_iter().map(|(key, cargo, metadata, requested)| {
            [
                key.into(),
                Cell::number(cargo.status.code()),
                cargo.eta.millis().into(),
                cargo.location.as_ref().map(Label::as_str).into(),
                metadata.into(),
                requested.into(),
                cargo.updated_at.millis().into(),
                Cell::number(cargo.version),
            ]
        }),
    );
    Ok(())
}

fn cargo_row<'c>(rows: &CommitRows<'_, 'c>, sequence: i64, cargo: &'c Cargo) -> Result<CargoRow<'c>, Defect> {
    let keys = rows.keys;
    let own = if rows.new_trades.of_cargo(sequence, cargo).is_some() {
        None
    } else {
        Some(OwnColumns {
            origin: keys.station(&cargo.origin)?,
            destination: keys.station(&cargo.destination)?,
            lines: lines_text(&cargo.items)?,
        })
    };
    let trade = cargo.transaction_id.as_ref();
    let expires_at = trade.and_then(|id| rows.new_trades.get(id)?.trade.expires_at);
    let trade = trade.map(|id| keys.trade(id)).transpose()?;
    let metadata = metadata_text(cargo.metadata.as_ref())?;
    let requested_metadata = metadata_text(cargo.requested_metadata.as_ref())?;
    Ok(CargoRow { sequence, cargo, trade, expires_at, metadata, requested_metadata, own })
}

fn write_history<S: Sink>(rows: &CommitRows<'_, '_>, sink: &mut S) -> Result<(), Defect> {
    let key = |(id, sequence): &(_, Sequence)| Ok((rows.keys.cargo(id)?, sequence + rows.shift));
    let mut history = rows.commit.history.iter().map(key).collect::<Result<Vec<_>, Defect>>()?;
    history.sort_unstable();
    sink.add(
        RowSet::History,
        history.into_iter().map(|(cargo, sequence)| [cargo.into(), Cell::number(sequence)]),
    );
    Ok(())
}

fn write_ledger<S: Sink>(rows: &CommitRows<'_, '_>, sink: &mut S) -> Result<(), Defect> {
    let mut entries = Vec::with_capacity(rows.commit.ledger.len());
    let (mut event, mut place): (Sequence, u64) = (0, 0);
    for LedgerWrite { entry, listed_at } in &rows.commit.ledger {
        place = if entry.sequence == event { place + 1 } else { 0 };
        event = entry.sequence;
        let sequence = stored(entry.sequence + rows.shift);
        let cargo = entry.shipment_id.as_ref().map(|id| rows.keys.cargo(id)).transpose()?;
        let listed_at = listed_at.as_ref().map(|id| rows.keys.station(id)).transpose()?;
        let ends = match rows.new_trades.tells(sequence, entry) {
            true => None,
            false => Some((rows.keys.place(&entry.from)?, rows.keys.place(&entry.to)?)),
        };
        entries.push((sequence, entry, place, ends, cargo, listed_at));
    }
    sink.add(
        RowSet::Ledger,
        entries.into_iter().map(|(sequence, entry, place, ends, cargo, listed_at)| {
            [
                sequence.into(),
                Cell::number(place),
                entry.time.millis().into(),
                Cell::id(&entry.item_id),
                Cell::number(entry.quantity.units()),
                ends.map(|(from, _)| from).into(),
                ends.map(|(_, to)| to).into(),
                Cell::number(entry.reason.code()),
                cargo.into(),
                listed_at.into(),
            ]
        }),
    );
    Ok(())
}

fn write_receipts<S: Sink>(rows: &CommitRows<'_, '_>, sink: &mut S) -> Result<(), Defect> {
    let receipts = &rows.commit.receipts;
    let pieces: Vec<_> = receipts.iter().flat_map(receipts::pieces).collect();
    let place = |sequence: Sequence| stored(sequence + rows.shift);
    sink.add(
        RowSet::Receipts,
        pieces.iter().map(|Piece { row, receipt, steps, answer }| {
            [
                Some(&row.0[..]).into(),
                Some(&receipt.fingerprint.0[..]).into(),
                receipt.time.millis().into(),
                steps.map(|steps| place(steps.first)).into(),
                steps.map(|steps| place(steps.last)).into(),
                (*answer).into(),
            ]
        }),
    );
    Ok(())
}

/// The records, and the moments they were committed at.
fn write_log<S: Sink>(rows: &CommitRows<'_, '_>, sink: &mut S) -> Result<(), Defect> {
    let place = |last: Sequence| Cell::number(last + rows.shift);
    let log = &rows.commit.log;
    let records = log.iter().map(|record| record.step.encode()).collect::<Result<Vec<_>, _>>();
    let records = records.map_err(|error| Defect(error.to_string()))?;
    let records = log.iter().zip(records);
    sink.add(RowSet::Log, records.map(|(record, bytes)| [place(record.last), bytes.into()]));
    let same_time = |a: &LogRecord, b: &LogRecord| a.step.time == b.step.time;
    let moments: Vec<_> = log.chunk_by(same_time).filter_map(|steps| steps.last()).collect();
    sink.add(
        RowSet::Moments,
        moments.into_iter().map(|record| [record.step.time.millis().into(), place(record.last)]),
    );
    Ok(())
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn write_head<S: Sink>(rows: &CommitRows<'_, '_>, sink: &mut S) -> Result<(), Defect> {
    let row = [1.into(), Cell::number(rows.head.sequence), rows.head.time.millis().into()];
    sink.add(RowSet::Head, [row].into_iter());
    Ok(())
}
