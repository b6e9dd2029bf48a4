//! Lists of what has stations at its ends: each end of each station is a walk of an index, and these are merged.

use crate::dialect::{Rendered, Template};
use crate::driver::{Driver, Param};
use crate::rows;
use crate::snapshot::Snapshot;
use std::fmt::Display;
use trade_core::store::StoreError;
use trade_core::values::{StationId, StationSet};

/// The rows of a table that have some station at one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    table: &'static str,
    index: &'static str,
    /// The columns of the index before the sequence, that of the station first.
    columns: &'static str,
    /// What stands in those after the first.
    fixed: &'static str,
    /// The sequence that is listed.
    listed: &'static str,
}

/// The trades of one side: those of immediate settlement (0), and those on delivery (1), stand together in the index.
const fn side(index: &'static str, columns: &'static str, listed: &'static str) -> [End; 2] {
    [
        End { table: "tn_trade", index, columns, fixed: ", 0", listed },
        End { table: "tn_trade", index, columns, fixed: ", 1", listed },
    ]
}

/// The shipments of one end: those that the trades of a side name, and those that have ends of their own.
const fn way([at_once, on_delivery]: [End; 2], index: &'static str, column: &'static str) -> [End; 3] {
    let own = End { table: "tn_cargo", index, columns: column, fixed: "", listed: "sequence" };
    [at_once, on_delivery, own]
}

pub(crate) const SOLD: [End; 2] = side("tn_trade_by_seller", "seller, settlement", "sequence");
pub(crate) const BOUGHT: [End; 2] = side("tn_trade_by_buyer", "buyer, settlement", "sequence");
pub(crate) const SENT: [End; 3] =
    way(side("tn_trade_by_seller", "seller, settlement", "cargo"), "tn_cargo_by_origin", "origin");
pub(crate) const RECEIVED: [End; 3] =
    way(side("tn_trade_by_buyer", "buyer, settlement", "cargo"), "tn_cargo_by_destination", "destination");

impl End {
    /// The walk of a station, newest first.
    fn walk(&self, station: &impl Display) -> String {
        let Self { table, index, columns, fixed, listed } = self;
        let within = match *listed {
            "sequence" => String::new(),
            listed => format!(" AND {listed} > ?1 AND {listed} < ?2"),
        };
        format!(
            "{{part}}SELECT {listed} AS sequence FROM {table}{{index:{index}}} \
             WHERE {{span:{columns}|{station}{fixed}|?1|?2}}{within} \
             ORDER BY {{newest:{columns}|{table}.sequence}} LIMIT ?3{{end:part}}"
        )
    }
}

/// Walks as one, newest first. Parameters: 1 and 2 the span, 3 how many rows.
fn merged(walks: impl Iterator<Item = String>, union: &str) -> String {
    let walks: Vec<_> = walks.collect();
    format!("SELECT sequence FROM ({}) merged ORDER BY sequence DESC LIMIT ?3", walks.join(union))
}

/// The walk of the ends of one station, whose id is a parameter. Nothing is at two ends of it: no station trades with itself.
pub(crate) fn of_station(ends: &[End], parameter: &str) -> String {
    let station = format!("(SELECT sequence FROM tn_station WHERE id = {parameter})");
    merged(ends.iter().map(|end| end.walk(&station)), " UNION ALL ")
}

/// The walk of several stations, by their keys at each end. Two of them may have one row.
fn of_several<'w>(walks: impl Iterator<Item = (&'w End, &'w [i64])>) -> String {
    let walks = walks.filter(|(_, keys)| !keys.is_empty());
    merged(walks.map(|(end, keys)| format!("{{each:{}|{}}}", list(keys), end.walk(&"k.value"))), " UNION ")
}

/// The walk of all ends of some stations, by their keys.
pub(crate) fn of_all(ends: &[End], keys: &[i64]) -> String {
    of_several(ends.iter().map(|end| (end, keys)))
}

fn list(keys: &[i64]) -> String {
    keys.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}

/// Walks that are merged for one page at most: enough for fifty rows, each of which may be in two of them.
const WALKS_MAX: usize = 128;

/// The walk of the ends of the stations of a scope, as far as it is merged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Its text.
    pub(crate) walk: String,
    /// Of how many.
    pub(crate) walks: usize,
    /// The sequence at which it ends, where it goes on with other walks.
    pub(crate) end: Option<i64>,
}

/// The keys of the stations of a list that exist.
pub(crate) static KEYS_SQL: Template =
    Template::new("SELECT s.sequence FROM {texts:1} {then:tn_station|s|s.id = k.value}");

/// The newest row of every walk, newest first. Parameters: 1 and 2 the span, 3 the keys of the stations.
pub(crate) fn heads_sql(ends: &[End], keys: &[i64]) -> String {
    let keys = list(keys);
    let heads = ends.iter().enumerate().map(|(place, end)| {
        let End { table, index, columns, fixed, .. } = end;
        format!("{{heads:{table}|{index}|{columns}|{fixed}|{place}|{keys}}}")
    });
    let heads: Vec<_> = heads.collect();
    format!(
        "SELECT place, station, head FROM ({}) heads WHERE head IS NOT NULL ORDER BY head DESC LIMIT {}",
        heads.join(" UNION ALL "),
        WALKS_MAX + 1
    )
}

/// The walk of a scope between two sequences; none where none of its stations exists.
///
/// Of many walks, those are taken whose newest rows are newest: no other has a row after the last of these.
pub(crate) async fn of_scope<E: Driver>(
    snapshot: &mut Snapshot<'_, E>,
    ends: &[End],
    scope: &StationSet,
    (after, before): (i64, i64),
) -> Result<Option<Merged>, StoreError> {
    let damaged = rows::failed::<E>(snapshot.operation());
    let ids = Param::Texts(scope.as_slice().iter().map(StationId::as_str).collect());
    let found = snapshot.fetch(KEYS_SQL.of(E::DIALECT), &[ids]).await?;
    let keys: Result<Vec<_>, _> = found.iter().map(|row| rows::number(row, 0)).collect();
    let keys = keys.map_err(damaged)?;
    if keys.is_empty() {
        return Ok(None);
    }
    if keys.len() * ends.len() <= WALKS_MAX {
        return Ok(Some(Merged { walk: of_all(ends, &keys), walks: keys.len() * ends.len(), end: None }));
    }
    let sql = Rendered::new(E::DIALECT, &heads_sql(ends, &keys)).once();
    let mut found = snapshot.fetch(&sql, &[after.into(), before.into(), Param::Ints(keys)]).await?;
    let goes_on = found.len() > WALKS_MAX;
    found.truncate(WALKS_MAX);
    let mut taken = vec![Vec::new(); ends.len()];
    for row in &found {
        let place = rows::count(row, 0).map_err(damaged)?;
        let key = rows::number(row, 1).map_err(damaged)?;
        if let Some(keys) = usize::try_from(place).ok().and_then(|place| taken.get_mut(place)) {
            keys.push(key);
        }
    }
    let Some(last) = found.last() else { return Ok(None) };
    let end = goes_on.then(|| rows::number(last, 2)).transpose().map_err(damaged)?;
    let walks = ends.iter().zip(taken.iter().map(Vec::as_slice));
    Ok(Some(Merged { walk: of_several(walks), walks: found.len(), end }))
}
