//! Shipments: one, lists, and the history of one.

use super::columns::{cargo_joins, cargo_of};
use super::trades::{examined_by, span, trades_by_side};
use crate::dialect::{Rendered, Template};
use crate::driver::{Driver, Param};
use crate::lane::Lane;
use crate::plan::{CargoNarrowing, Plan, one_more, page};
use crate::rows;
use crate::snapshot::Snapshot;
use std::sync::Arc;
use trade_core::resource::{Cargo, Sequence};
use trade_core::store::{CargoFilter, CargoQuery, Page, StoreError};
use trade_core::values::ShipmentId;

/// The walk by one end: the shipments that the trades with this station on that side name, and those with ends of their
/// own.
macro_rules! walk_by_end {
    ($side:literal, $trade_index:literal, $end:literal, $cargo_index:literal, $parameter:literal) => {
        concat!(
            "SELECT sequence FROM (",
            trades_by_side!($side, $trade_index, "cargo", " AND cargo > ?1 AND cargo < ?2", $parameter),
            " UNION SELECT * FROM (SELECT sequence FROM tn_cargo{index:",
            $cargo_index,
            "} WHERE {span:",
            $end,
            "|(SELECT sequence FROM tn_station WHERE id = ",
            $parameter,
            ")|?1|?2} ORDER BY {newest:",
            $end,
            "|sequence} LIMIT ?3) others) shipments \
             ORDER BY sequence DESC LIMIT ?3"
        )
    };
}

/// The walk of a narrowing. Parameters: 1 and 2 the span, 3 how many rows to examine, 4 to 7 the filters.
pub(crate) fn walk(narrowing: Option<CargoNarrowing>) -> &'static str {
    match narrowing {
        None => {
            "SELECT sequence FROM tn_cargo WHERE sequence > ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3"
        }
        Some(CargoNarrowing::Origin) => {
            walk_by_end!("seller", "tn_trade_by_seller", "origin", "tn_cargo_by_origin", "?4")
        }
        Some(CargoNarrowing::Destination) => {
            walk_by_end!("buyer", "tn_trade_by_buyer", "destination", "tn_cargo_by_destination", "?5")
        }
        // 0 and 1 are `pending` and `in_transit`, the two that are not final.
        Some(CargoNarrowing::Late) => {
            "SELECT sequence FROM (\
             SELECT * FROM (SELECT sequence FROM tn_cargo{index:tn_cargo_by_status} \
             WHERE {span:status|0|?1|?2} ORDER BY {newest:status|sequence} LIMIT ?3) pending UNION ALL \
             SELECT * FROM (SELECT sequence FROM tn_cargo{index:tn_cargo_by_status} \
             WHERE {span:status|1|?1|?2} ORDER BY {newest:status|sequence} LIMIT ?3) moving) open_ones \
             ORDER BY sequence DESC LIMIT ?3"
        }
        Some(CargoNarrowing::Status) => {
            "SELECT sequence FROM tn_cargo{index:tn_cargo_by_status} \
             WHERE {span:status|?7|?1|?2} ORDER BY {newest:status|sequence} LIMIT ?3"
        }
    }
}

fn check(narrowing: CargoNarrowing) -> &'static str {
    match narrowing {
        CargoNarrowing::Origin => " AND o.id = ?4",
        CargoNarrowing::Destination => " AND d.id = ?5",
        CargoNarrowing::Late => " AND c.status IN (0, 1) AND c.eta < ?6",
        CargoNarrowing::Status => " AND c.status = ?7",
    }
}

/// The template that reads a page; 8 is its limit.
pub(crate) fn page_sql(plan: &Plan<CargoNarrowing>) -> String {
    let checks: String = plan.checks.iter().map(|narrowing| check(*narrowing)).collect();
    [
        concat!("SELECT {row:cargo}", " FROM ("),
        walk(plan.walk),
        concat!(") w {then:tn_cargo|c|c.sequence = w.sequence}", cargo_joins!(), " WHERE 1 = 1"),
        &checks,
        " ORDER BY w.sequence DESC LIMIT ?8",
    ]
    .concat()
}

pub(crate) async fn list<E: Driver>(
    readers: &Lane<E>,
    query: &CargoQuery,
) -> Result<Page<Arc<Cargo>, Sequence>, StoreError> {
    let (filter, plan): (&CargoFilter, _) = (&query.filter, Plan::of_cargo(&query.filter));
    let mut snapshot = Snapshot::begin(readers, "list cargo").await?;
    let span = span(&mut snapshot, filter.created, query.before).await?;
    let parameters = [
        span.after.into(),
        span.before.into(),
        plan.examined_max(query.limit).into(),
        filter.origin.as_ref().map(|id| id.as_str()).into(),
        filter.destination.as_ref().map(|id| id.as_str()).into(),
        filter.late_at.map(|time| time.millis()).into(),
        filter.status.map(|status| i64::from(status.code())).into(),
        one_more(query.limit).into(),
    ];
    let sql = Rendered::new(E::DIALECT, &page_sql(&plan));
    let found = snapshot.fetch(&sql, &parameters).await?;
    let mut examined = None;
    if found.len() <= query.limit {
        examined = examined_by(&mut snapshot, walk(plan.walk), &parameters).await?;
    }
    let damaged = rows::failed::<E>(snapshot.operation());
    snapshot.end().await?;
    let keyed = |row: &E::Row| Ok((rows::count(row, 0)?, Arc::new(rows::cargo(row)?)));
    let found: Result<Vec<_>, _> = found.iter().map(keyed).collect();
    Ok(page(found.map_err(damaged)?, query.limit, examined))
}

/// One shipment.
pub(crate) static ONE_SQL: Template = Template::new(concat!(
    "SELECT {row:cargo}",
    " FROM tn_cargo c",
    cargo_joins!(),
    " WHERE c.sequence = ",
    cargo_of!("?1", "?2")
));

/// The history of one shipment, its creation first. That the shipment is looked up in both places lets every engine
/// see that there is one, and search its events from the first one wanted on.
pub(crate) static HISTORY_SQL: Template = Template::new(concat!(
    "SELECT sequence FROM (SELECT ",
    cargo_of!("?1", "?2"),
    " AS sequence) shipment WHERE sequence > ?3 UNION ALL SELECT * FROM (\
     SELECT sequence FROM tn_cargo_history WHERE cargo = ",
    cargo_of!("?1", "?2"),
    " AND sequence > ?3 ORDER BY sequence LIMIT ?4) later LIMIT ?4"
));

pub(crate) async fn one<E: Driver>(
    readers: &Lane<E>,
    id: &ShipmentId,
) -> Result<Option<Arc<Cargo>>, StoreError> {
    const OPERATION: &str = "read a shipment";
    let parameters: [Param<'_>; 2] = [id.as_str().into(), rows::trade_in_name(id).into()];
    let found = readers.read(OPERATION, ONE_SQL.of(E::DIALECT), &parameters).await?;
    let cargo = found.first().map(|row| rows::cargo(row).map(Arc::new));
    cargo.transpose().map_err(rows::failed::<E>(OPERATION))
}

pub(crate) async fn history<E: Driver>(
    readers: &Lane<E>,
    id: &ShipmentId,
    after: Sequence,
    limit: usize,
) -> Result<Vec<Sequence>, StoreError> {
    const OPERATION: &str = "read a shipment's history";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let parameters: [Param<'_>; 4] =
        [id.as_str().into(), rows::trade_in_name(id).into(), rows::stored(after).into(), limit.into()];
    let found = readers.read(OPERATION, HISTORY_SQL.of(E::DIALECT), &parameters).await?;
    let sequences: Result<Vec<_>, _> = found.iter().map(|row| rows::count(row, 0)).collect();
    sequences.map_err(rows::failed::<E>(OPERATION))
}
