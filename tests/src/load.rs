//! Load on the library, for benchmarks.

use std::sync::Arc;
use std::time::{Duration, Instant};
use trade_core::command::{Command, CreateStation, InitiateTrade, InitiateTrades, Request};
use trade_core::resource::{Line, Lines, Settlement};
use trade_core::service::TradeService;
use trade_core::store::Store;
use trade_core::values::{ItemId, Money, Quantity, StationId};

const ITEMS: u64 = 10;
const OPENING_UNITS: u64 = 1_000_000_000;

fn item(number: u64) -> ItemId {
    ItemId::new(format!("item-{}", number % ITEMS)).expect("an id")
}

/// A network of so many stations, each with plenty of ten items.
#[derive(Debug, Clone)]
pub struct Network {
    pub service: TradeService,
    stations: u64,
}

impl Network {
    /// Opens the stations in a store.
    pub async fn open(store: Arc<dyn Store>, stations: u64) -> Self {
        let service = TradeService::start(store).await.expect("the store can be read");
        let network = Self { service, stations };
        let opening = Quantity::new(OPENING_UNITS).expect("in range");
        let items: Vec<_> = (0..ITEMS).map(|number| (item(number), opening)).collect();
        let opened = (0..stations).map(|number| {
            let station_id = network.station(number);
            let create = CreateStation { station_id, name: None, items: items.clone() };
            network.service.submit(Request::new(Command::CreateStation(create)))
        });
        for answer in futures::future::join_all(opened).await {
            answer.expect("a station can be made");
        }
        network
    }

    /// The id of a station, by number.
    pub fn station(&self, number: u64) -> StationId {
        StationId::new(format!("station-{}", number % self.stations)).expect("an id")
    }

    /// One trade of one priced line; which stations and item follows from its number.
    pub fn trade(&self, number: u64) -> InitiateTrade {
        // A prime that divides no number of stations used here visits them all, in no order an index would like.
        let seller = number.wrapping_mul(7_919) % self.stations;
        let price = Money {
            amount: "2.55".try_into().expect("an amount"),
            currency: "GBP".try_into().expect("a currency"),
        };
        let line = Line { item_id: item(number / 3), quantity: Quantity::ONE, unit_price: Some(price) };
        InitiateTrade {
            transaction_id: format!("T-{number}").as_str().try_into().expect("an id"),
            buyer: self.station(seller + 1 + number % (self.stations - 1)),
            seller: self.station(seller),
            items: Lines::new(vec![line]).expect("one line"),
            settlement: Settlement::Immediate,
            expires_at: None,
            eta: None,
        }
    }

    /// So many callers, each submitting one trade after the other, for so long: trades per second.
    pub async fn trades_per_second(&self, callers: u64, first: u64, duration: Duration) -> f64 {
        let begin = Instant::now();
        let tasks = (0..callers).map(|caller| {
            let network = self.clone();
            tokio::spawn(async move {
                let mut done = 0;
                while begin.elapsed() < duration {
                    let trade = network.trade(first + caller + done * callers);
                    let request = Request::new(Command::InitiateTrade(trade));
                    network.service.submit(request).await.expect("there is stock enough");
                    done += 1;
                }
                done
            })
        });
        let counts = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
        let done: u64 = counts.into_iter().map(|count| count.expect("a caller ends")).sum();
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
        let rate = done as f64 / begin.elapsed().as_secs_f64();
        rate
    }

    /// Settles the trades of these numbers in batches.
    pub async fn settle(&self, numbers: std::ops::Range<u64>) {
        let numbers: Vec<_> = numbers.collect();
        for chunk in numbers.chunks(InitiateTrades::COUNT_MAX) {
            let trades = chunk.iter().map(|number| self.trade(*number)).collect();
            let batch = Command::InitiateTrades(InitiateTrades { trades, atomic: true });
            self.service.submit(Request::new(batch)).await.expect("there is stock enough");
        }
    }
}
