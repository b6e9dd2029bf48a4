//! Rules of an application beside roles and stations: an embargo, and a limit of what a buyer may owe.
//!
//! ```text
//! cargo run --example policies
//! ```

#![allow(clippy::print_stdout)]

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use trade_core::access::{Role, StationRoles};
use trade_core::bus::Subscription;
use trade_core::command::{CreateStation, InitiateTrade, Request, TradeOutcome, UpdateTrade};
use trade_core::event::{Actor, Event, EventData, EventFilter, Topic};
use trade_core::memory::MemoryStore;
use trade_core::policy::{Action, Denial, Every, Policy, Principal, State};
use trade_core::resource::{Line, Lines, Settlement, TradeStatus};
use trade_core::service::{Answer, ServiceError, ServiceOptions, Session, TradeService};
use trade_core::store::StoreError;
use trade_core::values::{Money, Quantity, Scope, StationId, TransactionId};

/// Nothing new goes to or from these stations.
#[derive(Debug)]
struct Embargo(BTreeSet<StationId>);

impl Policy for Embargo {
    fn check(&self, _: &Principal, action: &Action<'_>, _: &State<'_>) -> Result<(), Denial> {
        if !matches!(action, Action::InitiateTrade(_) | Action::CreateTransfer(_)) {
            return Ok(());
        }
        match action.stations().find(|station| self.0.contains(station)) {
            Some(station) => Err(Denial::Because(format!("{station} is under embargo"))),
            None => Ok(()),
        }
    }

    fn scope(&self, _: &Principal) -> Scope {
        Scope::All
    }
}

/// What a buyer owes for one trade, in millionths of a pound.
#[derive(Debug)]
struct Debt {
    buyer: StationId,
    amount: i128,
    /// Whether the trade is known to be stored; before, it is only allowed.
    is_stored: bool,
}

/// A buyer owes no more than so much, for trades that are not over. It keeps a ledger of its own, which follows the log.
#[derive(Debug, Clone)]
struct CreditLimit {
    limit: i128,
    ledger: Arc<Mutex<HashMap<TransactionId, Debt>>>,
}

impl CreditLimit {
    fn of_pounds(pounds: i128) -> Self {
        Self { limit: pounds * 1_000_000, ledger: Arc::default() }
    }

    fn ledger(&self) -> MutexGuard<'_, HashMap<TransactionId, Debt>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the log to its end, and follows it from there on.
    async fn follow(&self, network: &TradeService) -> Result<(), StoreError> {
        let filter = EventFilter { topics: vec![Topic::Trade], ..EventFilter::default() };
        let mut trades: Subscription = network.bus().subscribe(Some(0), filter);
        while let Some(event) = trades.next_stored().await? {
            self.note(event.event());
        }
        let limit = self.clone();
        tokio::spawn(async move {
            // A real application tries again where the log cannot be read.
            while let Ok(Some(event)) = trades.next().await {
                limit.note(event.event());
            }
        });
        Ok(())
    }

    fn note(&self, event: &Event) {
        let EventData::Trade(trade) = &event.data else { return };
        let id = trade.transaction_id.clone();
        match trade.status {
            TradeStatus::Initiated => {
                let debt =
                    Debt { buyer: trade.buyer.clone(), amount: millionths(&trade.totals), is_stored: true };
                self.ledger().insert(id, debt);
            }
            TradeStatus::Completed | TradeStatus::Cancelled | TradeStatus::Failed => {
                self.ledger().remove(&id);
            }
        }
    }

    /// Submits a trade. One that was allowed here and refused by another rule, such as for lack of stock, is owed by nobody.
    async fn submit(
        &self,
        session: &Session,
        trade: InitiateTrade,
    ) -> Result<Answer<TradeOutcome>, ServiceError> {
        let id = trade.transaction_id.clone();
        let answer = session.submit(Request::new(trade)).await;
        if let Err(ServiceError::Rejected(_)) = answer {
            let mut ledger = self.ledger();
            if ledger.get(&id).is_some_and(|debt| !debt.is_stored) {
                ledger.remove(&id);
            }
        }
        answer
    }
}

impl Policy for CreditLimit {
    /// What it allows counts at once, before the log tells of it; so many trades at the same time do not pass the limit
    /// together. It counts by the trade's id, as it may be asked about one trade more than once.
    fn check(&self, _: &Principal, action: &Action<'_>, _: &State<'_>) -> Result<(), Denial> {
        let Action::InitiateTrade(trade) = action else { return Ok(()) };
        let (id, buyer) = (&trade.transaction_id, &trade.buyer);
        let totals = trade.items.totals().map_err(|error| Denial::Because(error.to_string()))?;
        let amount = millionths(&totals);
        let mut ledger = self.ledger();
        let others = ledger.iter().filter(|(other, debt)| *other != id && debt.buyer == *buyer);
        let owed: i128 = others.map(|(_, debt)| debt.amount).sum();
        if owed + amount > self.limit {
            return Err(Denial::Because(format!("{buyer} has no more credit")));
        }
        let new = || Debt { buyer: buyer.clone(), amount, is_stored: false };
        ledger.entry(id.clone()).or_insert_with(new);
        Ok(())
    }

    fn scope(&self, _: &Principal) -> Scope {
        Scope::All
    }
}

/// This application trades in pounds alone.
fn millionths(totals: &[Money]) -> i128 {
    let amounts = totals.iter().map(|total| total.amount);
    amounts.map(|amount| amount.mantissa() * 10_i128.pow(6 - amount.scale())).sum()
}

/// A network of three stations, where juno is under embargo and a buyer may owe a hundred pounds.
async fn network() -> Result<(TradeService, CreditLimit), Box<dyn Error>> {
    let limit = CreditLimit::of_pounds(100);
    let policy = Every(vec![
        Arc::new(StationRoles::default()),
        Arc::new(Embargo(["juno".try_into()?].into())),
        // The last one: what it allows is allowed.
        Arc::new(limit.clone()),
    ]);
    let options = ServiceOptions { policy: Arc::new(policy), ..ServiceOptions::default() };
    let network = TradeService::start_with_options(Arc::new(MemoryStore::new()), options).await?;
    limit.follow(&network).await?;
    for id in ["ceres", "vesta", "juno"] {
        let tea = vec![("tea".try_into()?, Quantity::new(10)?)];
        let station = CreateStation { items: tea, ..CreateStation::new(id.try_into()?) };
        network.submit(Request::new(station)).await?;
    }
    Ok((network, limit))
}

/// Somebody who has a role at ceres.
fn at_ceres(network: &TradeService, role: Role) -> Result<Session, Box<dyn Error>> {
    let who = Principal::new(Actor::User(role.as_str().into())).with_roles([role.as_str()]);
    Ok(network.session(who.with_stations(Scope::of(["ceres".try_into()?])?)))
}

/// An order of tea from ceres, at twenty pounds each.
fn tea(id: &str, buyer: &str, units: u64) -> Result<InitiateTrade, Box<dyn Error>> {
    let price = Some(Money::parse("20.00", "GBP")?);
    let line = Line { unit_price: price, ..Line::new("tea".try_into()?, Quantity::new(units)?) };
    let trade =
        InitiateTrade::new(id.try_into()?, buyer.try_into()?, "ceres".try_into()?, Lines::new(vec![line])?);
    Ok(InitiateTrade { settlement: Settlement::OnDelivery, ..trade })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (network, limit) = network().await?;
    let trader = at_ceres(&network, Role::Trader)?;
    for (id, buyer, units) in [("T-1", "vesta", 4), ("T-2", "vesta", 2), ("T-3", "juno", 1)] {
        match limit.submit(&trader, tea(id, buyer, units)?).await {
            Ok(_) => println!("{id}: {units} of tea are on order for {buyer}"),
            Err(refused) => println!("{id}: {refused}"),
        }
    }
    let cancelled = UpdateTrade::new("T-1".try_into()?, TradeStatus::Cancelled);
    trader.submit(Request::new(cancelled)).await?;
    println!("T-1: cancelled");
    network.shutdown().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use trade_core::command::{AdjustInventory, Adjustment, AdjustmentReason};
    use trade_core::rejection::Rejection;
    use trade_core::values::Delta;

    fn reason(answer: Result<Answer<TradeOutcome>, ServiceError>) -> String {
        match answer {
            Err(ServiceError::Rejected(Rejection::RefusedByPolicy { reason })) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn roles_an_embargo_and_a_limit_hold_together() -> Result<(), Box<dyn Error>> {
        let (network, limit) = network().await?;
        let (viewer, trader) = (at_ceres(&network, Role::Viewer)?, at_ceres(&network, Role::Trader)?);
        let denied = limit.submit(&viewer, tea("T-1", "vesta", 1)?).await;
        assert!(matches!(denied, Err(ServiceError::Rejected(Rejection::Forbidden))), "{denied:?}");
        let embargo = limit.submit(&trader, tea("T-1", "juno", 1)?).await;
        assert_eq!(reason(embargo), "juno is under embargo");

        limit.submit(&trader, tea("T-1", "vesta", 4)?).await?;
        let too_much = limit.submit(&trader, tea("T-2", "vesta", 2)?).await;
        assert_eq!(reason(too_much), "vesta has no more credit");
        // The same once more owes nothing more.
        assert!(!limit.submit(&trader, tea("T-1", "vesta", 4)?).await?.outcome.created);
        limit.submit(&trader, tea("T-3", "vesta", 1)?).await?;

        let end = UpdateTrade::new("T-1".try_into()?, TradeStatus::Cancelled);
        trader.submit(Request::new(end)).await?;
        let paid = async {
            while limit.submit(&trader, tea("T-4", "vesta", 4)?).await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok::<_, Box<dyn Error>>(())
        };
        tokio::time::timeout(Duration::from_secs(5), paid).await??;
        Ok(())
    }

    #[tokio::test]
    async fn what_another_rule_refuses_is_owed_by_nobody() -> Result<(), Box<dyn Error>> {
        let (network, limit) = network().await?;
        let trader = at_ceres(&network, Role::Trader)?;
        network.submit(Request::new(used(9)?)).await?;
        let short = limit.submit(&trader, tea("T-1", "vesta", 5)?).await;
        assert!(matches!(short, Err(ServiceError::Rejected(Rejection::InsufficientStock(_)))), "{short:?}");
        limit.submit(&trader, tea("T-2", "vesta", 1)?).await?;
        Ok(())
    }

    fn used(units: i64) -> Result<AdjustInventory, Box<dyn Error>> {
        let reason = AdjustmentReason::try_from("consumed")?;
        let line = Adjustment { item_id: "tea".try_into()?, delta: Delta::new(-units)?, reason };
        Ok(AdjustInventory::new("ceres".try_into()?, vec![line]))
    }

    /// Whatever comes at once: no two trades use the same credit.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_limit_holds_for_many_at_once() -> Result<(), Box<dyn Error>> {
        let (network, limit) = network().await?;
        let trader = at_ceres(&network, Role::Trader)?;
        let mut orders = tokio::task::JoinSet::new();
        for n in 0..10 {
            let (limit, trader, order) = (limit.clone(), trader.clone(), tea(&format!("T-{n}"), "vesta", 1)?);
            orders.spawn(async move { limit.submit(&trader, order).await.is_ok() });
        }
        let taken = orders.join_all().await.into_iter().filter(|is_taken| *is_taken).count();
        assert_eq!(taken, 5);
        Ok(())
    }
}
