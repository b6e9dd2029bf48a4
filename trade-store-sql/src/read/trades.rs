//! Trades: one, lists, and those past their time.

use super::columns::trade_joins;
use crate::dialect::{Rendered, Template};
use crate::driver::{Driver, Param};
use crate::lane::Lane;
use crate::layouts::FIRST;
use crate::plan::{Plan, Span, TradeNarrowing, one_more, page};
use crate::rows;
use crate::snapshot::Snapshot;
use std::sync::Arc;
use trade_core::resource::{Sequence, Trade};
use trade_core::store::{Page, StoreError, TimeRange, TradeFilter, TradeQuery};
use trade_core::values::{Timestamp, TransactionId};

/// The trades that have a station on one side, newest first: a walk of both settlements (0 is immediate, 1 on delivery),
/// each of which stands together in the index. Takes the side, its index, the sequence to name, what else is asked of the
/// trade, and the parameter of the station.
macro_rules! trades_by_side {
    ($side:literal, $index:literal, $sequence:literal, $condition:literal, $station:literal) => {
        concat!(
            trades_by_side!($side, $index, $sequence, $condition, $station, "0", "at_once"),
            " UNION ALL ",
            trades_by_side!($side, $index, $sequence, $condition, $station, "1", "on_delivery")
        )
    };
    ($side:literal, $index:literal, $sequence:literal, $condition:literal, $station:literal, $settlement:literal,
        $name:literal) => {
        concat!(
            "{part}SELECT ",
            $sequence,
            " AS sequence FROM tn_trade{index:",
            $index,
            "} WHERE {span:",
            $side,
            ", settlement|(SELECT sequence FROM tn_station WHERE id = ",
            $station,
            "), ",
            $settlement,
            "|?1|?2}",
            $condition,
            " ORDER BY {newest:",
            $side,
            ", settlement|tn_trade.sequence} LIMIT ?3{end:",
            $name,
            "}"
        )
    };
}

pub(crate) use trades_by_side;

/// The walk of a narrowing. Parameters: 1 and 2 the span, 3 how many rows to examine, 4 to 8 the filters.
pub(crate) fn walk(narrowing: Option<TradeNarrowing>) -> &'static str {
    match narrowing {
        None => {
            "SELECT sequence FROM tn_trade WHERE sequence > ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3"
        }
        Some(TradeNarrowing::Seller) => concat!(
            "SELECT sequence FROM (",
            trades_by_side!("seller", "tn_trade_by_seller", "sequence", "", "?4"),
            ") sold ORDER BY sequence DESC LIMIT ?3"
        ),
        Some(TradeNarrowing::Buyer) => concat!(
            "SELECT sequence FROM (",
            trades_by_side!("buyer", "tn_trade_by_buyer", "sequence", "", "?5"),
            ") bought ORDER BY sequence DESC LIMIT ?3"
        ),
        // No trade is on both sides: its buyer is not its seller.
        Some(TradeNarrowing::Station) => concat!(
            "SELECT sequence FROM (",
            trades_by_side!("seller", "tn_trade_by_seller", "sequence", "", "?6"),
            " UNION ALL ",
            trades_by_side!("buyer", "tn_trade_by_buyer", "sequence", "", "?6"),
            ") both_sides ORDER BY sequence DESC LIMIT ?3"
        ),
        Some(TradeNarrowing::Item) => {
            "SELECT sequence FROM tn_trade_item WHERE item = ?7 AND sequence > ?1 AND sequence < ?2 \
             ORDER BY sequence DESC LIMIT ?3"
        }
        Some(TradeNarrowing::Status) => {
            "SELECT sequence FROM tn_trade{index:tn_trade_by_status} \
             WHERE {span:status|?8|?1|?2} ORDER BY {newest:status|sequence} LIMIT ?3"
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

/// The template that reads a page; 9 is its limit.
pub(crate) fn page_sql(plan: &Plan<TradeNarrowing>) -> String {
    let checks: String = plan.checks.iter().map(|narrowing| check(*narrowing)).collect();
    [
        concat!("SELECT {row:trade}", " FROM ("),
        walk(plan.walk),
        concat!(") w {then:tn_trade|t|t.sequence = w.sequence}", trade_joins!(), " WHERE 1 = 1"),
        &checks,
        " ORDER BY w.sequence DESC LIMIT ?9",
    ]
    .concat()
}

/// The template that tells how far a walk came: the last row, where it ended early.
pub(crate) fn examined_sql(walk: &str) -> String {
    format!("SELECT CASE WHEN count(*) >= ?3 THEN min(sequence) END FROM ({walk}) w")
}

pub(crate) async fn list<E: Driver>(
    readers: &Lane<E>,
    query: &TradeQuery,
) -> Result<Page<Arc<Trade>, Sequence>, StoreError> {
    let (filter, plan): (&TradeFilter, _) = (&query.filter, Plan::of_trades(&query.filter));
    let mut snapshot = Snapshot::begin(readers, "list trades").await?;
    let span = span(&mut snapshot, filter.created, query.before).await?;
    let parameters = [
        span.after.into(),
        span.before.into(),
        plan.examined_max(query.limit).into(),
        filter.seller.as_ref().map(|id| id.as_str()).into(),
        filter.buyer.as_ref().map(|id| id.as_str()).into(),
        filter.station.as_ref().map(|id| id.as_str()).into(),
        filter.item.as_ref().map(|id| id.as_str()).into(),
        filter.status.map(|status| i64::from(status.code())).into(),
        one_more(query.limit).into(),
    ];
    let sql = Rendered::new(E::DIALECT, &page_sql(&plan));
    let found = snapshot.fetch(&sql, &parameters).await?;
    let mut examined = None;
    if !plan.checks.is_empty() && found.len() <= query.limit {
        examined = examined_by(&mut snapshot, walk(plan.walk), &parameters).await?;
    }
    let damaged = rows::failed::<E>(snapshot.operation());
    snapshot.end().await?;
    let keyed = |row: &E::Row| Ok((rows::count(row, 0)?, Arc::new(rows::trade(row)?)));
    let found: Result<Vec<_>, _> = found.iter().map(keyed).collect();
    Ok(page(found.map_err(damaged)?, query.limit, examined))
}

/// The last row that a walk examined, where it ended early.
pub(crate) async fn examined_by<E: Driver>(
    snapshot: &mut Snapshot<'_, E>,
    walk: &str,
    parameters: &[Param<'_>],
) -> Result<Option<Sequence>, StoreError> {
    // The limit of the page is no parameter of its walk.
    let parameters = &parameters[..parameters.len() - 1];
    let found = snapshot.fetch(&Rendered::new(E::DIALECT, &examined_sql(walk)), parameters).await?;
    let last = found.first().map(|row| rows::maybe_count(row, 0)).transpose();
    Ok(last.map_err(rows::failed::<E>(snapshot.operation()))?.flatten())
}

/// The sequences that a span of creation times stands for.
pub(crate) async fn span<E: Driver>(
    snapshot: &mut Snapshot<'_, E>,
    created: TimeRange,
    before: Option<Sequence>,
) -> Result<Span, StoreError> {
    let mut ends = [None; 2];
    for (end, time) in ends.iter_mut().zip([created.since, created.until]) {
        if let Some(time) = time {
            let found = snapshot.fetch(LAST_BEFORE_SQL.of(E::DIALECT), &[time.millis().into()]).await?;
            let last = found.first().map(|row| rows::number(row, 0)).transpose();
            *end = Some(last.map_err(rows::failed::<E>(snapshot.operation()))?.unwrap_or(0));
        }
    }
    Ok(Span::new(ends[0], ends[1], before))
}

/// The last sequence that was committed before a time.
pub(crate) static LAST_BEFORE_SQL: Template =
    Template::new("SELECT last FROM tn_moment WHERE time < ?1 ORDER BY time DESC LIMIT 1");

/// One trade.
pub(crate) static ONE_SQL: Template =
    Template::new(concat!("SELECT {row:trade}", " FROM tn_trade t", trade_joins!(), " WHERE t.id = ?1"));

/// The ids of trades past their time whose shipment is pending.
pub(crate) static EXPIRED_SQL: Template = Template::new(
    "SELECT t.id FROM tn_cargo c{index:tn_cargo_by_expiry} \
     {then:tn_trade|t|t.sequence = c.trade} \
     WHERE c.status = 0 AND c.expires_at IS NOT NULL AND c.expires_at <= ?1 AND t.status = 0 \
     ORDER BY c.expires_at LIMIT ?2",
);

pub(crate) async fn one<E: Driver>(
    readers: &Lane<E>,
    id: &TransactionId,
) -> Result<Option<Arc<Trade>>, StoreError> {
    const OPERATION: &str = "read a trade";
    let found = readers.read(OPERATION, ONE_SQL.of(E::DIALECT), &[id.as_str().into()]).await?;
    let trade = found.first().map(|row| rows::trade(row).map(Arc::new));
    trade.transpose().map_err(rows::failed::<E>(OPERATION))
}

pub(crate) async fn expired<E: Driver>(
    readers: &Lane<E>,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<TransactionId>, StoreError> {
    const OPERATION: &str = "find expired trades";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let parameters = [now.millis().into(), limit.into()];
    let found = readers.read(OPERATION, EXPIRED_SQL.of(E::DIALECT), &parameters).await?;
    let ids: Result<Vec<_>, _> = found.iter().map(|row| rows::named("trade id", row, FIRST)).collect();
    ids.map_err(rows::failed::<E>(OPERATION))
}
