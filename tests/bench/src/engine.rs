//! The stores that are measured. A further one is a further variant, with a reference of its own.

use crate::database::{Database, Kind};
use crate::reference::ByHand;
use crate::reference::mongo::MongoByHand;
use crate::reference::mysql::MySqlByHand;
use crate::reference::postgres::PostgresByHand;
use crate::reference::sqlite::SqliteByHand;
use crate::report::Failure;
use std::str::FromStr;
use std::sync::Arc;
use tempfile::TempDir;
use tests::load::{Network, Shape};
use trade_core::memory::MemoryStore;
use trade_core::store::Store;
use trade_store_mongo::MongoStore;
use trade_store_sql::{MySqlStore, PostgresStore, SqliteStore};

/// The stations of a network that is measured, where nothing else is said.
pub(crate) const STATIONS: u64 = 1_000;

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
    MySql,
    Mongo,
    Memory,
}

impl FromStr for Engine {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = [Self::Sqlite, Self::Postgres, Self::MySql, Self::Mongo, Self::Memory].into_iter();
        let found = all.find(|engine| engine.name() == text);
        found.ok_or_else(|| "engines are sqlite, postgres, mysql, mongodb and memory".to_owned())
    }
}

impl Engine {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => Kind::Postgres.name(),
            Self::MySql => Kind::MySql.name(),
            Self::Mongo => Kind::Mongo.name(),
            Self::Memory => "memory",
        }
    }

    /// Whether what was committed survives the process.
    pub(crate) fn is_durable(self) -> bool {
        self != Self::Memory
    }

    /// The server it needs, if any.
    pub(crate) fn server(self) -> Option<Kind> {
        match self {
            Self::Postgres => Some(Kind::Postgres),
            Self::MySql => Some(Kind::MySql),
            Self::Mongo => Some(Kind::Mongo),
            Self::Sqlite | Self::Memory => None,
        }
    }

    /// Where a new, empty store is to be.
    pub(crate) async fn place(self) -> Result<Place, Failure> {
        let (url, location) = match self.server() {
            Some(kind) => {
                let database = Database::create(kind).await?;
                (database.url.clone(), Location::Database(database))
            }
            None => {
                let folder = tempfile::tempdir()?;
                let url = match self {
                    Self::Memory => "memory:".to_owned(),
                    _ => format!("sqlite://{}", folder.path().join("network.db").display()),
                };
                (url, Location::Folder(folder))
            }
        };
        Ok(Place { engine: self, url, location })
    }

    /// Opens the store at an address.
    pub(crate) async fn open(self, url: &str) -> Result<Handle, Failure> {
        Ok(match self {
            Self::Sqlite => Handle::Sqlite(Arc::new(SqliteStore::open(url).await?)),
            Self::Postgres => Handle::Postgres(Arc::new(PostgresStore::connect(url).await?)),
            Self::MySql => Handle::MySql(Arc::new(MySqlStore::connect(url).await?)),
            Self::Mongo => Handle::Mongo(Arc::new(MongoStore::connect(url).await?)),
            Self::Memory => Handle::Memory(Arc::new(MemoryStore::new())),
        })
    }

    /// A network of a thousand stations in a new store.
    pub(crate) async fn network(self) -> Result<Opened, Failure> {
        let place = self.place().await?;
        let store = self.open(&place.url).await?;
        let network = Network::open(store.store(), STATIONS).await;
        Ok(Opened { network, store, place })
    }

    /// The rows of the contract, written by hand in the engine's own way.
    pub(crate) async fn by_hand(self) -> Result<Box<dyn ByHand>, Failure> {
        let shape = Shape::spread(STATIONS);
        match self {
            Self::Sqlite => Ok(Box::new(SqliteByHand::open(shape)?)),
            Self::Postgres => Ok(Box::new(PostgresByHand::open(shape).await?)),
            Self::MySql => Ok(Box::new(MySqlByHand::open(shape).await?)),
            Self::Mongo => Ok(Box::new(MongoByHand::open(shape).await?)),
            Self::Memory => Err("nothing durable is written by hand on the memory store".into()),
        }
    }
}

/// Where a store is, which is removed at the end, and the address the server takes.
#[derive(Debug)]
pub(crate) struct Place {
    engine: Engine,
    pub(crate) url: String,
    location: Location,
}

#[derive(Debug)]
enum Location {
    Folder(TempDir),
    Database(Database),
}

impl Place {
    /// Opens what is there already: so many trades.
    pub(crate) async fn reopen(self, trades: u64) -> Result<Opened, Failure> {
        let store = self.engine.open(&self.url).await?;
        let network = Network::join(store.store(), Shape::spread(STATIONS), trades).await;
        Ok(Opened { network, store, place: self })
    }

    /// The bytes it takes on disk.
    pub(crate) async fn bytes(&self) -> Result<u64, Failure> {
        let folder = match &self.location {
            Location::Database(database) => return database.bytes().await,
            Location::Folder(folder) => folder.path(),
        };
        let mut bytes = 0;
        for entry in std::fs::read_dir(folder)? {
            bytes += entry?.metadata()?.len();
        }
        Ok(bytes)
    }
}

/// An open store.
#[derive(Debug)]
pub(crate) enum Handle {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PostgresStore>),
    MySql(Arc<MySqlStore>),
    Mongo(Arc<MongoStore>),
    Memory(Arc<MemoryStore>),
}

impl Handle {
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
            Self::MySql(store) => store.clone(),
            Self::Mongo(store) => store.clone(),
            Self::Memory(store) => store.clone(),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
            Self::MySql(store) => store.close().await,
            Self::Mongo(store) => store.close().await,
            Self::Memory(_) => {}
        }
    }
}

/// A network in an open store.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) network: Network,
    store: Handle,
    place: Place,
}

impl Opened {
    /// Closes it, and leaves what is stored.
    pub(crate) async fn close(self) -> Place {
        self.network.service.shutdown().await;
        self.store.close().await;
        self.place
    }
}
