//! The integer keys that stand for the ids in a commit, and whether everything is as the commit expects it.

use super::{Defect, OPERATION};
use crate::dialect::Template;
use crate::driver::{Driver, Param};
use crate::lane::Lease;
use crate::read::columns::{cargo_of, cargo_of_key};
use crate::rows::{self, Decoded, TRANSIT, WORLD, stored};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use trade_core::resource::{Place, Version};
use trade_core::store::{Commit, Head, LedgerWrite, StoreError, StoreErrorKind, Write};
use trade_core::values::{ShipmentId, StationId, TransactionId};

macro_rules! trade_keys {
    () => {
        "SELECT k.key, t.sequence, t.version, 0 FROM {texts:1} {then:tn_trade|t|t.id = k.value}"
    };
}
macro_rules! cargo_keys {
    () => {
        concat!(
            "SELECT k.key, c.sequence, c.version, 1 FROM {texts:2} {then:tn_cargo|c|c.sequence = ",
            cargo_of_key!(),
            "}"
        )
    };
}
macro_rules! station_keys {
    () => {
        "SELECT k.key, s.sequence, s.version, 2 FROM {texts:3} {then:tn_station|s|s.id = k.value}"
    };
}

/// Place in a list of ids, sequence, version, and which list it is: of trades, shipments, stations.
pub(crate) static KEYS_SQL: Template =
    Template::new(concat!(trade_keys!(), " UNION ALL ", cargo_keys!(), " UNION ALL ", station_keys!()));

/// Each part of it, for those who look at how it is read.
#[cfg(all(test, any(feature = "sqlite", feature = "postgres")))]
pub(crate) static KEYS_PARTS: [Template; 3] =
    [Template::new(trade_keys!()), Template::new(cargo_keys!()), Template::new(station_keys!())];

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

    /// Learns stations as they are stored now.
    pub(crate) fn learn_loaded<'i>(&self, stations: impl Iterator<Item = (&'i StationId, i64)>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, key) in stations {
            if known.get(id) != Some(&key) {
                known.insert(id.clone(), key);
            }
        }
        if known.len() > Self::COUNT_MAX {
            known.clear();
        }
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

    /// Looks the keys up, in one statement. Where the head of the log has moved since the commit was made (`!proven`),
    /// checks every expected version and absence on the way; where it has not, nothing can have changed.
    ///
    /// # Errors
    /// `Conflict` where something is not as expected.
    pub(crate) async fn resolve<E: Driver>(
        lease: &mut Lease<'_, E>,
        known: &StationKeys,
        commit: &'c Commit,
        shift: u64,
        proven: bool,
    ) -> Result<Self, StoreError> {
        let (trades, cargo) = (asked(&commit.trades, proven), asked(&commit.cargo, proven));
        // A station's key does not change with what is written to it.
        let stations: Vec<_> = if proven { Vec::new() } else { asked(&commit.stations, proven) };
        let mut keys = Self {
            stations: created(&commit.stations, shift).collect(),
            trades: created(&commit.trades, shift).collect(),
            cargo: created(&commit.cargo, shift).collect(),
        };
        let mut named = stations_named(commit);
        named.retain(|id| !keys.stations.contains_key(*id));
        for write in &stations {
            named.remove(&write.key);
        }
        known.copy_to(&mut named, &mut keys.stations);
        let named: Vec<&StationId> = named.into_iter().collect();
        let station_ids = stations.iter().map(|write| &write.key).chain(named.iter().copied());
        let ids = [
            trades.iter().map(|write| write.key.as_str()).collect::<Vec<_>>(),
            cargo.iter().map(|write| write.key.as_str()).collect(),
            station_ids.map(StationId::as_str).collect(),
        ];
        if ids.iter().all(Vec::is_empty) {
            return Ok(keys);
        }
        let [found_trades, found_cargo, found_stations] = find(lease, ids).await?;
        check::<E, _, _>(&mut keys.trades, trades, &found_trades)?;
        check::<E, _, _>(&mut keys.cargo, cargo, &found_cargo)?;
        let (guarded, others) = found_stations.split_at(stations.len());
        check::<E, _, _>(&mut keys.stations, stations, guarded)?;
        for (id, found) in named.into_iter().zip(others) {
            let (key, _) = found.ok_or_else(|| unresolved("station", id.as_str()).in_store::<E>())?;
            known.learn(id, key);
            keys.stations.insert(id, key);
        }
        Ok(keys)
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

/// What of a commit must be looked up: all of it is checked unless it is proven to be as expected, and what is changed
/// needs its key.
fn asked<K, T>(writes: &[Write<K, T>], proven: bool) -> Vec<&Write<K, T>> {
    let changes = |write: &&Write<K, T>| write.expected.is_some() && write.value.is_some();
    writes.iter().filter(|write| !proven || changes(write)).collect()
}

/// Checks what was found, and adds its keys.
fn check<'c, E: Driver, K: Eq + Hash + AsRef<str>, T>(
    keys: &mut HashMap<&'c K, i64>,
    asked: Vec<&'c Write<K, T>>,
    found: &[Option<(i64, i64)>],
) -> Result<(), StoreError> {
    for (write, found) in asked.into_iter().zip(found) {
        let version = found.map(|(_, version)| version);
        if version != write.expected.map(stored) {
            return Err(conflict::<E>(write.key.as_ref(), version, write.expected));
        }
        if let Some((key, _)) = found {
            keys.insert(&write.key, *key);
        }
    }
    Ok(())
}

fn conflict<E: Driver>(id: &str, version: Option<i64>, expected: Option<Version>) -> StoreError {
    let detail = format!("{id} has version {version:?}, not {expected:?}");
    StoreError::new(StoreErrorKind::Conflict, E::NAME, OPERATION, detail)
}

/// Sequence and version of each id of three lists (of trades, shipments, stations), where it is stored.
async fn find<E: Driver>(
    lease: &mut Lease<'_, E>,
    ids: [Vec<&str>; 3],
) -> Result<[Vec<Option<(i64, i64)>>; 3], StoreError> {
    let mut slots = ids.each_ref().map(|ids| vec![None; ids.len()]);
    let found = lease.fetch(KEYS_SQL.of(E::DIALECT), &ids.map(Param::Texts)).await?;
    let read = |row: &E::Row| -> Decoded<_> {
        let place = rows::number(row, 0)? - E::DIALECT.first_place;
        Ok((rows::count(row, 3)?, place, (rows::number(row, 1)?, rows::number(row, 2)?)))
    };
    for row in &found {
        let (list, place, key) = read(row).map_err(rows::failed::<E>(OPERATION))?;
        let slots = usize::try_from(list).ok().and_then(|list| slots.get_mut(list));
        let slot = slots.and_then(|slots| slots.get_mut(usize::try_from(place).ok()?));
        if let Some(slot) = slot {
            *slot = Some(key);
        }
    }
    Ok(slots)
}
