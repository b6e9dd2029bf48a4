//! Load on a network, for benchmarks: the same trades through the library and over HTTP.

use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use trade_core::command::{Command, CreateStation, InitiateTrade, InitiateTrades, Outcome, Request};
use trade_core::resource::{Line, Lines};
use trade_core::service::{Answer, TradeService};
use trade_core::store::Store;
use trade_core::values::{ItemId, Money, Quantity, StationId};

/// The items of each station.
pub const ITEMS: u64 = 10;
/// What each station has of each item.
pub const OPENING_UNITS: u64 = 1_000_000_000;
const AMOUNT: &str = "2.55";
const CURRENCY: &str = "GBP";

/// Which stations there are, and who trades what with whom: a trade follows from its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    stations: u64,
    /// Whether every trade is one between the first two stations.
    hot: bool,
}

/// The ends of a trade and what it is about, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub seller: u64,
    pub buyer: u64,
    pub item: u64,
}

impl Shape {
    /// Trades spread evenly over so many stations, at least two.
    pub fn spread(stations: u64) -> Self {
        Self { stations, hot: false }
    }

    /// The same stations, with every trade between the first two.
    #[must_use]
    pub fn hot(self) -> Self {
        Self { hot: true, ..self }
    }

    /// How many stations there are.
    pub fn stations(self) -> u64 {
        self.stations
    }

    /// The name of a station, by number.
    pub fn station_name(self, number: u64) -> String {
        format!("station-{}", number % self.stations)
    }

    /// The name of an item, by number.
    pub fn item_name(number: u64) -> String {
        format!("item-{}", number % ITEMS)
    }

    /// The id of a trade: scattered, as ids are that callers bring along.
    pub fn trade_name(number: u64) -> String {
        // The finalizer of SplitMix64, a bijection: no two numbers share an id.
        let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        format!("T-{:016x}", mixed ^ (mixed >> 31))
    }

    /// Who trades what with whom.
    pub fn ends(self, number: u64) -> Ends {
        if self.hot {
            return Ends { seller: 0, buyer: 1, item: number / 3 % ITEMS };
        }
        // A prime that divides no number of stations used here visits them all, in no order an index would like.
        let seller = number.wrapping_mul(7_919) % self.stations;
        let buyer = (seller + 1 + number % (self.stations - 1)) % self.stations;
        Ends { seller, buyer, item: number / 3 % ITEMS }
    }

    /// The opening of a station.
    pub fn opening(self, number: u64) -> CreateStation {
        let units = Quantity::new(OPENING_UNITS).expect("in range");
        let item = |item| (ItemId::new(Self::item_name(item)).expect("an id"), units);
        let station_id = StationId::new(self.station_name(number)).expect("an id");
        CreateStation { items: (0..ITEMS).map(item).collect(), ..CreateStation::new(station_id) }
    }

    /// The same as a body of `POST /api/inventory`.
    pub fn opening_body(self, number: u64) -> String {
        let items: Vec<_> = (0..ITEMS)
            .map(|item| json!({"itemId": Self::item_name(item), "quantity": OPENING_UNITS}))
            .collect();
        json!({"stationId": self.station_name(number), "items": items}).to_string()
    }

    /// A trade of one priced line.
    pub fn trade(self, number: u64) -> InitiateTrade {
        let Ends { seller, buyer, item } = self.ends(number);
        let price = Money::parse(AMOUNT, CURRENCY).expect("a price");
        let item_id = ItemId::new(Self::item_name(item)).expect("an id");
        let line = Line { item_id, quantity: Quantity::ONE, unit_price: Some(price) };
        let station = |number| StationId::new(self.station_name(number)).expect("an id");
        InitiateTrade::new(
            Self::trade_name(number).as_str().try_into().expect("an id"),
            station(buyer),
            station(seller),
            Lines::new(vec![line]).expect("one line"),
        )
    }

    /// The same as a body of `POST /api/trades`.
    pub fn trade_body(self, number: u64) -> String {
        let Ends { seller, buyer, item } = self.ends(number);
        format!(
            r#"{{"transactionId":"{}","seller":"{}","buyer":"{}","items":[{{"itemId":"{}","quantity":1,"unitPrice":{{"amount":"{AMOUNT}","currency":"{CURRENCY}"}}}}]}}"#,
            Self::trade_name(number),
            self.station_name(seller),
            self.station_name(buyer),
            Self::item_name(item)
        )
    }
}

/// A network of so many stations, each with plenty of ten items.
#[derive(Debug, Clone)]
pub struct Network {
    pub service: TradeService,
    shape: Shape,
    /// The number of the next trade.
    next: Arc<AtomicU64>,
}

impl Network {
    /// Opens the stations in a store.
    pub async fn open(store: Arc<dyn Store>, stations: u64) -> Self {
        let network = Self::join(store, Shape::spread(stations), 0).await;
        let opened = (0..stations).map(|number| {
            let create = Command::CreateStation(network.shape.opening(number));
            network.service.submit(Request::new(create))
        });
        for answer in futures::future::join_all(opened).await {
            answer.expect("a station can be made");
        }
        network
    }

    /// A network whose stations are in the store already, with so many trades.
    pub async fn join(store: Arc<dyn Store>, shape: Shape, trades: u64) -> Self {
        let service = TradeService::start(store).await.expect("the store can be read");
        Self { service, shape, next: Arc::new(AtomicU64::new(trades)) }
    }

    /// The same network with every trade between its first two stations.
    #[must_use]
    pub fn hot(&self) -> Self {
        Self { shape: self.shape.hot(), ..self.clone() }
    }

    /// The id of a station, by number.
    pub fn station(&self, number: u64) -> StationId {
        StationId::new(self.shape.station_name(number)).expect("an id")
    }

    /// How many trades were asked for so far.
    pub fn trades(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// The next trade.
    pub fn next_trade(&self) -> Request {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Request::new(Command::InitiateTrade(self.shape.trade(number)))
    }

    /// The next trades as one batch, each on its own.
    pub fn next_batch(&self, count: u64) -> Request {
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        let trades = (first..first + count).map(|number| self.shape.trade(number)).collect();
        Request::new(Command::InitiateTrades(InitiateTrades { trades, atomic: false }))
    }

    /// So many callers, each submitting one trade after the other, for so long: trades per second.
    pub async fn trades_per_second(&self, callers: u64, duration: Duration) -> f64 {
        let begin = Instant::now();
        let tasks = (0..callers).map(|_| {
            let network = self.clone();
            tokio::spawn(async move {
                let mut done: u64 = 0;
                while begin.elapsed() < duration {
                    network.service.submit(network.next_trade()).await.expect("there is stock enough");
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

    /// Settles so many trades in batches, with some of them in flight.
    pub async fn settle(&self, trades: u64) {
        const IN_FLIGHT: usize = 8;
        let batch_max = InitiateTrades::COUNT_MAX as u64;
        let last = self.trades() + trades;
        let batches = std::iter::from_fn(|| {
            let left = last.saturating_sub(self.trades());
            (left > 0).then(|| self.service.submit(self.next_batch(left.min(batch_max))))
        });
        use futures::StreamExt;
        let mut answers = futures::stream::iter(batches).buffered(IN_FLIGHT);
        while let Some(answer) = answers.next().await {
            assert!(all_made(&answer.expect("the batch is taken")), "there is stock enough");
        }
    }
}

/// Whether every trade of a batch was made.
pub fn all_made(answer: &Answer) -> bool {
    match &answer.outcome {
        Outcome::Trades(trades) => trades.iter().all(|trade| trade.as_ref().is_ok_and(|made| made.created)),
        _ => false,
    }
}
