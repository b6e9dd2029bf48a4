//! What the network does by itself: it cancels expired trades and forgets old receipts.

use super::replay::BASE_AGE_MAX;
use super::{Inner, ServiceError, TradeService};
use crate::command::{Command, Outcome, Request};
use crate::event::Actor;
use crate::outage::Outage;
use crate::resource::TradeStatus;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const EXPIRED_CHUNK: usize = 256;
/// How often the clock is compared with the store's.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);
const PRUNE_CHUNK: usize = 1_000;

/// Works until the service is gone.
pub(super) async fn run(service: Weak<Inner>) {
    let mut prune_next = Instant::now();
    let mut look_next = Instant::now();
    let outage = Outage::new("cancel expired trades");
    loop {
        let Some(inner) = service.upgrade() else { return };
        let interval = inner.options.expiry_interval;
        let service = TradeService { inner };
        if Instant::now() >= look_next {
            look_next = Instant::now() + LOOK_INTERVAL;
            // A store that is away is told of by others.
            let _ = service.inner.timekeeper.look(&*service.inner.store).await;
        }
        if service.inner.timekeeper.off_by_seconds().is_some() {
            drop(service);
            tokio::time::sleep(interval).await;
            continue;
        }
        match expire_due(&service).await {
            Ok(_) => outage.worked(),
            Err(ServiceError::Stopped) => return,
            Err(ServiceError::Store(error) | ServiceError::Unknown(error)) => outage.failed(&error),
            Err(error) => tracing::warn!(%error, "expired trades could not be cancelled; trying again"),
        }
        if Instant::now() >= prune_next {
            prune_next = Instant::now() + PRUNE_INTERVAL;
            prune(&service).await;
        }
        drop(service);
        tokio::time::sleep(interval).await;
    }
}

pub(super) async fn expire_due(service: &TradeService) -> Result<usize, ServiceError> {
    let mut cancelled = 0;
    loop {
        let due = service.store().expired_trades(service.now(), EXPIRED_CHUNK).await;
        let due = due.map_err(|error| ServiceError::Store(Arc::new(error)))?;
        let (found, before) = (due.len(), cancelled);
        // All at once, so that they share a commit.
        let mut requests = JoinSet::new();
        for id in due {
            let request = Request::new(Command::ExpireTrade(id)).by(Actor::Network);
            let service = service.clone();
            requests.spawn(async move { service.submit(request).await });
        }
        while let Some(answer) = requests.join_next().await {
            match answer.unwrap_or(Err(ServiceError::Stopped)) {
                Ok(answer) => cancelled += usize::from(is_cancelled(&answer.outcome)),
                // It was sent or cancelled meanwhile.
                Err(ServiceError::Rejected(rejection)) => tracing::debug!(%rejection, "not expired"),
                Err(error) => return Err(error),
            }
        }
        if found < EXPIRED_CHUNK || cancelled == before {
            return Ok(cancelled);
        }
    }
}

fn is_cancelled(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Trade(outcome) if outcome.trade.status == TradeStatus::Cancelled)
}

async fn prune(service: &TradeService) {
    // A clock that is wrong must not make new receipts look old, and neither must what was dated by it. So they are old by
    // the store's clock, or by what others had written before this service started, and the time since.
    let known = match service.inner.store.clock().await {
        Ok(Some(now)) => now,
        Ok(None) => service.inner.start.newest.plus(service.inner.start.at.elapsed()),
        Err(error) => return tracing::warn!(%error, "old receipts could not be looked for"),
    };
    let kept = service.inner.options.receipts_kept.saturating_add(BASE_AGE_MAX);
    let before = service.now().min(known).minus(kept);
    loop {
        match service.inner.store.prune_receipts(before, PRUNE_CHUNK).await {
            Ok(pruned) if pruned < PRUNE_CHUNK as u64 => return,
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => {
                tracing::warn!(%error, "old receipts could not be removed");
                return;
            }
        }
    }
}
