//! Lists of trades.

use super::SqliteStore;
use super::classify::{classify, damaged};
use super::lane::Lane;
use super::snapshot::Snapshot;
use super::sql::{trade_columns, trade_joins};
use crate::plan::{Plan, Span, TradeNarrowing, one_more, page};
use crate::rows::{self, TradeRow};
use async_trait::async_trait;
use sqlx::query::{QueryAs, QueryScalar};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, SqlSafeStr};
use std::sync::Arc;
use trade_core::resource::{Sequence, Trade};
use trade_core::store::{Page, StoreError, TimeRange, TradeFilter, TradeQuery, TradeRepository};
use trade_core::values::{Timestamp, TransactionId};

/// The walk of a narrowing. Parameters: 1 and 2 the span, 3 how many rows to examine, 4 to 8 the filters.
pub(super) fn walk(narrowing: Option<TradeNarrowing>) -> &'static str {
    match narrowing {
        None => {
            "SELECT sequence FROM tn_trade WHERE sequence > ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3"
        }
        Some(TradeNarrowing::Seller) => {
            "SELECT sequence FROM tn_trade INDEXED BY tn_trade_by_seller \
             WHERE seller = (SELECT sequence FROM tn_station WHERE id = ?4) AND sequence > ?1 AND sequence < ?2 \
             ORDER BY sequence DESC LIMIT ?3"
        }
        Some(TradeNarrowing::Buyer) => {
            "SELECT sequence FROM tn_trade INDEXED BY tn_trade_by_buyer \
             WHERE buyer = (SELECT sequence FROM tn_station WHERE id = ?5) AND sequence > ?1 AND sequence < ?2 \
             ORDER BY sequence DESC LIMIT ?3"
        }
        // No trade is on both sides: its buyer is not its seller.
        Some(TradeNarrowing::Station) => {
            "SELECT sequence FROM (\
             SELECT * FROM (SELECT sequence FROM tn_trade INDEXED BY tn_trade_by_seller \
             WHERE seller = (SELECT sequence FROM tn_station WHERE id = ?6) AND sequence > ?1 AND sequence < ?2 \
             ORDER BY sequence DESC LIMIT ?3) UNION ALL \
             SELECT * FROM (SELECT sequence FROM tn_trade INDEXED BY tn_trade_by_buyer \
             WHERE buyer = (SELECT sequence FROM tn_station WHERE id = ?6) AND sequence > ?1 AND sequence < ?2 \
             ORDER BY sequence DESC LIMIT ?3)) ORDER BY sequence DESC LIMIT ?3"
        }
        Some(TradeNarrowing::Item) => {
            "SELECT sequence FROM tn_trade_item WHERE item = ?7 AND sequence > ?1 AND sequence < ?2 \
             ORDER BY sequence DESC LIMIT ?3"
        }
        Some(TradeNarrowing::Status) => {
            "SELECT sequence FROM tn_trade INDEXED BY tn_trade_by_status \
             WHERE status = ?8 AND sequence > ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3"
        }
    }
}

fn check(narrowing: TradeNarrowing) -> &'static str {
    match narrowing {
        TradeNarrowing::Seller => " AND s.id = ?4",
        TradeNarrowing::Buyer => " AND b.id = ?5",
        TradeNarrowing::Station => " AND (s.id = ?6 OR b.id = ?6)",
        TradeNarrowing::Item => {
            " AND EXISTS (SELECT 1 FROM tn_trade_item i WHERE i.item = ?7 AND i.sequence = t.sequence)"
        }
        TradeNarrowing::Status => " AND t.status = ?8",
    }
}

/// The statement that reads a page; 9 is its limit.
pub(super) fn page_sql(plan: &Plan<TradeNarrowing>) -> String {
    let (walk, checks) = (walk(plan.walk), plan.checks.iter().map(|narrowing| check(*narrowing)));
    format!(
        concat!(
            "SELECT ",
            trade_columns!(),
            " FROM ({walk}) w CROSS JOIN tn_trade t ON t.sequence = w.sequence",
            trade_joins!(),
            " WHERE true{checks} ORDER BY w.sequence DESC LIMIT ?9"
        ),
        walk = walk,
        checks = checks.collect::<String>()
    )
}

/// The statement that tells how far a walk came: how many rows, and the last.
pub(super) fn examined_sql(walk: &str) -> String {
    format!("SELECT CASE WHEN count(*) >= ?3 THEN min(sequence) END FROM ({walk})")
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
            .bind($filter.seller.as_ref().map(|id| id.as_str()))
            .bind($filter.buyer.as_ref().map(|id| id.as_str()))
            .bind($filter.station.as_ref().map(|id| id.as_str()))
            .bind($filter.item.as_ref().map(|id| id.as_str()))
            .bind($filter.status.map(|status| i64::from(status.code())))
    };
}

async fn list(readers: &Lane, query: &TradeQuery) -> Result<Page<Arc<Trade>, Sequence>, StoreError> {
    const OPERATION: &str = "list trades";
    let (filter, plan): (&TradeFilter, _) = (&query.filter, Plan::of_trades(&query.filter));
    let examined_max = plan.examined_max(query.limit);
    let mut snapshot = Snapshot::begin(readers, OPERATION).await?;
    let span = span(snapshot.connection(), filter.created, query.before, OPERATION).await?;
    let read: Read<'_, TradeRow> = sqlx::query_as(AssertSqlSafe(page_sql(&plan)).into_sql_str());
    let found = bind_filter!(read, span, examined_max, filter)
        .bind(one_more(query.limit))
        .fetch_all(snapshot.connection())
        .await
        .map_err(classify(OPERATION))?;
    let mut examined = None;
    if !plan.checks.is_empty() && found.len() <= query.limit {
        let read: ReadOne<'_> =
            sqlx::query_scalar(AssertSqlSafe(examined_sql(walk(plan.walk))).into_sql_str());
        examined = bind_filter!(read, span, examined_max, filter)
            .fetch_one(snapshot.connection())
            .await
            .map_err(classify(OPERATION))?;
    }
    snapshot.end().await?;
    let examined = examined.map(rows::unsigned).transpose().map_err(damaged(OPERATION))?;
    let keyed = |row: TradeRow| Ok((rows::unsigned(row.0)?, Arc::new(rows::trade(row)?)));
    let found: Result<Vec<_>, _> = found.into_iter().map(keyed).collect();
    Ok(page(found.map_err(damaged(OPERATION))?, query.limit, examined))
}

/// The sequences that a span of creation times stands for.
pub(super) async fn span(
    connection: &mut SqliteConnection,
    created: TimeRange,
    before: Option<Sequence>,
    operation: &'static str,
) -> Result<Span, StoreError> {
    let mut ends = [None; 2];
    for (end, time) in ends.iter_mut().zip([created.since, created.until]) {
        if let Some(time) = time {
            let last: Option<i64> = sqlx::query_scalar(LAST_BEFORE_SQL)
                .bind(time.millis())
                .fetch_optional(&mut *connection)
                .await
                .map_err(classify(operation))?;
            *end = Some(last.unwrap_or(0));
        }
    }
    Ok(Span::new(ends[0], ends[1], before))
}

/// The last sequence that was committed before a time.
pub(super) const LAST_BEFORE_SQL: &str =
    "SELECT last FROM tn_moment WHERE time < ?1 ORDER BY time DESC LIMIT 1";

/// One trade.
pub(super) const ONE_SQL: &str =
    concat!("SELECT ", trade_columns!(), " FROM tn_trade t", trade_joins!(), " WHERE t.id = ?1");

/// Trades past their time whose shipment is pending.
pub(super) const EXPIRED_SQL: &str = "SELECT t.id FROM tn_cargo c INDEXED BY tn_cargo_by_expiry \
     CROSS JOIN tn_trade t ON t.sequence = c.trade \
     WHERE c.status = 0 AND c.expires_at IS NOT NULL AND c.expires_at <= ?1 AND t.status = 0 \
     ORDER BY c.expires_at LIMIT ?2";

#[async_trait]
impl TradeRepository for SqliteStore {
    async fn trade(&self, id: &TransactionId) -> Result<Option<Arc<Trade>>, StoreError> {
        const OPERATION: &str = "read a trade";
        let mut lease = self.readers.lease(OPERATION).await?;
        let found: Option<TradeRow> = sqlx::query_as(ONE_SQL)
            .bind(id.as_str())
            .fetch_optional(&mut lease.connection)
            .await
            .map_err(classify(OPERATION))?;
        lease.give_back();
        found.map(rows::shared(rows::trade)).transpose().map_err(damaged(OPERATION))
    }

    async fn trades(&self, query: &TradeQuery) -> Result<Page<Arc<Trade>, Sequence>, StoreError> {
        list(&self.readers, query).await
    }

    async fn expired_trades(&self, now: Timestamp, limit: usize) -> Result<Vec<TransactionId>, StoreError> {
        const OPERATION: &str = "find expired trades";
        let mut lease = self.readers.lease(OPERATION).await?;
        let found: Vec<String> = sqlx::query_scalar(EXPIRED_SQL)
            .bind(now.millis())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut lease.connection)
            .await
            .map_err(classify(OPERATION))?;
        lease.give_back();
        let ids: Result<Vec<_>, _> = found.iter().map(|id| rows::text("trade id", id)).collect();
        ids.map_err(damaged(OPERATION))
    }
}
