//! Commands that know the state they come to.

use crate::command::Command;
use crate::resource::{CargoStatus, Settlement, TradeStatus};
use crate::testing::fixtures;
use crate::testing::model::Model;
use crate::testing::strategies::World;
use crate::values::{ItemId, StationId};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

/// A command that a network in this state is likely to take: it sells what there is, and takes shipments where they may go.
/// One of ten or so is any command at all.
///
/// It is what a reference state machine draws its transitions from (crate `proptest-state-machine`), with [`Model`] as its
/// state.
pub fn command(model: &Model, world: World) -> BoxedStrategy<Command> {
    let mut choices = vec![(2, world.command().boxed())];
    let stations: Vec<_> = model.stations().cloned().collect();
    if stations.len() < world.stations as usize {
        choices.push((6, world.create_station().prop_map(Command::CreateStation).boxed()));
    }
    if !stations.is_empty() {
        choices.push((3, received(stations.clone(), world)));
    }
    let available = model.levels().filter(|(.., level)| level.available() > 0);
    let available: Vec<_> =
        available.map(|(station, item, level)| (station.clone(), item.clone(), level.available())).collect();
    if !available.is_empty() {
        choices.push((2, taken(available.clone())));
        if stations.len() > 1 {
            let (trades, shipments) = (model.trades().count(), model.shipments().count());
            choices.push((6, sold(available.clone(), stations.clone(), format!("L-{trades}"))));
            choices.push((3, sent(available, stations, format!("Y-{shipments}"))));
        }
    }
    let moves = model.shipments().flat_map(|(id, status)| {
        let next = next(status).iter();
        next.map(move |to| fixtures::move_cargo(id.clone(), *to))
    });
    let ends = model.trades().filter(|(_, status)| *status == TradeStatus::Initiated).map(|(id, _)| {
        let pending = model.cargo(&crate::values::ShipmentId::of_trade(id)) == Some(CargoStatus::Pending);
        let to = if pending { TradeStatus::Cancelled } else { TradeStatus::Completed };
        fixtures::end_trade(id.as_str(), to)
    });
    for (weight, commands) in [(8, moves.collect::<Vec<_>>()), (2, ends.collect())] {
        if !commands.is_empty() {
            choices.push((weight, select(commands).boxed()));
        }
    }
    Union::new_weighted(choices).boxed()
}

fn next(status: CargoStatus) -> &'static [CargoStatus] {
    match status {
        CargoStatus::Pending => &[CargoStatus::InTransit, CargoStatus::Cancelled],
        CargoStatus::InTransit => &[CargoStatus::Delivered, CargoStatus::Returned, CargoStatus::Lost],
        CargoStatus::Delivered | CargoStatus::Cancelled | CargoStatus::Returned | CargoStatus::Lost => &[],
    }
}

type Available = Vec<(StationId, ItemId, u64)>;

/// Where from, what, how much of it, and where to.
fn goods(
    available: Available,
    stations: Vec<StationId>,
) -> impl Strategy<Value = (StationId, ItemId, u64, StationId)> {
    select(available).prop_flat_map(move |(from, item, most)| {
        let others: Vec<_> = stations.iter().filter(|station| **station != from).cloned().collect();
        (1..=most, select(others)).prop_map(move |(units, to)| (from.clone(), item.clone(), units, to))
    })
}

fn sold(available: Available, stations: Vec<StationId>, id: String) -> BoxedStrategy<Command> {
    let settlement = select(Settlement::ALL);
    (goods(available, stations), settlement)
        .prop_map(move |((from, item, units, to), settlement)| {
            let goods = [(item.as_str(), units)];
            fixtures::initiate(fixtures::deal(settlement, &id, from.as_str(), to.as_str(), &goods))
        })
        .boxed()
}

fn sent(available: Available, stations: Vec<StationId>, id: String) -> BoxedStrategy<Command> {
    goods(available, stations)
        .prop_map(move |(from, item, units, to)| {
            let goods = [(item.as_str(), units)];
            Command::CreateTransfer(fixtures::transfer(&id, from.as_str(), to.as_str(), &goods))
        })
        .boxed()
}

fn received(stations: Vec<StationId>, world: World) -> BoxedStrategy<Command> {
    (select(stations), world.item(), 1..=world.units_max)
        .prop_map(|(station, item, units)| {
            let delta = i64::try_from(units).expect("a quantity");
            fixtures::adjust(station.as_str(), &[(item.as_str(), delta)])
        })
        .boxed()
}

fn taken(available: Available) -> BoxedStrategy<Command> {
    select(available)
        .prop_flat_map(|(station, item, most)| {
            (1..=most).prop_map(move |units| {
                let delta = -i64::try_from(units).expect("a quantity");
                fixtures::adjust(station.as_str(), &[(item.as_str(), delta)])
            })
        })
        .boxed()
}
