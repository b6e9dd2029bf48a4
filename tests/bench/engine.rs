//! The stores that are measured. A further one is a further variant, with a reference of its own.

use crate::reference::{ByHand, sqlite::SqliteByHand};
use crate::report::Failure;
use std::str::FromStr;
use std::sync::Arc;
use tempfile::TempDir;
use tests::load::{Network, Shape};
use trade_core::memory::MemoryStore;
use trade_core::store::Store;
use trade_store_sql::SqliteStore;

/// The stations of a network that is measured, where nothing else is said.
pub(crate) const STATIONS: u64 = 1_000;

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Memory,
}

impl FromStr for Engine {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = [Self::Sqlite, Self::Memory].into_iter();
        all.find(|engine| engine.name() == text).ok_or_else(|| "engines are sqlite and memory".to_owned())
    }
}

impl Engine {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Memory => "memory",
        }
    }

    /// Whether what was committed survives the process.
    pub(crate) fn is_durable(self) -> bool {
        self != Self::Memory
    }

    /// Where a new, empty store is to be.
    pub(crate) fn place(self) -> Result<Place, Failure> {
        let folder = tempfile::tempdir()?;
        let url = match self {
            Self::Sqlite => format!("sqlite://{}", folder.path().join("network.db").display()),
            Self::Memory => "memory:".to_owned(),
        };
        Ok(Place { engine: self, url, folder })
    }

    /// A network of a thousand stations in a new store.
    pub(crate) async fn network(self) -> Result<Opened, Failure> {
        let place = self.place()?;
        let store = place.open().await?;
        let network = Network::open(store.store(), STATIONS).await;
        Ok(Opened { network, store, place })
    }

    /// The rows of the contract, written by hand in the engine's own way.
    pub(crate) fn by_hand(self) -> Result<Box<dyn ByHand>, Failure> {
        match self {
            Self::Sqlite => Ok(Box::new(SqliteByHand::open(Shape::spread(STATIONS))?)),
            Self::Memory => Err("nothing durable is written by hand on the memory store".into()),
        }
    }
}

/// Where a store is: a folder that is removed at the end, and the address the server takes.
#[derive(Debug)]
pub(crate) struct Place {
    engine: Engine,
    pub(crate) url: String,
    folder: TempDir,
}

impl Place {
    async fn open(&self) -> Result<Handle, Failure> {
        Ok(match self.engine {
            Engine::Sqlite => Handle::Sqlite(Arc::new(SqliteStore::open(&self.url).await?)),
            Engine::Memory => Handle::Memory(Arc::new(MemoryStore::new())),
        })
    }

    /// Opens what is there already: so many trades.
    pub(crate) async fn reopen(self, trades: u64) -> Result<Opened, Failure> {
        let store = self.open().await?;
        let network = Network::join(store.store(), Shape::spread(STATIONS), trades).await;
        Ok(Opened { network, store, place: self })
    }

    /// The bytes it takes on disk.
    pub(crate) fn bytes(&self) -> Result<u64, Failure> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(self.folder.path())? {
            bytes += entry?.metadata()?.len();
        }
        Ok(bytes)
    }
}

/// An open store.
#[derive(Debug)]
enum Handle {
    Sqlite(Arc<SqliteStore>),
    Memory(Arc<MemoryStore>),
}

impl Handle {
    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Memory(store) => store.clone(),
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
        match self.store {
            Handle::Sqlite(store) => store.close().await,
            Handle::Memory(_) => {}
        }
        self.place
    }
}
