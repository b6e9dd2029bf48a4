//! The first form: one trade, one shipment, any number of stations, and the kinds of their events.
//!
//! What the parts of a step share is written once: a trade's shipment repeats neither ids nor lines, a station that is
//! the shipment's origin or destination is one byte, an item that stands in a line is its index. What follows from the
//! rest (totals, the shipment's id, `updatedAt`) is not written at all.
//!
//! Released: what is read here was written by servers that run. It is never changed; a later form may contain it.

use super::InvalidRecord;
use crate::event::{Actor, EventType, Topic};
use crate::resource::{
    Cargo, CargoStatus, Inventory, Line, Lines, MovementReason, Place, Settlement, StockItem, StockLevel,
    Trade, TradeStatus,
};
use crate::step::{Movement, Step};
use crate::values::{
    Amount, InvalidValue, ItemId, Label, Money, Quantity, ShipmentId, StationId, Timestamp, TransactionId,
    from_stored,
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Serialize, Deserialize)]
pub(super) struct StepRecord<'a> {
    time: i64,
    actor: String,
    /// The kinds of the events, by their codes.
    kinds: Vec<u8>,
    #[serde(borrow)]
    trade: Option<TradeRecord<'a>>,
    cargo: Option<CargoRecord<'a>>,
    stations: Vec<StationRecord<'a>>,
    movements: Vec<MovementRecord<'a>>,
}

#[derive(Serialize, Deserialize)]
struct TradeRecord<'a> {
    id: &'a str,
    buyer: &'a str,
    seller: &'a str,
    #[serde(borrow)]
    items: Vec<LineRecord<'a>>,
    settlement: u8,
    status: u8,
    expires_at: Option<i64>,
    /// Milliseconds before the step.
    age: i64,
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct LineRecord<'a> {
    item: &'a str,
    quantity: u64,
    #[serde(borrow)]
    price: Option<PriceRecord<'a>>,
}

#[derive(Serialize, Deserialize)]
struct PriceRecord<'a> {
    mantissa: i128,
    scale: u32,
    currency: &'a str,
}

#[derive(Serialize, Deserialize)]
struct CargoRecord<'a> {
    /// Only where the step has no trade to tell it.
    #[serde(borrow)]
    own: Option<OwnCargo<'a>>,
    status: u8,
    /// Milliseconds after the step.
    eta: i64,
    location: Option<&'a str>,
    requested_eta: Option<i64>,
    /// Milliseconds before the step.
    age: i64,
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct OwnCargo<'a> {
    id: &'a str,
    trade: Option<&'a str>,
    origin: &'a str,
    destination: &'a str,
    #[serde(borrow)]
    items: Vec<LineRecord<'a>>,
}

#[derive(Serialize, Deserialize)]
struct StationRecord<'a> {
    #[serde(borrow)]
    station: PlaceRecord<'a>,
    name: Option<&'a str>,
    quantity: u64,
    item_count: u64,
    version: u64,
    items: Vec<LevelRecord<'a>>,
}

#[derive(Serialize, Deserialize)]
struct LevelRecord<'a> {
    #[serde(borrow)]
    item: ItemRecord<'a>,
    on_hand: u64,
    reserved: u64,
    incoming: u64,
}

#[derive(Serialize, Deserialize)]
struct MovementRecord<'a> {
    #[serde(borrow)]
    item: ItemRecord<'a>,
    quantity: u64,
    from: PlaceRecord<'a>,
    to: PlaceRecord<'a>,
    reason: u8,
}

#[derive(Serialize, Deserialize)]
enum PlaceRecord<'a> {
    Origin,
    Destination,
    Transit,
    World,
    Station(&'a str),
}

#[derive(Serialize, Deserialize)]
enum ItemRecord<'a> {
    /// Of the shipment's lines.
    Line(u32),
    Named(&'a str),
}

impl<'a> StepRecord<'a> {
    pub(super) fn of(step: &'a Step) -> Self {
        let shared = Shared::of(step.cargo.as_deref());
        Self {
            time: step.time.millis(),
            actor: step.actor.to_string(),
            kinds: step.kinds.iter().map(|kind| kind.code()).collect(),
            trade: step.trade.as_deref().map(|trade| trade_record(trade, step.time)),
            cargo: step.cargo.as_deref().map(|cargo| cargo_record(cargo, step.trade.is_none(), step.time)),
            stations: step.stations.iter().map(|station| shared.station_record(station)).collect(),
            movements: step.movements.iter().map(|movement| shared.movement_record(movement)).collect(),
        }
    }

    pub(super) fn read(self) -> Result<Step, InvalidRecord> {
        let time = Timestamp::from_millis(self.time)?;
        let trade = self.trade.map(|trade| trade.read(time)).transpose()?;
        let cargo = self.cargo.map(|cargo| cargo.read(trade.as_ref(), time)).transpose()?;
        let station = |station: &StationRecord<'_>| station.read(cargo.as_ref(), time);
        let stations = self.stations.iter().map(station).collect::<Result<Vec<_>, _>>()?;
        let movement = |movement: &MovementRecord<'_>| movement.read(cargo.as_ref());
        let movements = self.movements.iter().map(movement).collect::<Result<_, _>>()?;
        let kinds = self.kinds.iter().map(|code| read_code(EventType::from_code(*code)));
        let kinds = kinds.collect::<Result<Vec<_>, _>>()?;
        let of = |topic| kinds.iter().filter(|kind| kind.topic() == topic).count();
        let counts = [of(Topic::Trade), of(Topic::Cargo), of(Topic::Inventory)];
        if counts != [usize::from(trade.is_some()), usize::from(cargo.is_some()), stations.len()] {
            return Err(InvalidRecord::damaged("its events are not about what it tells"));
        }
        Ok(Step {
            time,
            actor: Actor::try_from(self.actor.as_str())?,
            cause: None,
            kinds,
            trade: trade.map(Arc::new),
            cargo: cargo.map(Arc::new),
            stations,
            movements,
        })
    }
}

/// What stations and movements may refer to instead of repeating it.
struct Shared<'a> {
    cargo: Option<&'a Cargo>,
    lines: HashMap<&'a ItemId, u32>,
}

impl<'a> Shared<'a> {
    fn of(cargo: Option<&'a Cargo>) -> Self {
        let items = cargo.map_or(&[][..], |cargo| &cargo.items);
        Self { cargo, lines: items.iter().map(|line| &line.item_id).zip(0..).collect() }
    }

    fn place(&self, place: &'a StationId) -> PlaceRecord<'a> {
        match self.cargo {
            Some(cargo) if cargo.origin == *place => PlaceRecord::Origin,
            Some(cargo) if cargo.destination == *place => PlaceRecord::Destination,
            _ => PlaceRecord::Station(place.as_str()),
        }
    }

    fn any_place(&self, place: &'a Place) -> PlaceRecord<'a> {
        match place {
            Place::Station(id) => self.place(id),
            Place::Transit => PlaceRecord::Transit,
            Place::World => PlaceRecord::World,
        }
    }

    fn item(&self, item: &'a ItemId) -> ItemRecord<'a> {
        self.lines.get(item).map_or(ItemRecord::Named(item.as_str()), |index| ItemRecord::Line(*index))
    }

    fn station_record(&self, inventory: &'a Inventory) -> StationRecord<'a> {
        let level = |item: &'a StockItem| LevelRecord {
            item: self.item(&item.item_id),
            on_hand: item.level.on_hand,
            reserved: item.level.reserved,
            incoming: item.level.incoming,
        };
        StationRecord {
            station: self.place(&inventory.station_id),
            name: inventory.name.as_ref().map(Label::as_str),
            quantity: inventory.quantity,
            item_count: inventory.item_count,
            version: inventory.version,
            items: inventory.items.iter().map(level).collect(),
        }
    }

    fn movement_record(&self, movement: &'a Movement) -> MovementRecord<'a> {
        MovementRecord {
            item: self.item(&movement.item_id),
            quantity: movement.quantity.units(),
            from: self.any_place(&movement.from),
            to: self.any_place(&movement.to),
            reason: movement.reason.code(),
        }
    }
}

fn trade_record(trade: &Trade, time: Timestamp) -> TradeRecord<'_> {
    TradeRecord {
        id: trade.transaction_id.as_str(),
        buyer: trade.buyer.as_str(),
        seller: trade.seller.as_str(),
        items: line_records(&trade.items),
        settlement: trade.settlement.code(),
        status: trade.status.code(),
        expires_at: trade.expires_at.map(Timestamp::millis),
        age: time.millis() - trade.created_at.millis(),
        version: trade.version,
    }
}

fn cargo_record(cargo: &Cargo, alone: bool, time: Timestamp) -> CargoRecord<'_> {
    let own = alone.then(|| OwnCargo {
        id: cargo.shipment_id.as_str(),
        trade: cargo.transaction_id.as_ref().map(TransactionId::as_str),
        origin: cargo.origin.as_str(),
        destination: cargo.destination.as_str(),
        items: line_records(&cargo.items),
    });
    CargoRecord {
        own,
        status: cargo.status.code(),
        eta: cargo.eta.millis() - time.millis(),
        location: cargo.location.as_ref().map(Label::as_str),
        requested_eta: cargo.requested_eta.map(Timestamp::millis),
        age: time.millis() - cargo.created_at.millis(),
        version: cargo.version,
    }
}

fn line_records(lines: &Lines) -> Vec<LineRecord<'_>> {
    lines.iter().map(line_record).collect()
}

fn line_record(line: &Line) -> LineRecord<'_> {
    let price = line.unit_price.as_ref().map(|Money { amount, currency }| PriceRecord {
        mantissa: amount.mantissa(),
        scale: amount.scale(),
        currency: currency.as_str(),
    });
    LineRecord { item: line.item_id.as_str(), quantity: line.quantity.units(), price }
}

fn read_lines(records: &[LineRecord<'_>]) -> Result<Lines, InvalidRecord> {
    let money = |price: &PriceRecord<'_>| -> Result<Money, InvalidValue> {
        Ok(Money {
            amount: Amount::from_parts(price.mantissa, price.scale)?,
            currency: price.currency.try_into()?,
        })
    };
    let line = |record: &LineRecord<'_>| -> Result<Line, InvalidValue> {
        Ok(Line {
            item_id: from_stored(record.item)?,
            quantity: Quantity::new(record.quantity)?,
            unit_price: record.price.as_ref().map(money).transpose()?,
        })
    };
    Ok(Lines::from_stored(records.iter().map(line).collect::<Result<_, _>>()?))
}

fn read_code<T>(value: Option<T>) -> Result<T, InvalidRecord> {
    value.ok_or_else(|| InvalidRecord::damaged("a code stands for nothing"))
}

fn read_time(base: Timestamp, offset: i64) -> Result<Timestamp, InvalidRecord> {
    Ok(Timestamp::from_millis(base.millis().saturating_add(offset))?)
}

impl TradeRecord<'_> {
    fn read(&self, time: Timestamp) -> Result<Trade, InvalidRecord> {
        let transaction_id: TransactionId = from_stored(self.id)?;
        let items = read_lines(&self.items)?;
        Ok(Trade {
            shipment_id: ShipmentId::of_trade(&transaction_id),
            transaction_id,
            buyer: from_stored(self.buyer)?,
            seller: from_stored(self.seller)?,
            totals: items.totals().map_err(InvalidRecord::damaged)?,
            items,
            settlement: read_code(Settlement::from_code(self.settlement))?,
            status: read_code(TradeStatus::from_code(self.status))?,
            expires_at: self.expires_at.map(Timestamp::from_millis).transpose()?,
            metadata: None,
            created_at: read_time(time, self.age.saturating_neg())?,
            updated_at: time,
            version: self.version,
        })
    }
}

impl CargoRecord<'_> {
    fn read(&self, trade: Option<&Trade>, time: Timestamp) -> Result<Cargo, InvalidRecord> {
        let (shipment_id, transaction_id, origin, destination, items) = match (&self.own, trade) {
            (Some(own), _) => (
                from_stored(own.id)?,
                own.trade.map(from_stored).transpose()?,
                from_stored(own.origin)?,
                from_stored(own.destination)?,
                read_lines(&own.items)?,
            ),
            (None, Some(trade)) => (
                trade.shipment_id.clone(),
                Some(trade.transaction_id.clone()),
                trade.seller.clone(),
                trade.buyer.clone(),
                trade.items.clone(),
            ),
            (None, None) => return Err(InvalidRecord::damaged("a shipment without ids")),
        };
        Ok(Cargo {
            shipment_id,
            transaction_id,
            origin,
            destination,
            items,
            status: read_code(CargoStatus::from_code(self.status))?,
            eta: read_time(time, self.eta)?,
            location: self.location.map(Label::try_from).transpose()?,
            requested_eta: self.requested_eta.map(Timestamp::from_millis).transpose()?,
            requested_metadata: None,
            metadata: None,
            created_at: read_time(time, self.age.saturating_neg())?,
            updated_at: time,
            version: self.version,
        })
    }
}

impl StationRecord<'_> {
    fn read(&self, cargo: Option<&Cargo>, time: Timestamp) -> Result<Inventory, InvalidRecord> {
        let Place::Station(station_id) = self.station.read(cargo)? else {
            return Err(InvalidRecord::damaged("stock of no station"));
        };
        let item = |level: &LevelRecord<'_>| -> Result<StockItem, InvalidRecord> {
            let LevelRecord { ref item, on_hand, reserved, incoming } = *level;
            let level = StockLevel { on_hand, reserved, incoming };
            Ok(StockItem { item_id: item.read(cargo)?, level })
        };
        Ok(Inventory {
            station_id,
            name: self.name.map(Label::try_from).transpose()?,
            metadata: None,
            quantity: self.quantity,
            item_count: self.item_count,
            items: self.items.iter().map(item).collect::<Result<_, _>>()?,
            version: self.version,
            updated_at: time,
        })
    }
}

impl MovementRecord<'_> {
    fn read(&self, cargo: Option<&Cargo>) -> Result<Movement, InvalidRecord> {
        Ok(Movement {
            item_id: self.item.read(cargo)?,
            quantity: Quantity::new(self.quantity)?,
            from: self.from.read(cargo)?,
            to: self.to.read(cargo)?,
            reason: read_code(MovementReason::from_code(self.reason))?,
        })
    }
}

impl PlaceRecord<'_> {
    fn read(&self, cargo: Option<&Cargo>) -> Result<Place, InvalidRecord> {
        let station = match (self, cargo) {
            (Self::Transit, _) => return Ok(Place::Transit),
            (Self::World, _) => return Ok(Place::World),
            (Self::Station(id), _) => from_stored(id)?,
            (Self::Origin, Some(cargo)) => cargo.origin.clone(),
            (Self::Destination, Some(cargo)) => cargo.destination.clone(),
            (Self::Origin | Self::Destination, None) => {
                return Err(InvalidRecord::damaged("an end of no shipment"));
            }
        };
        Ok(Place::Station(station))
    }
}

impl ItemRecord<'_> {
    fn read(&self, cargo: Option<&Cargo>) -> Result<ItemId, InvalidRecord> {
        match self {
            Self::Named(id) => Ok(from_stored(id)?),
            Self::Line(index) => cargo
                .and_then(|cargo| cargo.items.get(*index as usize))
                .map(|line| line.item_id.clone())
                .ok_or_else(|| InvalidRecord::damaged("a line of no shipment")),
        }
    }
}
