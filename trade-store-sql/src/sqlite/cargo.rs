//! Lists of shipments, and the history of one.

use super::SqliteStore;
use super::classify::{classify, damaged};
use super::lane::Lane;
use super::snapshot::Snapshot;
use super::sql::{cargo_columns, cargo_joins, cargo_of};
use super::trades::{examined_sql, span};
use crate::plan::{CargoNarrowing, Plan, one_more, page};
use crate::rows::{self, CargoRow};
use async_trait::async_trait;
use sqlx::query::{QueryAs, QueryScalar};
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{AssertSqlSafe, SqlSafeStr};
use std::sync::Arc;
use trade_core::resource::{Cargo, Sequence};
use trade_core::store::{CargoFilter, CargoQuery, CargoRepository, Page, StoreError};
use trade_core::values::ShipmentId;

/// The walk by one end: the shipments of the trades that have this station on that side, which are their neighbours,
/// and the transfers.
macro_rules! walk_by_end {
    ($side:literal, $trade_index:literal, $end:literal, $cargo_index:literal, $parameter:literal) => {
        concat!(
            "SELECT sequence FROM (SELECT * FROM (SELECT sequence + 1 AS sequence FROM tn_trade INDEXED BY ",
            $trade_index,
            " WHERE ",
            $side,
            " = (SELECT sequence FROM tn_station WHERE id = ",
            $parameter,
            ") AND sequence > ?1 - 1 AND sequence < ?2 - 1 ORDER BY tn_trade.sequence DESC LIMIT ?3) UNION \
             SELECT * FROM (SELECT sequence FROM tn_cargo INDEXED BY ",
            $cargo_index,
            " WHERE ",
            $end,
            " = (SELECT sequence FROM tn_station WHERE id = ",
            $parameter,
            ") AND sequence > ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3)) \
             ORDER BY sequence DESC LIMIT ?3"
        )
    };
}

/// The walk of a narrowing. Parameters: 1 and 2 the span, 3 how many rows to examine, 4 to 7 the filters.
pub(super) fn walk(narrowing: Option<CargoNarrowing>) -> &'static str {
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
             SELECT * FROM (SELECT sequence FROM tn_cargo INDEXED BY tn_cargo_by_status \
             WHERE status = 0 AND sequence > ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3) UNION ALL \
             SELECT * FROM (SELECT sequence FROM tn_cargo INDEXED BY tn_cargo_by_status \
             WHERE status = 1 AND sequence > ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3)) \
             ORDER BY sequence DESC LIMIT ?3"
        }
        Some(CargoNarrowing::Status) => {
            "SELECT sequence FROM tn_cargo INDEXED BY tn_cargo_by_status \
             WHERE status = ?7 AND sequence > ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3"
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

/// The statement that reads a page; 8 is its limit. A trade whose shipment stands elsewhere than beside it (its own
/// walk finds it) is passed over.
pub(super) fn page_sql(plan: &Plan<CargoNarrowing>) -> String {
    let by_neighbour = match plan.walk {
        Some(CargoNarrowing::Origin) => " AND o.id = ?4",
        Some(CargoNarrowing::Destination) => " AND d.id = ?5",
        _ => "",
    };
    let (walk, checks) = (walk(plan.walk), plan.checks.iter().map(|narrowing| check(*narrowing)));
    format!(
        concat!(
            "SELECT ",
            cargo_columns!(),
            " FROM ({walk}) w CROSS JOIN tn_cargo c ON c.sequence = w.sequence",
            cargo_joins!(),
            " WHERE true{by_neighbour}{checks} ORDER BY w.sequence DESC LIMIT ?8"
        ),
        walk = walk,
        by_neighbour = by_neighbour,
        checks = checks.collect::<String>()
    )
}

type Read<'q, T> = QueryAs<'q, Sqlite, T, SqliteArguments>;
type ReadOne<'q> = QueryScalar<'q, Sqlite, Option<i64>, SqliteArguments>;

/// Binds the parameters that every statement of a list shares.
macro_rules! bind_filter {
    ($query:expr, $span:expr, $examined_max:expr, $filter:expr) => {
        $query
            .bind($span.after)
            .bind($span.before)
            .bind($examined_max)
            .bind($filter.origin.as_ref().map(|id| id.as_str()))
            .bind($filter.destination.as_ref().map(|id| id.as_str()))
            .bind($filter.late_at.map(|time| time.millis()))
            .bind($filter.status.map(|status| i64::from(status.code())))
    };
}

async fn list(readers: &Lane, query: &CargoQuery) -> Result<Page<Arc<Cargo>, Sequence>, StoreError> {
    const OPERATION: &str = "list cargo";
    let (filter, plan): (&CargoFilter, _) = (&query.filter, Plan::of_cargo(&query.filter));
    let examined_max = plan.examined_max(query.limit);
    let mut snapshot = Snapshot::begin(readers, OPERATION).await?;
    let span = span(snapshot.connection(), filter.created, query.before, OPERATION).await?;
    let read: Read<'_, CargoRow> = sqlx::query_as(AssertSqlSafe(page_sql(&plan)).into_sql_str());
    let found = bind_filter!(read, span, examined_max, filter)
        .bind(one_more(query.limit))
        .fetch_all(snapshot.connection())
        .await
        .map_err(classify(OPERATION))?;
    let mut examined = None;
    if found.len() <= query.limit {
        let read: ReadOne<'_> =
            sqlx::query_scalar(AssertSqlSafe(examined_sql(walk(plan.walk))).into_sql_str());
        examined = bind_filter!(read, span, examined_max, filter)
            .fetch_one(snapshot.connection())
            .await
            .map_err(classify(OPERATION))?;
    }
    snapshot.end().await?;
    let examined = examined.map(rows::unsigned).transpose().map_err(damaged(OPERATION))?;
    let keyed = |row: CargoRow| Ok((rows::unsigned(row.0)?, Arc::new(rows::cargo(row)?)));
    let found: Result<Vec<_>, _> = found.into_iter().map(keyed).collect();
    Ok(page(found.map_err(damaged(OPERATION))?, query.limit, examined))
}

/// One shipment.
pub(super) const ONE_SQL: &str = concat!(
    "SELECT ",
    cargo_columns!(),
    " FROM tn_cargo c",
    cargo_joins!(),
    " WHERE c.sequence = ",
    cargo_of!("?1", "?2")
);

/// The history of one shipment, its creation first.
pub(super) const HISTORY_SQL: &str = concat!(
    "WITH shipment(sequence) AS MATERIALIZED (SELECT ",
    cargo_of!("?1", "?2"),
    ") SELECT sequence FROM shipment WHERE sequence > ?3 UNION ALL SELECT * FROM (\
     SELECT sequence FROM tn_cargo_history WHERE cargo = (SELECT sequence FROM shipment) AND sequence > ?3 \
     ORDER BY sequence LIMIT ?4) LIMIT ?4"
);

#[async_trait]
impl CargoRepository for SqliteStore {
    async fn cargo(&self, id: &ShipmentId) -> Result<Option<Arc<Cargo>>, StoreError> {
        const OPERATION: &str = "read a shipment";
        let mut lease = self.readers.lease(OPERATION).await?;
        let found: Option<CargoRow> = sqlx::query_as(ONE_SQL)
            .bind(id.as_str())
            .bind(rows::trade_in_name(id))
            .fetch_optional(&mut lease.connection)
            .await
            .map_err(classify(OPERATION))?;
        lease.give_back();
        found.map(rows::shared(rows::cargo)).transpose().map_err(damaged(OPERATION))
    }

    async fn cargo_list(&self, query: &CargoQuery) -> Result<Page<Arc<Cargo>, Sequence>, StoreError> {
        list(&self.readers, query).await
    }

    async fn cargo_history(
        &self,
        id: &ShipmentId,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Sequence>, StoreError> {
        const OPERATION: &str = "read a shipment's history";
        let mut lease = self.readers.lease(OPERATION).await?;
        let found: Vec<i64> = sqlx::query_scalar(HISTORY_SQL)
            .bind(id.as_str())
            .bind(rows::trade_in_name(id))
            .bind(rows::stored(after))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut lease.connection)
            .await
            .map_err(classify(OPERATION))?;
        lease.give_back();
        let sequences: Result<Vec<_>, _> = found.into_iter().map(rows::unsigned).collect();
        sequences.map_err(damaged(OPERATION))
    }
}
