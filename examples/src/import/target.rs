//! The network that takes everything over, through its service, one command after the other, each at its own time.
//!
//! Nothing is remembered beside the network itself. A trade or transfer that is there with the same content is not made
//! again, a shipment is only led on to where it is to be, and of each station the log tells which steps of stock were
//! made by a take-over before. So a take-over that was interrupted goes on, and one that was done changes nothing.

use super::deal::Deal;
use super::levels::StationPlan;
use crate::Failure;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use trade_core::clock::{Clock, ManualClock, SystemClock, UuidV7};
use trade_core::command::{
    AdjustInventory, Adjustment, AdjustmentReason, Command, CreateStation, Outcome, Request, UpdateCargo,
};
use trade_core::event::Actor;
use trade_core::resource::{Cargo, CargoStatus, Place};
use trade_core::service::{ServiceError, ServiceOptions, TradeService};
use trade_core::step::Step;
use trade_core::store::{InventoryQuery, Store, StoreError};
use trade_core::values::{Delta, InvalidValue, ItemId, Quantity, StationId, Timestamp};
use trade_network::store::{Opened, causes, not_started};

/// Who everything is done by.
const ACTOR: &str = "import-legacy";
/// The lines of one step.
const LINES_MAX: usize = 5_000;
const PAGE_RECORDS: usize = 1_000;
const PAGE_BYTES: usize = 4 << 20;

/// Stands for what a step changed at a station.
type Digest = u64;

/// The open target.
#[derive(Debug)]
pub(crate) struct Target {
    service: TradeService,
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    /// What earlier runs did at each station, in order.
    done: HashMap<StationId, Vec<Digest>>,
    is_new: bool,
}

/// A step at a station alone.
#[derive(Debug)]
struct StockStep {
    command: Command,
    digest: Digest,
    is_correction: bool,
}

impl Target {
    /// Starts the service, and reads from the log what was taken over before.
    pub(crate) async fn start(opened: &Opened) -> Result<Self, Failure> {
        let store = opened.store();
        let head = store.head().await.map_err(|error| unread(&error))?;
        let clock = Arc::new(ManualClock::new(head.time.min(SystemClock::new().now())));
        let service = TradeService::start_with(
            store.clone(),
            clock.clone(),
            Arc::new(UuidV7),
            ServiceOptions::default(),
        );
        let service = service.await.map_err(|error| Failure::Failed(not_started(&error)))?;
        let mut target = Self { service, store, clock, done: HashMap::new(), is_new: head.sequence == 0 };
        if let Err(failure) = target.read_log().await {
            target.stop().await;
            return Err(failure);
        }
        Ok(target)
    }

    async fn read_log(&mut self) -> Result<(), Failure> {
        let (mut after, actor) = (0, actor());
        loop {
            let records = self.store.read(after, PAGE_RECORDS, PAGE_BYTES).await;
            let records = records.map_err(|error| unread(&error))?;
            let Some(last) = records.last() else { return Ok(()) };
            after = last.last;
            for step in records.iter().map(|record| &record.step).filter(|step| step.actor == actor) {
                if let (None, None, [station]) = (&step.trade, &step.cargo, &step.stations[..]) {
                    let digests = self.done.entry(station.station_id.clone()).or_default();
                    digests.push(digest_of(step, &station.station_id));
                }
            }
        }
    }

    /// Ends the service.
    pub(crate) async fn stop(&self) {
        self.service.shutdown().await;
    }

    /// The time of the newest step, for a network that holds something already.
    pub(crate) async fn newest(&self) -> Result<Option<Timestamp>, Failure> {
        let head = self.store.head().await.map_err(|error| unread(&error))?;
        Ok((head.sequence > 0).then_some(head.time))
    }

    /// Sets the clock by which the next steps are made.
    pub(crate) fn set_time(&self, time: Timestamp) {
        self.clock.set(time);
    }

    /// What there is already against a deal.
    ///
    /// # Errors
    /// [`Failure`] if the store cannot be read.
    pub(crate) async fn contradiction(&self, deal: &Deal) -> Result<Option<String>, Failure> {
        if self.is_new {
            return Ok(None);
        }
        let Some(cargo) = self.cargo(deal).await? else { return Ok(None) };
        if !self.is_same(deal, &cargo).await? {
            return Ok(Some(format!("there is a {} already, and it is another", deal.shipment)));
        }
        Ok(way(cargo.status, deal.fate)
            .is_none()
            .then(|| format!("{} is {} there, and {} in the source", deal.shipment, cargo.status, deal.fate)))
    }

    async fn cargo(&self, deal: &Deal) -> Result<Option<Arc<Cargo>>, Failure> {
        self.store.cargo(&deal.shipment).await.map_err(|error| unread(&error))
    }

    async fn is_same(&self, deal: &Deal, cargo: &Cargo) -> Result<bool, Failure> {
        let eta = match &deal.command {
            Command::InitiateTrade(wanted) => {
                let trade = self.store.trade(&wanted.transaction_id).await.map_err(|error| unread(&error))?;
                if trade.is_none_or(|trade| trade.settlement != wanted.settlement) {
                    return Ok(false);
                }
                wanted.eta
            }
            Command::CreateTransfer(wanted) => wanted.eta,
            _ => None,
        };
        Ok(deal.origin == cargo.origin
            && deal.destination == cargo.destination
            && deal.items.same_content(&cargo.items)
            && eta == cargo.requested_eta)
    }

    /// What there is already against a station: steps that a take-over of this source would not have made, or a station
    /// that none has made.
    ///
    /// # Errors
    /// [`Failure`] if the store cannot be read.
    pub(crate) async fn station_contradiction(&self, plan: &StationPlan) -> Result<Option<String>, Failure> {
        if self.is_new {
            return Ok(None);
        }
        let id = &plan.station;
        let Some(done) = self.done.get(id) else {
            let query = InventoryQuery { items: Vec::new(), after: None, limit: 1 };
            let there = self.store.inventory(id, &query).await.map_err(|error| unread(&error))?;
            return Ok(there.map(|_| format!("there is a station {id} already, and no take-over made it")));
        };
        let steps = stock_steps(plan).map_err(|error| out_of_range(id, &error))?;
        let planned = steps.iter().map(|step| &step.digest);
        let is_begun = done.len() <= steps.len() && done.iter().zip(planned).all(|(done, step)| done == step);
        Ok((!is_begun).then(|| {
            format!(
                "station {id} was taken over with other stock: the source has changed since, or is another"
            )
        }))
    }

    /// Makes the steps at a station that were not made before: those that open it, or the corrections in the end.
    ///
    /// # Errors
    /// [`Failure`] if one is refused, or the store fails.
    pub(crate) async fn settle(&self, plan: &StationPlan, corrections: bool) -> Result<(), Failure> {
        let done = self.done.get(&plan.station).map_or(0, Vec::len);
        let steps = stock_steps(plan).map_err(|error| out_of_range(&plan.station, &error))?;
        for step in steps.into_iter().skip(done).filter(|step| step.is_correction == corrections) {
            self.submit(step.command).await?;
        }
        Ok(())
    }

    /// Makes a trade or transfer, unless it is there.
    ///
    /// # Errors
    /// [`Failure`] if it is refused, or the store fails.
    pub(crate) async fn make(&self, deal: &Deal) -> Result<(), Failure> {
        self.submit(deal.command.clone()).await.map(drop)
    }

    /// Leads a shipment on to where it is to be, unless it is there or further.
    ///
    /// # Errors
    /// [`Failure`] if that is refused, or the store fails.
    pub(crate) async fn lead(&self, deal: &Deal) -> Result<(), Failure> {
        if deal.fate == CargoStatus::Pending {
            return Ok(());
        }
        let Some(cargo) = self.cargo(deal).await? else {
            return Err(Failure::Failed(format!("{} was made and is not there", deal.shipment)));
        };
        let way = way(cargo.status, deal.fate).ok_or_else(|| {
            Failure::Failed(format!("{} is {} there, and not {}", deal.shipment, cargo.status, deal.fate))
        })?;
        for status in way {
            let update = UpdateCargo { status: Some(*status), ..UpdateCargo::new(deal.shipment.clone()) };
            self.submit(Command::UpdateCargo(update)).await?;
        }
        Ok(())
    }

    async fn submit(&self, command: Command) -> Result<Outcome, Failure> {
        match self.service.submit(Request::new(command).by(actor())).await {
            Ok(answer) => Ok(answer.outcome),
            Err(ServiceError::Rejected(rejection)) => Err(Failure::Failed(format!(
                "the network refuses a step, and others write to it: {rejection}"
            ))),
            Err(ServiceError::Store(error) | ServiceError::Unknown(error)) => {
                Err(Failure::Failed(format!("the store failed, start again: {}", causes(&error))))
            }
            Err(error) => Err(Failure::Failed(format!("not finished, start again: {error}"))),
        }
    }
}

fn actor() -> Actor {
    Actor::Key(ACTOR.into())
}

fn unread(error: &StoreError) -> Failure {
    Failure::Failed(format!("the store cannot be read: {}", causes(error)))
}

fn out_of_range(station: &StationId, error: &InvalidValue) -> Failure {
    Failure::Failed(format!("the stock of station {station} is out of range: {error}"))
}

/// The steps from one status to another; none in it where a shipment is there or further, no way where it went another.
fn way(from: CargoStatus, to: CargoStatus) -> Option<&'static [CargoStatus]> {
    use CargoStatus::{Cancelled, Delivered, InTransit, Lost, Pending, Returned};
    match (from, to) {
        (_, Pending) | (Delivered | Returned | Lost, InTransit) => Some(&[]),
        (from, to) if from == to => Some(&[]),
        (Pending, InTransit) => Some(&[InTransit]),
        (Pending, Cancelled) => Some(&[Cancelled]),
        (Pending, Delivered) => Some(&[InTransit, Delivered]),
        (Pending, Returned) => Some(&[InTransit, Returned]),
        (Pending, Lost) => Some(&[InTransit, Lost]),
        (InTransit, Delivered) => Some(&[Delivered]),
        (InTransit, Returned) => Some(&[Returned]),
        (InTransit, Lost) => Some(&[Lost]),
        _ => None,
    }
}

/// Everything that is to be done at a station alone, in order.
fn stock_steps(plan: &StationPlan) -> Result<Vec<StockStep>, InvalidValue> {
    let station = &plan.station;
    let (first, more) = plan.opening.split_at(plan.opening.len().min(LINES_MAX));
    let items: Result<_, InvalidValue> =
        first.iter().map(|(item, units)| Ok((item.clone(), Quantity::new(*units)?))).collect();
    let (name, items) = (plan.name.clone(), items?);
    let create = CreateStation { name, items, ..CreateStation::new(station.clone()) };
    let mut steps = vec![StockStep {
        digest: digest(first.iter().map(|(item, units)| (item, i128::from(*units)))),
        command: Command::CreateStation(create),
        is_correction: false,
    }];
    for lines in more.chunks(LINES_MAX) {
        steps.push(adjust(station, lines, 1, "received")?);
    }
    for lines in plan.excess.chunks(LINES_MAX) {
        steps.push(adjust(station, lines, -1, "correction")?);
    }
    Ok(steps)
}

fn adjust(
    station: &StationId,
    lines: &[(ItemId, u64)],
    sign: i64,
    reason: &str,
) -> Result<StockStep, InvalidValue> {
    let reason = AdjustmentReason::try_from(reason)?;
    let units = |units: u64| i64::try_from(units).unwrap_or(i64::MAX).saturating_mul(sign);
    let adjustments: Result<_, InvalidValue> = lines
        .iter()
        .map(|(item, count)| {
            Ok(Adjustment { item_id: item.clone(), delta: Delta::new(units(*count))?, reason })
        })
        .collect();
    Ok(StockStep {
        digest: digest(lines.iter().map(|(item, count)| (item, i128::from(units(*count))))),
        command: Command::AdjustInventory(AdjustInventory::new(station.clone(), adjustments?)),
        is_correction: sign < 0,
    })
}

fn digest_of(step: &Step, station: &StationId) -> Digest {
    digest(step.movements.iter().map(|movement| {
        let units = i128::from(movement.quantity.units());
        let comes = matches!(&movement.to, Place::Station(to) if to == station);
        (&movement.item_id, if comes { units } else { -units })
    }))
}

/// Only compared within this process.
fn digest<'a>(lines: impl Iterator<Item = (&'a ItemId, i128)>) -> Digest {
    let mut hasher = DefaultHasher::new();
    lines.for_each(|(item, units)| (item.as_str(), units).hash(&mut hasher));
    hasher.finish()
}
