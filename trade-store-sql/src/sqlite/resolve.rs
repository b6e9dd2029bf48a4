//! The integer keys that stand for the ids in a commit, and whether everything is as the commit expects it.

use super::classify::{NAME, classify};
use super::commit::OPERATION;
use super::sql::{cargo_of, json_list};
use crate::rows::{TRANSIT, WORLD, stored};
use sqlx::sqlite::SqliteConnection;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use trade_core::resource::{Place, Version};
use trade_core::store::{Commit, Head, LedgerWrite, StoreError, StoreErrorKind, Write};
use trade_core::values::{ShipmentId, StationId, TransactionId};

/// Place in the list of ids, sequence, version.
pub(super) const TRADE_KEYS_SQL: &str = "SELECT k.key, t.sequence, t.version \
     FROM json_each(?1) k CROSS JOIN tn_trade t ON t.id = k.value";
pub(super) const CARGO_KEYS_SQL: &str = concat!(
    "SELECT k.key, c.sequence, c.version FROM json_each(?1) k CROSS JOIN tn_cargo c ON c.sequence = ",
    cargo_of!("k.value", "CASE WHEN k.value GLOB 'shipment-*' THEN substr(k.value, 10) END")
);
pub(super) const STATION_KEYS_SQL: &str = "SELECT k.key, s.sequence, s.version \
     FROM json_each(?1) k CROSS JOIN tn_station s ON s.id = k.value";

/// Keys of stations that are known from commits before. A station is never removed, and never changes its key.
#[derive(Debug, Default)]
pub(super) struct StationKeys(Mutex<HashMap<StationId, i64>>);

impl StationKeys {
    /// Some megabytes; beyond, it starts afresh.
    const COUNT_MAX: usize = 65_536;

    fn copy_to<'c>(&self, wanted: &mut HashSet<&'c StationId>, keys: &mut HashMap<&'c StationId, i64>) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.retain(|id| match known.get(*id) {
            Some(key) => keys.insert(*id, *key).is_some(),
            None => true,
        });
    }

    /// Learns the stations that a commit made, which left the head where it is now.
    pub(super) fn learn_created(&self, commit: &Commit, head: Head) {
        let shift = head.sequence - commit.event_count() - commit.base.sequence;
        created(&commit.stations, shift).for_each(|(id, key)| self.learn(id, key));
    }

    fn learn(&self, id: &StationId, key: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= Self::COUNT_MAX {
            known.clear();
        }
        known.insert(id.clone(), key);
    }
}

/// The keys of everything that a commit names.
#[derive(Debug)]
pub(super) struct RowKeys<'c> {
    stations: HashMap<&'c StationId, i64>,
    trades: HashMap<&'c TransactionId, i64>,
    cargo: HashMap<&'c ShipmentId, i64>,
}

impl<'c> RowKeys<'c> {
    /// The keys of a commit that changes no trade or shipment, if its stations are known, as if the head were where it
    /// was loaded.
    pub(super) fn without_looking(known: &StationKeys, commit: &'c Commit) -> Option<Self> {
        fn changes<K, T>(write: &Write<K, T>) -> bool {
            write.expected.is_some() && write.value.is_some()
        }
        if commit.trades.iter().any(changes) || commit.cargo.iter().any(changes) {
            return None;
        }
        let mut stations: HashMap<&StationId, i64> = created(&commit.stations, 0).collect();
        let mut wanted = stations_named(commit);
        wanted.retain(|id| !stations.contains_key(*id));
        known.copy_to(&mut wanted, &mut stations);
        let (trades, cargo) = (created(&commit.trades, 0).collect(), created(&commit.cargo, 0).collect());
        wanted.is_empty().then_some(Self { stations, trades, cargo })
    }

    /// Looks the keys up. Where the head of the log has moved since the commit was made (`!proven`), checks every
    /// expected version and absence on the way; where it has not, nothing can have changed.
    ///
    /// # Errors
    /// `Conflict` where something is not as expected.
    pub(super) async fn resolve(
        connection: &mut SqliteConnection,
        known: &StationKeys,
        commit: &'c Commit,
        shift: u64,
        proven: bool,
    ) -> Result<Self, StoreError> {
        let trades =
            guarded(connection, TRADE_KEYS_SQL, &commit.trades, TransactionId::as_str, shift, proven).await?;
        let cargo =
            guarded(connection, CARGO_KEYS_SQL, &commit.cargo, ShipmentId::as_str, shift, proven).await?;
        let mut stations = if proven {
            created(&commit.stations, shift).collect()
        } else {
            guarded(connection, STATION_KEYS_SQL, &commit.stations, StationId::as_str, shift, proven).await?
        };
        let mut wanted = stations_named(commit);
        wanted.retain(|id| !stations.contains_key(*id));
        known.copy_to(&mut wanted, &mut stations);
        if !wanted.is_empty() {
            let wanted: Vec<&StationId> = wanted.into_iter().collect();
            let ids = json_list(wanted.iter().map(|id| id.as_str()));
            for (id, found) in wanted.iter().zip(find(connection, STATION_KEYS_SQL, ids, wanted.len()).await?)
            {
                let (key, _) = found.ok_or_else(|| unresolved("station", id.as_str()))?;
                known.learn(id, key);
                stations.insert(id, key);
            }
        }
        Ok(Self { stations, trades, cargo })
    }

    pub(super) fn station(&self, id: &StationId) -> Result<i64, StoreError> {
        self.stations.get(id).copied().ok_or_else(|| unresolved("station", id.as_str()))
    }

    pub(super) fn trade(&self, id: &TransactionId) -> Result<i64, StoreError> {
        self.trades.get(id).copied().ok_or_else(|| unresolved("trade", id.as_str()))
    }

    pub(super) fn cargo(&self, id: &ShipmentId) -> Result<i64, StoreError> {
        self.cargo.get(id).copied().ok_or_else(|| unresolved("shipment", id.as_str()))
    }

    pub(super) fn place(&self, place: &Place) -> Result<i64, StoreError> {
        match place {
            Place::Station(id) => self.station(id),
            Place::Transit => Ok(TRANSIT),
            Place::World => Ok(WORLD),
        }
    }
}

fn unresolved(what: &str, id: &str) -> StoreError {
    let detail = format!("a row of the commit names {what} {id}, which is neither stored nor part of it");
    StoreError::new(StoreErrorKind::Internal, NAME, OPERATION, detail)
}

/// Every station in a row that the commit writes.
fn stations_named(commit: &Commit) -> HashSet<&StationId> {
    let mut named = HashSet::new();
    named.extend(commit.stations.iter().filter(|write| write.value.is_some()).map(|write| &write.key));
    named.extend(commit.stock.iter().map(|write| &write.row.station_id));
    for trade in commit.trades.iter().filter_map(|write| write.value.as_deref()) {
        named.extend([&trade.buyer, &trade.seller]);
    }
    for cargo in commit.cargo.iter().filter_map(|write| write.value.as_deref()) {
        named.extend([&cargo.origin, &cargo.destination]);
    }
    for LedgerWrite { entry, listed_at } in &commit.ledger {
        named.extend(listed_at);
        named.extend([&entry.from, &entry.to].into_iter().filter_map(|place| match place {
            Place::Station(id) => Some(id),
            Place::Transit | Place::World => None,
        }));
    }
    named
}

/// The keys of what a commit makes.
fn created<K: Eq + Hash, T>(writes: &[Write<K, T>], shift: u64) -> impl Iterator<Item = (&K, i64)> {
    let new = writes.iter().filter(|write| write.expected.is_none() && write.value.is_some());
    new.map(move |write| (&write.key, stored(write.created + shift)))
}

/// The keys of what a commit writes, of one kind; all of it checked unless it is proven to be as expected.
async fn guarded<'c, K: Eq + Hash, T>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    writes: &'c [Write<K, T>],
    text: impl Fn(&K) -> &str,
    shift: u64,
    proven: bool,
) -> Result<HashMap<&'c K, i64>, StoreError> {
    let mut keys: HashMap<&K, i64> = created(writes, shift).collect();
    let changes = |write: &&Write<K, T>| write.expected.is_some() && write.value.is_some();
    let asked: Vec<&Write<K, T>> = writes.iter().filter(|write| !proven || changes(write)).collect();
    if asked.is_empty() {
        return Ok(keys);
    }
    let ids = json_list(asked.iter().map(|write| text(&write.key)));
    for (write, found) in asked.iter().zip(find(connection, sql, ids, asked.len()).await?) {
        let version = found.map(|(_, version)| version);
        if version != write.expected.map(stored) {
            return Err(conflict(text(&write.key), version, write.expected));
        }
        if let Some((key, _)) = found {
            keys.insert(&write.key, key);
        }
    }
    Ok(keys)
}

fn conflict(id: &str, version: Option<i64>, expected: Option<Version>) -> StoreError {
    let detail = format!("{id} has version {version:?}, not {expected:?}");
    StoreError::new(StoreErrorKind::Conflict, NAME, OPERATION, detail)
}

/// Sequence and version of each id of a list, where it is stored.
async fn find(
    connection: &mut SqliteConnection,
    sql: &'static str,
    ids: String,
    count: usize,
) -> Result<Vec<Option<(i64, i64)>>, StoreError> {
    let rows: Vec<(i64, i64, i64)> =
        sqlx::query_as(sql).bind(ids).fetch_all(connection).await.map_err(classify(OPERATION))?;
    let mut found = vec![None; count];
    for (place, sequence, version) in rows {
        if let Some(slot) = usize::try_from(place).ok().and_then(|place| found.get_mut(place)) {
            *slot = Some((sequence, version));
        }
    }
    Ok(found)
}
