//! Trades: one, lists, and those past their time.

use super::columns::trade_joins;
use super::ends::{self, BOUGHT, SOLD};
use super::list::List;
use crate::dialect::Template;
use crate::driver::Driver;
use crate::lane::Lane;
use crate::layouts::FIRST;
use crate::plan::{Plan, TradeNarrowing};
use crate::rows;
use std::sync::Arc;
use trade_core::resource::{Sequence, Trade};
use trade_core::store::{Page, StoreError, TradeQuery};
use trade_core::values::{Timestamp, TransactionId};

/// The walk of a narrowing, or of all. Parameters: 1 and 2 the span, 3 how many rows to examine, 4 to 8 the filters.
pub(crate) fn walk(narrowing: Option<TradeNarrowing>) -> String {
    match narrowing {
        Some(TradeNarrowing::Seller) => ends::of_station(&SOLD, "?4"),
        Some(TradeNarrowing::Buyer) => ends::of_station(&BOUGHT, "?5"),
        Some(TradeNarrowing::Station) => ends::of_station(&[SOLD, BOUGHT].concat(), "?6"),
        Some(TradeNarrowing::Item) => "SELECT sequence FROM tn_trade_item \
             WHERE item = ?7 AND sequence > ?1 AND sequence < ?2 ORDER BY sequence DESC LIMIT ?3"
            .into(),
        Some(TradeNarrowing::Status) => "SELECT sequence FROM tn_trade{index:tn_trade_by_status} \
             WHERE {span:status|?8|?1|?2} ORDER BY {newest:status|sequence} LIMIT ?3"
            .into(),
        None => "SELECT sequence FROM tn_trade WHERE sequence > ?1 AND sequence < ?2 \
             ORDER BY sequence DESC LIMIT ?3"
            .into(),
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

/// The template that reads a page by a walk; 9 is its limit.
pub(crate) fn page_sql(plan: &Plan<TradeNarrowing>, walk: &str) -> String {
    let checks: String = plan.checks.iter().map(|narrowing| check(*narrowing)).collect();
    [
        concat!("SELECT {row:trade}", " FROM ("),
        walk,
        concat!(") w {then:tn_trade|t|t.sequence = w.sequence}", trade_joins!(), " WHERE 1 = 1"),
        &checks,
        " ORDER BY w.sequence DESC LIMIT ?9",
    ]
    .concat()
}

pub(crate) async fn list<E: Driver>(
    readers: &Lane<E>,
    query: &TradeQuery,
) -> Result<Page<Arc<Trade>, Sequence>, StoreError> {
    let filter = &query.filter;
    let list = List {
        operation: "list trades",
        created: filter.created,
        before: query.before,
        limit: query.limit,
        scope: &filter.scope,
        ends: [SOLD, BOUGHT].concat(),
        plan: Plan::of_trades(filter),
        filters: vec![
            filter.seller.as_ref().map(|id| id.as_str()).into(),
            filter.buyer.as_ref().map(|id| id.as_str()).into(),
            filter.station.as_ref().map(|id| id.as_str()).into(),
            filter.item.as_ref().map(|id| id.as_str()).into(),
            filter.status.map(|status| i64::from(status.code())).into(),
        ],
        walk,
        page_sql,
    };
    list.read(readers, |row| rows::trade(row).map(Arc::new)).await
}

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
