//! Shipments: one, lists, and the history of one.

use super::columns::{cargo_joins, cargo_of};
use super::ends::{self, RECEIVED, SENT};
use super::list::List;
use crate::dialect::Template;
use crate::driver::{Driver, Param};
use crate::lane::Lane;
use crate::plan::{CargoNarrowing, Plan};
use crate::rows;
use std::sync::Arc;
use trade_core::resource::{Cargo, Sequence};
use trade_core::store::{CargoQuery, Page, StoreError};
use trade_core::values::ShipmentId;

/// The walk of a narrowing, or of all. Parameters: 1 and 2 the span, 3 how many rows to examine, 4 to 7 the filters.
pub(crate) fn walk(narrowing: Option<CargoNarrowing>) -> String {
    match narrowing {
        Some(CargoNarrowing::Origin) => ends::of_station(&SENT, "?4"),
        Some(CargoNarrowing::Destination) => ends::of_station(&RECEIVED, "?5"),
        // 0 and 1 are `pending` and `in_transit`, the two that are not final.
        Some(CargoNarrowing::Late) => "SELECT sequence FROM (\
             SELECT * FROM (SELECT sequence FROM tn_cargo{index:tn_cargo_by_status} \
             WHERE {span:status|0|?1|?2} ORDER BY {newest:status|sequence} LIMIT ?3) pending UNION ALL \
             SELECT * FROM (SELECT sequence FROM tn_cargo{index:tn_cargo_by_status} \
             WHERE {span:status|1|?1|?2} ORDER BY {newest:status|sequence} LIMIT ?3) moving) open_ones \
             ORDER BY sequence DESC LIMIT ?3"
            .into(),
        Some(CargoNarrowing::Status) => "SELECT sequence FROM tn_cargo{index:tn_cargo_by_status} \
             WHERE {span:status|?7|?1|?2} ORDER BY {newest:status|sequence} LIMIT ?3"
            .into(),
        None => "SELECT sequence FROM tn_cargo WHERE sequence > ?1 AND sequence < ?2 \
             ORDER BY sequence DESC LIMIT ?3"
            .into(),
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

/// The template that reads a page by a walk; 8 is its limit.
pub(crate) fn page_sql(plan: &Plan<CargoNarrowing>, walk: &str) -> String {
    let checks: String = plan.checks.iter().map(|narrowing| check(*narrowing)).collect();
    [
        concat!("SELECT {row:cargo}", " FROM ("),
        walk,
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
    let filter = &query.filter;
    let list = List {
        operation: "list cargo",
        created: filter.created,
        before: query.before,
        limit: query.limit,
        scope: &filter.scope,
        ends: [SENT, RECEIVED].concat(),
        plan: Plan::of_cargo(filter),
        filters: vec![
            filter.origin.as_ref().map(|id| id.as_str()).into(),
            filter.destination.as_ref().map(|id| id.as_str()).into(),
            filter.late_at.map(|time| time.millis()).into(),
            filter.status.map(|status| i64::from(status.code())).into(),
        ],
        walk,
        page_sql,
    };
    list.read(readers, |row| rows::cargo(row).map(Arc::new)).await
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
