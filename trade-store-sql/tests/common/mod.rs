//! What the tests of this crate share: a place for a store on each engine, and commands to fill it with.
// No test uses all of it, and what a macro uses it may not use by name.
#![allow(dead_code, unused_imports, unused_macros)]

#[cfg(feature = "mysql")]
pub(crate) mod mysql;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;

use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use trade_core::access::KeyStore;
use trade_core::clock::{ManualClock, UuidV7};
use trade_core::command::{Command, CreateTransfer, InitiateTrade, Request, UpdateCargo};
use trade_core::resource::{CargoStatus, Line, Lines};
use trade_core::rules::{Context, Draft};
use trade_core::service::{ServiceOptions, TradeService};
use trade_core::store::{Access, Commit, Keys, Store, StoreError};
use trade_core::testing::fixtures;
use trade_core::values::{ShipmentId, Timestamp};
use trade_core::view::View;
#[cfg(feature = "sqlite")]
use trade_store_sql::SqliteStore;

/// Where a store of a test's own is kept; what is there goes with it.
pub(crate) trait Site: Sized {
    type Store: Store + KeyStore + 'static;

    async fn make() -> Self;

    /// The store, opened once more for what is said.
    async fn open_as(&self, access: Access) -> Result<Self::Store, StoreError>;

    /// The same, to be read and written.
    async fn open(&self) -> Self::Store {
        self.open_as(Access::default()).await.unwrap()
    }

    async fn close(store: &Self::Store);

    /// Runs statements beside the stores.
    async fn run(&self, sql: &'static str) -> Result<(), sqlx::Error>;
}

/// Makes one test of each function for every engine: `on_every_engine!(a_sentence, another);`. Each is an
/// `async fn a_sentence<S: Site>()`.
///
/// Those that need a server are ignored by plain `cargo test`, which names them, and fail without their server where
/// they are asked for.
macro_rules! on_every_engine {
    ($($case:ident),+ $(,)?) => {
        $(mod $case {
            #[cfg(feature = "sqlite")]
            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                super::$case::<super::Folder>().await;
            }

            #[cfg(feature = "postgres")]
            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "TRADE_TEST_POSTGRES_URL"]
            async fn on_postgres() {
                super::$case::<super::postgres::Database>().await;
            }

            #[cfg(feature = "mysql")]
            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "TRADE_TEST_MYSQL_URL"]
            async fn on_mysql() {
                super::$case::<super::mysql::Database>().await;
            }
        })+
    };
}

pub(crate) use on_every_engine;

/// A folder of its own, gone with the test.
#[cfg(feature = "sqlite")]
pub(crate) struct Folder(TempDir);

#[cfg(feature = "sqlite")]
impl Site for Folder {
    type Store = SqliteStore;

    async fn make() -> Self {
        Self::new()
    }

    async fn open_as(&self, access: Access) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_with(&self.url(), access).await
    }

    async fn close(store: &SqliteStore) {
        store.close().await;
    }

    async fn run(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        use sqlx::Executor;
        self.connection().await.execute(sql).await.map(drop)
    }
}

#[cfg(feature = "sqlite")]
impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.path().join("network.db")
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.file().display())
    }

    /// A connection beside the store's, to look at the rows or to be in the way.
    pub(crate) async fn connection(&self) -> sqlx::SqliteConnection {
        use sqlx::ConnectOptions;
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.file()).create_if_missing(true);
        options.connect().await.unwrap()
    }
}

/// The usual settings, for what is said.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn options(access: Access) -> trade_store_sql::ServerOptions {
    let mut options = trade_store_sql::ServerOptions::default();
    options.access = access;
    options
}

pub(crate) const START: i64 = 1_795_000_000_000;

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis).unwrap()
}

pub(crate) use trade_core::testing::fixtures::{item, open_station, station, trade_id};

pub(crate) fn lines(of: &[(&str, u64)]) -> Lines {
    let unit_price = Some(fixtures::money("2.50", "GBP"));
    let line = |(id, units): &(&str, u64)| Line { unit_price, ..fixtures::line(id, *units) };
    Lines::new(of.iter().map(line).collect()).unwrap()
}

pub(crate) fn sale(id: &str, seller: &str, buyer: &str, of: &[(&str, u64)]) -> InitiateTrade {
    InitiateTrade { items: lines(of), ..fixtures::sale(id, seller, buyer, of) }
}

pub(crate) fn transfer(id: &str, origin: &str, destination: &str, of: &[(&str, u64)]) -> Command {
    let transfer = fixtures::transfer(id, origin, destination, of);
    Command::CreateTransfer(CreateTransfer { items: lines(of), ..transfer })
}

pub(crate) fn move_cargo(id: &ShipmentId, status: CargoStatus) -> Command {
    let location = Some(fixtures::label("dock 4"));
    Command::UpdateCargo(UpdateCargo { status: Some(status), location, ..fixtures::track(id.clone()) })
}

pub(crate) fn adjust(id: &str, item_id: &str, delta: i64) -> Command {
    fixtures::adjust(id, &[(item_id, delta)])
}

/// A service whose clock the test drives.
pub(crate) async fn service(store: Arc<dyn Store>) -> (TradeService, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(at(0)));
    let service = TradeService::start_with(store, clock.clone(), Arc::new(UuidV7), ServiceOptions::default())
        .await
        .unwrap();
    (service, clock)
}

pub(crate) async fn submit(service: &TradeService, command: Command) {
    service.submit(Request::new(command)).await.unwrap();
}

/// Everything that sales between some stations touch.
pub(crate) fn keys_of(sales: &[InitiateTrade]) -> Keys {
    let mut keys = Keys::default();
    for sale in sales {
        keys.trades.insert(sale.transaction_id.clone());
        keys.cargo.insert(ShipmentId::of_trade(&sale.transaction_id));
        for id in [&sale.seller, &sale.buyer] {
            keys.stations.insert(id.clone());
            keys.stock.extend(sale.items.iter().map(|line| (id.clone(), line.item_id.clone())));
        }
    }
    keys
}

/// The commit of some sales, decided on what is stored now.
pub(crate) async fn decided(store: &dyn Store, time: Timestamp, sales: &[InitiateTrade]) -> Commit {
    let keys = keys_of(sales);
    let loaded = store.load(&keys).await.unwrap();
    let mut draft = Draft::new(View::new(&keys, loaded));
    let context = Context::new(time, trade_core::event::Actor::Anonymous);
    for sale in sales {
        draft.decide(&Command::InitiateTrade(sale.clone()), &context).unwrap();
    }
    draft.close(Vec::new()).0
}

/// The commit that opens stations of 1 000 000 units of each item.
pub(crate) async fn opened(store: &dyn Store, time: Timestamp, ids: &[&str], items: &[&str]) -> Commit {
    let mut keys = Keys::default();
    keys.stations.extend(ids.iter().map(|id| station(id)));
    let mut draft = Draft::new(View::new(&keys, store.load(&keys).await.unwrap()));
    let context = Context::new(time, trade_core::event::Actor::Anonymous);
    let stock: Vec<_> = items.iter().map(|item| (*item, 1_000_000)).collect();
    for id in ids {
        draft.decide(&open_station(id, &stock), &context).unwrap();
    }
    draft.close(Vec::new()).0
}
