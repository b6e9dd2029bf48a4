//! The plan sent through the library, into a store of its own process.

use super::plan::Opening;
use super::target::{Failure, Made, Reply, Target};
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use trade_core::command::{
    AdjustInventory, Command, CreateStation, Fingerprint, Idempotency, InitiateTrade, InitiateTrades,
    Outcome, Request, RequestId,
};
use trade_core::rejection::Rejection;
use trade_core::resource::{Inventory, LedgerEntry, Place};
use trade_core::service::{Answer, ServiceError, TradeService};
use trade_core::store::{Access, InventoryQuery, LedgerQuery, Store, StoreError, StoreErrorKind};
use trade_core::values::{ItemId, StationId, TransactionId};
use trade_network::store::{OpenError, Opened, StoreOptions, causes, not_started};

const LEDGER_PAGE: usize = 5_000;

/// The library over a store.
#[derive(Debug)]
pub(crate) struct Library {
    opened: Opened,
    store: Arc<dyn Store>,
    service: TradeService,
}

impl Library {
    pub(crate) async fn open(url: &str) -> Result<Self, OpenError> {
        let opened = Opened::open(url, Access::Migrate, &StoreOptions::default()).await?;
        let store = opened.store();
        let service = TradeService::start(store.clone()).await;
        let service = service.map_err(|error| OpenError::Store(not_started(&error)))?;
        Ok(Self { opened, store, service })
    }

    async fn submit(&self, request: Request) -> Result<Answer, ServiceError> {
        self.service.submit(request).await
    }

    async fn page(
        &self,
        station: &StationId,
        query: &InventoryQuery,
    ) -> Result<(Inventory, Option<ItemId>), Failure> {
        let page = self.store.inventory(station, query).await.map_err(|error| read_failed(&error))?;
        let page = page.ok_or_else(|| Failure::Final(format!("there is no station {station}")))?;
        Ok((page.inventory, page.next))
    }
}

/// A key for the store's receipts out of one in words.
fn idempotency(key: &str, adjustment: &AdjustInventory) -> Idempotency {
    let short = |text: String| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Sha256::digest(text)[..16]);
        bytes
    };
    Idempotency {
        request: RequestId(short(format!("replay {key}"))),
        fingerprint: Fingerprint(short(format!("{adjustment:?}"))),
    }
}

fn read_failed(error: &StoreError) -> Failure {
    Failure::Final(format!("the store cannot be read: {}", causes(error)))
}

fn failed(error: &ServiceError) -> Failure {
    match error {
        ServiceError::Overloaded | ServiceError::InProgress => Failure::Busy(error.to_string()),
        ServiceError::Unknown(cause) => Failure::Busy(causes(cause)),
        ServiceError::Store(cause) if cause.kind == StoreErrorKind::Unavailable => {
            Failure::Busy(causes(cause))
        }
        ServiceError::Store(cause) => Failure::Final(causes(cause)),
        other => Failure::Final(other.to_string()),
    }
}

fn made(created: bool) -> Made {
    if created { Made::Now } else { Made::Before }
}

#[async_trait]
impl Target for Library {
    async fn create_station(&self, opening: &Opening) -> Result<Made, Failure> {
        let Opening { station, name, items } = opening;
        let (name, items) = (Some(name.clone()), items.clone());
        let command = CreateStation { name, items, ..CreateStation::new(station.clone()) };
        match self.submit(Request::new(Command::CreateStation(command))).await {
            Ok(_) => Ok(Made::Now),
            Err(ServiceError::Rejected(Rejection::StationExists(_))) => {
                let query = InventoryQuery { items: Vec::new(), after: None, limit: 1 };
                let (found, _) = self.page(station, &query).await?;
                match found.name {
                    Some(found) if found == opening.name => Ok(Made::Before),
                    other => Err(Failure::other_replay(opening, other.as_ref().map(|name| name.as_str()))),
                }
            }
            Err(error) => Err(failed(&error)),
        }
    }

    async fn trades(&self, trades: &[InitiateTrade]) -> Result<Vec<Reply>, Failure> {
        let command = Command::InitiateTrades(InitiateTrades { trades: trades.to_vec(), atomic: false });
        match self.submit(Request::new(command)).await.map_err(|error| failed(&error))?.outcome {
            Outcome::Trades(outcomes) => Ok(outcomes
                .into_iter()
                .map(|outcome| {
                    outcome.map(|trade| made(trade.created)).map_err(|refusal| refusal.to_string())
                })
                .collect()),
            other => Err(Failure::Final(format!("another answer than to a batch: {other:?}"))),
        }
    }

    async fn adjust(&self, adjustment: &AdjustInventory, key: &str) -> Result<Made, Failure> {
        let request = Request::new(Command::AdjustInventory(adjustment.clone()));
        let answer = self.submit(request.once(idempotency(key, adjustment))).await;
        answer.map(|answer| made(!answer.replayed)).map_err(|error| failed(&error))
    }

    async fn knows_trade(&self, id: &TransactionId) -> Result<bool, Failure> {
        Ok(self.store.trade(id).await.map_err(|error| read_failed(&error))?.is_some())
    }

    async fn on_hand(&self, station: &StationId) -> Result<BTreeMap<ItemId, u64>, Failure> {
        let mut query = InventoryQuery { items: Vec::new(), after: None, limit: Inventory::ITEMS_MAX };
        let mut levels = BTreeMap::new();
        loop {
            let (inventory, next) = self.page(station, &query).await?;
            levels.extend(inventory.items.into_iter().map(|item| (item.item_id, item.level.on_hand)));
            query.after = next;
            if query.after.is_none() {
                return Ok(levels);
            }
        }
    }

    async fn brought_in(&self, station: &StationId) -> Result<BTreeMap<ItemId, i128>, Failure> {
        let mut query = LedgerQuery { item: None, before: None, limit: LEDGER_PAGE };
        let mut sums = BTreeMap::new();
        loop {
            let page = self.store.ledger(station, &query).await.map_err(|error| read_failed(&error))?;
            page.rows.iter().for_each(|entry| add_from_world(&mut sums, entry));
            query.before = page.next;
            if query.before.is_none() {
                return Ok(sums);
            }
        }
    }

    async fn close(&self) {
        self.service.shutdown().await;
        self.opened.close().await;
    }
}

/// Adds what a row of a station's ledger brought in from outside the network, or took out.
pub(crate) fn add_from_world(sums: &mut BTreeMap<ItemId, i128>, entry: &LedgerEntry) {
    let units = i128::from(entry.quantity.units());
    let units = match (&entry.from, &entry.to) {
        (Place::World, _) => units,
        (_, Place::World) => -units,
        _ => return,
    };
    *sums.entry(entry.item_id.clone()).or_default() += units;
}
