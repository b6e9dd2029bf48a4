//! Proptest strategies: every value over its whole range, and commands over a world small enough that they meet.
//!
//! Values ([`station_id`], [`quantity`], [`lines`] …) reach the ends of their ranges. Commands are made over
//! [`World::SMALL`] unless another is given: few stations, items and trades, and small quantities, so that a sequence of
//! them sells out, repeats ids, and asks for what the status does not allow.

use super::fixtures;
use crate::cause::{Cause, TraceParent};
use crate::command::{
    AdjustInventory, Adjustment, AdjustmentReason, Command, CreateStation, CreateTransfer, InitiateTrade,
    InitiateTrades, Precondition, UpdateCargo, UpdateTrade,
};
use crate::event::Actor;
use crate::resource::{Cargo, CargoStatus, Line, Lines, Settlement, StockLevel, Trade, TradeStatus};
use crate::values::{
    Amount, Currency, Delta, ItemId, Label, Metadata, Money, Quantity, ShipmentId, StationId, Timestamp,
    TransactionId, UNITS_MAX,
};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::string::string_regex;
use std::net::IpAddr;
use std::time::Duration;
use uuid::Uuid;

const ID_CHARACTERS: &str = "[A-Za-z0-9._:-]";
const MILLIS_RANGE: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

fn id_text(length_max: usize) -> impl Strategy<Value = String> {
    let of_length = |length: &str| string_regex(&format!("{ID_CHARACTERS}{{{length}}}")).expect("a regex");
    prop_oneof![8 => of_length("1,12"), 1 => of_length(&length_max.to_string())]
        .prop_filter("a step in a URL", |text| !matches!(text.as_str(), "." | ".."))
}

/// Any station id, the longest included.
pub fn station_id() -> impl Strategy<Value = StationId> {
    id_text(StationId::LENGTH_MAX).prop_map(|text| StationId::new(text).expect("an id"))
}

/// Any item id, the longest included.
pub fn item_id() -> impl Strategy<Value = ItemId> {
    id_text(ItemId::LENGTH_MAX).prop_map(|text| ItemId::new(text).expect("an id"))
}

/// Any transaction id, the longest included.
pub fn transaction_id() -> impl Strategy<Value = TransactionId> {
    id_text(TransactionId::LENGTH_MAX).prop_map(|text| TransactionId::new(text).expect("an id"))
}

/// Any shipment id that a transfer may have.
pub fn transfer_id() -> impl Strategy<Value = ShipmentId> {
    id_text(ShipmentId::LENGTH_MAX)
        .prop_map(|text| ShipmentId::new(text).expect("an id"))
        .prop_filter("reserved for trades", |id| !id.is_reserved_for_trades())
}

/// Any label: scripts, symbols and emoji, up to 200 characters.
pub fn label() -> impl Strategy<Value = Label> {
    prop_oneof![8 => "\\PC{1,20}", 1 => "\\PC{200}"]
        .prop_filter_map("a control character", |text: String| Label::new(text).ok())
}

/// Any quantity; small ones, and those at the end of the range, more often.
pub fn quantity() -> impl Strategy<Value = Quantity> {
    prop_oneof![6 => 1..=20_u64, 2 => 1..=UNITS_MAX, 1 => UNITS_MAX - 3..=UNITS_MAX]
        .prop_map(|units| Quantity::new(units).expect("a quantity"))
}

/// Any delta of an adjustment.
pub fn delta() -> impl Strategy<Value = Delta> {
    (quantity(), any::<bool>()).prop_map(|(quantity, down)| {
        let units = i64::try_from(quantity.units()).expect("53 bits");
        Delta::new(if down { -units } else { units }).expect("a delta")
    })
}

/// Any amount of a price, at any scale.
pub fn amount() -> impl Strategy<Value = Amount> {
    (0..=999_999_999_999_i128, 0..=6_u32, any::<u32>()).prop_map(|(integer, scale, fraction)| {
        let unit = 10_i128.pow(scale);
        Amount::from_parts(integer * unit + i128::from(fraction) % unit, scale).expect("an amount")
    })
}

/// Any currency code.
pub fn currency() -> impl Strategy<Value = Currency> {
    "[A-Z]{3,8}".prop_map(|text| Currency::try_from(text.as_str()).expect("a currency"))
}

/// Any money.
pub fn money() -> impl Strategy<Value = Money> {
    (amount(), currency()).prop_map(|(amount, currency)| Money { amount, currency })
}

/// Any moment from year 0 to 9999.
pub fn timestamp() -> impl Strategy<Value = Timestamp> {
    MILLIS_RANGE.prop_map(|millis| Timestamp::from_millis(millis).expect("a time"))
}

/// Any line.
pub fn line() -> impl Strategy<Value = Line> {
    (item_id(), quantity(), of(money())).prop_map(|(item_id, quantity, unit_price)| Line {
        item_id,
        quantity,
        unit_price,
    })
}

/// Up to 20 lines of any kind that make a list.
pub fn lines() -> impl Strategy<Value = Lines> {
    vec(line(), 1..=20).prop_filter_map("out of range", |lines| Lines::new(lines).ok())
}

/// Any actor.
pub fn actor() -> impl Strategy<Value = Actor> {
    prop_oneof![
        Just(Actor::Anonymous),
        Just(Actor::Network),
        "\\PC{1,20}".prop_map(|name: String| Actor::Key(name.into())),
        "\\PC{1,20}".prop_map(|name: String| Actor::User(name.into())),
    ]
}

/// Any place in a trace.
pub fn trace_parent() -> impl Strategy<Value = TraceParent> {
    (any::<[u8; 16]>(), any::<[u8; 8]>(), any::<u8>())
        .prop_filter_map("an id of zeros", |(trace, parent, flags)| {
            TraceParent::new(trace, parent, flags).ok()
        })
}

/// Any cause of which something is known.
pub fn cause() -> impl Strategy<Value = Cause> {
    let uuid = any::<u128>().prop_map(|bits| Uuid::from_u128(bits).to_string());
    let request_id = prop_oneof![uuid, "[!-~]{1,128}"].prop_map(Into::into);
    (of(trace_parent()), of(request_id), of(any::<IpAddr>()))
        .prop_map(|(trace_parent, request_id, address)| Cause { trace_parent, request_id, address })
        .prop_filter("nothing is known", |cause| !cause.is_empty())
}

/// Any level that a store may hold.
pub fn stock_level() -> impl Strategy<Value = StockLevel> {
    (0..=UNITS_MAX)
        .prop_flat_map(|on_hand| (Just(on_hand), 0..=on_hand, 0..=UNITS_MAX - on_hand))
        .prop_map(|(on_hand, reserved, incoming)| StockLevel { on_hand, reserved, incoming })
}

/// Some metadata: mostly little, sometimes as much as there may be.
pub fn metadata() -> impl Strategy<Value = Metadata> {
    let some = vec(("[A-Za-z0-9_.-]{1,40}", "\\PC{0,30}"), 0..=3);
    let most = (0..Metadata::MEMBERS_MAX).map(|n| (format!("{n:040}"), "\u{1F6A2}".repeat(500)));
    let members = prop_oneof![30 => some, 1 => Just(most.collect::<Vec<_>>())];
    members.prop_map(|members| Metadata::new(members).expect("metadata"))
}

/// Any trade as a store may hold it, totals and all.
pub fn trade() -> impl Strategy<Value = Trade> {
    let ends =
        (station_id(), station_id()).prop_filter("the same station", |(buyer, seller)| buyer != seller);
    let lines = lines().prop_filter_map("out of range", |lines| Some((lines.totals().ok()?, lines)));
    let times = (timestamp(), timestamp(), of(timestamp()));
    let states = (select(Settlement::ALL), select(TradeStatus::ALL), of(metadata()), 1..u64::MAX >> 1);
    (transaction_id(), ends, lines, states, times).prop_map(
        |(id, (buyer, seller), (totals, items), (settlement, status, metadata, version), times)| Trade {
            shipment_id: ShipmentId::of_trade(&id),
            transaction_id: id,
            buyer,
            seller,
            items,
            totals,
            settlement,
            status,
            expires_at: times.2,
            metadata,
            created_at: times.0.min(times.1),
            updated_at: times.0.max(times.1),
            version,
        },
    )
}

/// Any transfer as a store may hold it.
pub fn transfer_cargo() -> impl Strategy<Value = Cargo> {
    let ends = (station_id(), station_id()).prop_filter("the same station", |(from, to)| from != to);
    let times = (timestamp(), timestamp(), timestamp(), of(timestamp()));
    let told = (of(label()), of(metadata()), of(of(metadata())));
    let states = (select(CargoStatus::ALL), told, 1..u64::MAX >> 1);
    (transfer_id(), ends, lines(), states, times).prop_map(
        |(
            shipment_id,
            (origin, destination),
            items,
            (status, (location, metadata, requested_metadata), version),
            times,
        )| Cargo {
            shipment_id,
            transaction_id: None,
            origin,
            destination,
            items,
            status,
            eta: times.2,
            location,
            requested_eta: times.3,
            requested_metadata,
            metadata,
            created_at: times.0.min(times.1),
            updated_at: times.0.max(times.1),
            version,
        },
    )
}

/// What commands are about: so many stations, items, trades and transfers, and quantities up to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct World {
    /// Stations `S-0`, `S-1` …
    pub stations: u32,
    /// Items `item-0`, `item-1` …
    pub items: u32,
    /// Trades `T-0`, `T-1` …
    pub trades: u32,
    /// Transfers `X-0`, `X-1` …
    pub transfers: u32,
    /// The most units of a line.
    pub units_max: u64,
}

impl World {
    /// Four stations, three items: everything meets everything.
    pub const SMALL: Self = Self { stations: 4, items: 3, trades: 12, transfers: 6, units_max: 12 };

    /// A station of this world.
    pub fn station(self) -> impl Strategy<Value = StationId> {
        (0..self.stations).prop_map(|n| fixtures::station(&format!("S-{n}")))
    }

    /// Two different stations of it.
    pub fn ends(self) -> impl Strategy<Value = (StationId, StationId)> {
        (0..self.stations, 1..self.stations).prop_map(move |(from, on)| {
            let to = (from + on) % self.stations;
            (fixtures::station(&format!("S-{from}")), fixtures::station(&format!("S-{to}")))
        })
    }

    /// An item of it.
    pub fn item(self) -> impl Strategy<Value = ItemId> {
        (0..self.items).prop_map(|n| fixtures::item(&format!("item-{n}")))
    }

    /// A trade of it.
    pub fn trade(self) -> impl Strategy<Value = TransactionId> {
        (0..self.trades).prop_map(|n| fixtures::trade_id(&format!("T-{n}")))
    }

    /// A transfer of it.
    pub fn transfer(self) -> impl Strategy<Value = ShipmentId> {
        (0..self.transfers).prop_map(|n| fixtures::shipment_id(&format!("X-{n}")))
    }

    /// A shipment of it, of a trade or of its own.
    pub fn shipment(self) -> impl Strategy<Value = ShipmentId> {
        prop_oneof![2 => self.trade().prop_map(|id| ShipmentId::of_trade(&id)), 1 => self.transfer()]
    }

    /// One to four lines of it; some name one item twice, at one price or two.
    pub fn lines(self) -> impl Strategy<Value = Lines> {
        let price = weighted(
            0.3,
            select(vec!["1", "2.5", "2.50", "0.125"]).prop_map(|price| fixtures::money(price, "GBP")),
        );
        let units = (1..=self.units_max).prop_map(fixtures::quantity);
        let line = (self.item(), units, price).prop_map(|(item_id, quantity, unit_price)| Line {
            item_id,
            quantity,
            unit_price,
        });
        vec(line, 1..=4).prop_map(|lines| Lines::new(lines).expect("lines"))
    }

    /// Opens a station.
    pub fn create_station(self) -> impl Strategy<Value = CreateStation> {
        let stock = (self.item(), (1..=self.units_max * 3).prop_map(fixtures::quantity));
        (self.station(), of(label()), weighted(0.2, metadata()), vec(stock, 0..=5)).prop_map(
            |(station_id, name, metadata, items)| CreateStation { station_id, name, metadata, items },
        )
    }

    /// Initiates a trade: sometimes one that is not allowed.
    pub fn initiate_trade(self) -> impl Strategy<Value = InitiateTrade> {
        let seconds = weighted(0.2, -60..600_i64);
        let ends = prop_oneof![30 => self.ends(), 1 => self.station().prop_map(|same| (same.clone(), same))];
        let told = (weighted(0.1, near()), weighted(0.1, metadata()));
        (self.trade(), ends, self.lines(), select(Settlement::ALL), seconds, told).prop_map(
            |(transaction_id, (seller, buyer), items, settlement, expiry, (eta, metadata))| InitiateTrade {
                transaction_id,
                buyer,
                seller,
                items,
                settlement,
                expires_at: expiry
                    .filter(|s| settlement == Settlement::OnDelivery || *s % 7 == 0)
                    .map(after_start),
                eta,
                metadata,
            },
        )
    }

    /// Initiates one to five trades together.
    pub fn initiate_trades(self) -> impl Strategy<Value = InitiateTrades> {
        (vec(self.initiate_trade(), 1..=5), any::<bool>())
            .prop_map(|(trades, atomic)| InitiateTrades { trades, atomic })
    }

    /// Asks for any status of a trade.
    pub fn update_trade(self) -> impl Strategy<Value = UpdateTrade> {
        (self.trade(), select(TradeStatus::ALL), precondition()).prop_map(
            |(transaction_id, status, precondition)| UpdateTrade { transaction_id, status, precondition },
        )
    }

    /// Makes a transfer.
    pub fn create_transfer(self) -> impl Strategy<Value = CreateTransfer> {
        (self.transfer(), self.ends(), self.lines(), weighted(0.1, near()), weighted(0.1, metadata()))
            .prop_map(|(shipment_id, (origin, destination), items, eta, metadata)| CreateTransfer {
                shipment_id,
                origin,
                destination,
                items,
                eta,
                metadata,
            })
    }

    /// Tracks a shipment: mostly forward, sometimes to any status.
    pub fn update_cargo(self) -> impl Strategy<Value = UpdateCargo> {
        let status = prop_oneof![
            3 => Just(CargoStatus::InTransit),
            2 => Just(CargoStatus::Delivered),
            3 => select(CargoStatus::ALL),
        ];
        (
            self.shipment(),
            weighted(0.9, status),
            weighted(0.2, near()),
            weighted(0.2, label()),
            weighted(0.1, metadata()),
            precondition(),
        )
            .prop_map(|(shipment_id, status, eta, location, metadata, precondition)| UpdateCargo {
                shipment_id,
                status,
                eta,
                location,
                metadata,
                precondition,
            })
    }

    /// Adjusts up to three items of a station, or changes what is told of it.
    pub fn adjust_inventory(self) -> impl Strategy<Value = AdjustInventory> {
        let units = i64::try_from(self.units_max).expect("a small number");
        let delta = (-units..=units).prop_filter_map("zero", |units| Delta::new(units).ok());
        let line = (self.item(), delta, select(AdjustmentReason::ALL.to_vec()))
            .prop_map(|(item_id, delta, reason)| Adjustment { item_id, delta, reason });
        let told = (weighted(0.1, label()), weighted(0.1, metadata()));
        let lines = prop_oneof![9 => vec(line, 1..=3), 1 => Just(Vec::new())];
        (self.station(), told, lines, precondition()).prop_map(
            |(station_id, (name, metadata), adjustments, precondition)| AdjustInventory {
                station_id,
                name,
                metadata,
                adjustments,
                precondition,
            },
        )
    }

    /// Any command of this world.
    pub fn command(self) -> impl Strategy<Value = Command> {
        prop_oneof![
            2 => self.create_station().prop_map(Command::CreateStation),
            6 => self.initiate_trade().prop_map(Command::InitiateTrade),
            1 => self.initiate_trades().prop_map(Command::InitiateTrades),
            3 => self.update_trade().prop_map(Command::UpdateTrade),
            1 => self.trade().prop_map(Command::ExpireTrade),
            3 => self.create_transfer().prop_map(Command::CreateTransfer),
            8 => self.update_cargo().prop_map(Command::UpdateCargo),
            3 => self.adjust_inventory().prop_map(Command::AdjustInventory),
        ]
    }

    /// A network's life: its stations are opened with stock, then come `count` commands.
    pub fn commands(
        self,
        count: impl Into<proptest::collection::SizeRange>,
    ) -> impl Strategy<Value = Vec<Command>> {
        let stock = self.units_max * 3;
        let opening: Vec<_> = (0..self.stations)
            .map(|n| {
                let items: Vec<_> = (0..self.items).map(|n| format!("item-{n}")).collect();
                let items: Vec<_> = items.iter().map(|id| (id.as_str(), stock)).collect();
                fixtures::open_station(&format!("S-{n}"), &items)
            })
            .collect();
        vec(self.command(), count).prop_map(move |commands| opening.iter().cloned().chain(commands).collect())
    }
}

/// Any command over [`World::SMALL`].
pub fn command() -> impl Strategy<Value = Command> {
    World::SMALL.command()
}

/// A network's life over [`World::SMALL`].
pub fn commands(count: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<Command>> {
    World::SMALL.commands(count)
}

/// Mostly none; sometimes versions that a young resource may have.
pub fn precondition() -> impl Strategy<Value = Precondition> {
    prop_oneof![
        18 => Just(Precondition::None),
        1 => vec(1..4_u64, 0..3).prop_map(Precondition::OneOf),
        1 => vec(1..4_u64, 0..3).prop_map(Precondition::NoneOf),
    ]
}

/// A moment within some minutes of the start.
fn near() -> impl Strategy<Value = Timestamp> {
    (0..600_i64).prop_map(after_start)
}

fn after_start(seconds: i64) -> Timestamp {
    let by = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { fixtures::start_time().minus(by) } else { fixtures::start_time().plus(by) }
}
