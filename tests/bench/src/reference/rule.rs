//! The bare rule: what a trade does to stock, on the standard library's hash maps, on one thread, nothing durable.

use crate::report::Failure;
use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;
use tests::load::{ITEMS, OPENING_UNITS};

#[derive(Debug)]
#[expect(dead_code, reason = "kept because a trade has to be, and never read")]
struct Trade {
    seller: u32,
    buyer: u32,
    item: u32,
    quantity: u64,
}

#[derive(Debug)]
#[expect(dead_code, reason = "kept because a shipment has to be, and never read")]
struct Shipment {
    id: u128,
    trade: u128,
    origin: u32,
    destination: u32,
}

#[derive(Debug)]
#[expect(dead_code, reason = "kept because an event has to be, and never read")]
enum Event {
    Traded { sequence: u64, trade: u128, seller: u32, buyer: u32, item: u32, quantity: u64 },
    Shipped { sequence: u64, shipment: u128, trade: u128 },
}

#[derive(Debug, Default)]
struct Network {
    stock: HashMap<(u32, u32), u64>,
    trades: HashMap<u128, Trade>,
    shipments: Vec<Shipment>,
    events: Vec<Event>,
}

impl Network {
    /// Decides a trade and applies it. False where it is refused.
    fn trade(&mut self, id: u128, (seller, buyer): (u32, u32), item: u32, quantity: u64) -> bool {
        if quantity == 0 || seller == buyer || self.trades.contains_key(&id) {
            return false;
        }
        let Some(after) = self.stock.get(&(buyer, item)).and_then(|held| held.checked_add(quantity)) else {
            return false;
        };
        let Some(held) = self.stock.get_mut(&(seller, item)) else { return false };
        let Some(left) = held.checked_sub(quantity) else { return false };
        *held = left;
        self.stock.insert((buyer, item), after);
        let (shipment, sequence) = (id ^ 1, self.events.len() as u64 + 1);
        self.trades.insert(id, Trade { seller, buyer, item, quantity });
        self.shipments.push(Shipment { id: shipment, trade: id, origin: seller, destination: buyer });
        self.events.push(Event::Traded { sequence, trade: id, seller, buyer, item, quantity });
        self.events.push(Event::Shipped { sequence: sequence + 1, shipment, trade: id });
        true
    }
}

/// Trades per second over so many trades between so many stations.
pub(crate) fn trades_per_second(stations: u64, trades: u32) -> Result<f64, Failure> {
    let (stations, items) = (u32::try_from(stations)?, u32::try_from(ITEMS)?);
    let mut network = Network::default();
    for station in 0..stations {
        network.stock.extend((0..items).map(|item| ((station, item), OPENING_UNITS)));
    }
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: u32| {
        // Xorshift: chance enough, at next to no cost.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (((state >> 32) * u64::from(below)) >> 32) as u32
    };
    let begin = Instant::now();
    for number in 0..trades {
        let seller = random(stations);
        let buyer = (seller + 1 + random(stations - 1)) % stations;
        let id = (u128::from(number) << 64) | u128::from(random(u32::MAX)) << 1;
        let made = network.trade(id, (seller, buyer), random(items), 1 + u64::from(random(5)));
        assert!(made, "there is stock enough");
    }
    let rate = f64::from(trades) / begin.elapsed().as_secs_f64();
    let total: u64 = network.stock.values().sum();
    assert_eq!(total, u64::from(stations) * ITEMS * OPENING_UNITS, "stock is neither made nor lost");
    black_box(&network);
    Ok(rate)
}
