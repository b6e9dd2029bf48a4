//! The integer keys that stand for the ids in a commit, and whether everything is as the commit expects it.

use super::{Defect, OPERATION};
use crate::dialect::Template;
use crate::engine::{Engine, Param};
use crate::lane::Lease;
use crate::read::columns::{cargo_of, cargo_of_key};
use crate::rows::{self, Decoded, TRANSIT, WORLD, stored};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use trade_core::resource::{Place, Version};
use trade_core::store::{Commit, Head, LedgerWrite, StoreError, StoreErrorKind, Write};
use trade_core::values::{ShipmentId, StationId, TransactionId};

/// Place in the list of ids, sequence, version.
pub(crate) static TRADE_KEYS_SQL: Template =
    Template::new("SELECT k.key, t.sequence, t.version FROM {texts:1} {then:tn_trade|t|t.id = k.value}");
pub(crate) static CARGO_KEYS_SQL: Template = Template::new(concat!(
    "SELECT k.key, c.sequence, c.version FROM {texts:1} {then:tn_cargo|c|c.sequence = ",
    cargo_of_key!(),
    "}"
));
pub(crate) static STATION_KEYS_SQL: Template =
    Template::new("SELECT k.key, s.sequence, s.version FROM {texts:1} {then:tn_station|s|s.id = k.value}");
/// Keys of stations that are known from commits before. A station is never removed, and never changes its key.
#[derive(Debug, Default)]
pub(crate) struct StationKeys(Mutex<HashMap<StationId, i64>>);

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
    pub(crate) fn learn_created(&self, commit: &Commit, head: Head) {
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
pub(crate) struct RowKeys<'c> {
    stations: HashMap<&'c StationId, i64>,
    trades: HashMap<&'c TransactionId, i64>,
    cargo: HashMap<&'c ShipmentId, i64>,
}

impl<'c> RowKeys<'c> {
    /// The keys of a commit that changes no trade or shipment, if its stations are known, as if the head were where it
    /// was loaded.
    pub(crate) fn without_looking(known: &StationKeys, commit: &'c Commit) -> Option<Self> {
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
    pub(crate) async fn resolve<E: Engine>(
        lease: &mut Lease<'_, E>,
        known: &StationKeys,
        commit: &'c Commit,
        shift: u64,
        proven: bool,
    ) -> Result<Self, StoreError> {
        let trades =
            guarded(lease, &TRADE_KEYS_SQL, &commit.trades, TransactionId::as_str, shift, proven).await?;
        let cargo = guarded(lease, &CARGO_KEYS_SQL, &commit.cargo, ShipmentId::as_str, shift, proven).await?;
        let mut stations = if proven {
            created(&commit.stations, shift).collect()
        } else {
            guarded(lease, &STATION_KEYS_SQL, &commit.stations, StationId::as_str, shift, proven).await?
        };
        let mut wanted = stations_named(commit);
        wanted.retain(|id| !stations.contains_key(*id));
        known.copy_to(&mut wanted, &mut stations);
        if !wanted.is_empty() {
            let wanted: Vec<&StationId> = wanted.into_iter().collect();
            let ids: Vec<&str> = wanted.iter().map(|id| id.as_str()).collect();
            for (id, found) in wanted.iter().zip(find(lease, &STATION_KEYS_SQL, ids).await?) {
                let (key, _) = found.ok_or_else(|| unresolved("station", id.as_str()).in_store::<E>())?;
                known.learn(id, key);
                stations.insert(id, key);
            }
        }
        Ok(Self { stations, trades, cargo })
    }

    pub(crate) fn station(&self, id: &StationId) -> Result<i64, Defect> {
        self.stations.get(id).copied().ok_or_else(|| unresolved("station", id.as_str()))
    }

    pub(crate) fn trade(&self, id: &TransactionId) -> Result<i64, Defect> {
        self.trades.get(id).copied().ok_or_else(|| unresolved("trade", id.as_str()))
    }

    pub(crate) fn cargo(&self, id: &ShipmentId) -> Result<i64, Defect> {
        self.cargo.get(id).copied().ok_or_else(|| unresolved("shipment", id.as_str()))
    }

    pub(crate) fn place(&self, place: &Place) -> Result<i64, Defect> {
        match place {
            Place::Station(id) => self.station(id),
            Place::Transit => Ok(TRANSIT),
            Place::World => Ok(WORLD),
        }
    }
}

fn unresolved(kind: &str, id: &str) -> Defect {
    Defect(format!("a row of the commit names {kind} {id}, which is neither stored nor part of it"))
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
async fn guarded<'c, E: Engine, K: Eq + Hash + Sync, T: Send + Sync>(
    lease: &mut Lease<'_, E>,
    sql: &'static Template,
    writes: &'c [Write<K, T>],
    text: fn(&K) -> &str,
    shift: u64,
    proven: bool,
) -> Result<HashMap<&'c K, i64>, StoreError> {
    let mut keys: HashMap<&K, i64> = created(writes, shift).collect();
    let changes = |write: &&Write<K, T>| write.expected.is_some() && write.value.is_some();
    let asked: Vec<&Write<K, T>> = writes.iter().filter(|write| !proven || changes(write)).collect();
    if asked.is_empty() {
        return Ok(keys);
    }
    let ids = asked.iter().map(|write| text(&write.key)).collect();
    for (write, found) in asked.iter().zip(find(lease, sql, ids).await?) {
        let version = found.map(|(_, version)| version);
        if version != write.expected.map(stored) {
            return Err(conflict::<E>(text(&write.key), version, write.expected));
        }
        if let Some((key, _)) = found {
            keys.insert(&write.key, key);
        }
    }
    Ok(keys)
}

fn conflict<E: Engine>(id: &str, version: Option<i64>, expected: Option<Version>) -> StoreError {
    let detail = format!("{id} has version {version:?}, not {expected:?}");
    StoreError::new(StoreErrorKind::Conflict, E::NAME, OPERATION, detail)
}

/// Sequence and version of each id of a list, where it is stored.
async fn find<E: Engine>(
    lease: &mut Lease<'_, E>,
    sql: &'static Template,
    ids: Vec<&str>,
) -> Result<Vec<Option<(i64, i64)>>, StoreError> {
    let mut slots = vec![None; ids.len()];
    let found = lease.fetch(sql.of(E::DIALECT), &[Param::Texts(ids)]).await?;
    let read = |row: &E::Row| -> Decoded<_> {
        let place = rows::number(row, 0)? - E::DIALECT.first_place();
        Ok((place, rows::number(row, 1)?, rows::number(row, 2)?))
    };
    for row in &found {
        let (place, sequence, version) = read(row).map_err(rows::corrupt::<E>(OPERATION))?;
        if let Some(slot) = usize::try_from(place).ok().and_then(|place| slots.get_mut(place)) {
            *slot = Some((sequence, version));
        }
    }
    Ok(slots)
}
