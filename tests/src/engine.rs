//! The engines a test runs on, and a store of the test's own on each.

use crate::database::Database;
use crate::key_records::overwrite_key;
use crate::world::World;
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use trade_core::access::{KeyId, KeyStore};
use trade_core::store::{Access, Store};
use trade_core::testing::conformance::{StoreFactory, server_url};
use trade_core::testing::key_conformance::KeyStoreFactory;
use trade_network::store::{Opened, StoreOptions};

/// What keeps a network, and can be opened by several processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
    /// MariaDB, or MySQL: whatever is at `TRADE_TEST_MYSQL_URL`.
    Mysql,
    Mongo,
}

impl Engine {
    /// The variable with the address of a server, for those that need one.
    pub fn variable(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("TRADE_TEST_POSTGRES_URL"),
            Self::Mysql => Some("TRADE_TEST_MYSQL_URL"),
            Self::Mongo => Some("TRADE_TEST_MONGODB_URL"),
        }
    }

    /// A store of the test's own with nothing in it.
    ///
    /// # Panics
    /// If it needs a server and its variable is not set.
    pub async fn site(self) -> Site {
        match self.variable() {
            None => {
                let world = World::new();
                Site { url: world.sqlite(), engine: self, _keeper: Keeper::Folder(world) }
            }
            Some(variable) => self.site_at(&server_url(variable)).await,
        }
    }

    /// The same, at the server of a URL.
    pub async fn site_at(self, server: &str) -> Site {
        let database = Database::create(server).await;
        Site { url: database.url().to_owned(), engine: self, _keeper: Keeper::Database(database) }
    }
}

/// Where a network is kept. What is there goes with this.
#[derive(Debug)]
pub struct Site {
    engine: Engine,
    url: String,
    _keeper: Keeper,
}

/// What removes it.
#[derive(Debug)]
enum Keeper {
    Folder(#[expect(dead_code, reason = "held for its end")] World),
    Database(#[expect(dead_code, reason = "held for its end")] Database),
}

impl Site {
    /// Which engine it is of.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The URL that the server and the library open it by.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The store, opened once more as the server opens it.
    pub async fn open(&self) -> Opened {
        open(&self.url).await
    }
}

/// Opens a store as the server does.
pub async fn open(url: &str) -> Opened {
    Opened::open(url, Access::Migrate, &StoreOptions::default())
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Makes stores of an engine for the conformance suite.
#[derive(Debug)]
pub struct Factory {
    engine: Engine,
    /// The URL of the server, where it is not the engine's usual one.
    server: Option<String>,
    site: tokio::sync::OnceCell<Site>,
    opened: Mutex<Vec<Opened>>,
}

impl Factory {
    /// A factory of stores of an engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine, server: None, site: tokio::sync::OnceCell::new(), opened: Mutex::default() }
    }

    /// A factory of stores of an engine at the server of a URL.
    pub fn at(engine: Engine, server: String) -> Self {
        Self { server: Some(server), ..Self::new(engine) }
    }

    async fn site(&self) -> &Site {
        let site = self.site.get_or_init(async || match &self.server {
            Some(server) => self.engine.site_at(server).await,
            None => self.engine.site().await,
        });
        site.await
    }

    async fn handle(&self) -> Opened {
        let opened = self.site().await.open().await;
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(opened.clone());
        opened
    }

    async fn close_all(&self) {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner));
        for store in opened {
            store.close().await;
        }
    }
}

#[async_trait]
impl StoreFactory for Factory {
    async fn open(&self) -> Arc<dyn Store> {
        self.handle().await.store()
    }

    async fn reopen(&self) -> Arc<dyn Store> {
        self.handle().await.store()
    }

    async fn close(&self) {
        self.close_all().await;
    }
}

#[async_trait]
impl KeyStoreFactory for Factory {
    async fn open(&self) -> Arc<dyn KeyStore> {
        self.handle().await.keys()
    }

    async fn reopen(&self) -> Arc<dyn KeyStore> {
        self.handle().await.keys()
    }

    async fn overwrite(&self, id: &KeyId, record: &[u8]) -> bool {
        overwrite_key(self.engine, self.site().await.url(), id, record).await
    }

    async fn close(&self) {
        self.close_all().await;
    }
}

/// Makes one test of each function for every engine: `on_every_engine!(a_sentence, another);`. Each is an
/// `async fn(Site)`.
///
/// Those that need a server are ignored by plain `cargo test`, which names them, and fail without their server where
/// they are asked for.
#[macro_export]
macro_rules! on_every_engine {
    ($($case:ident),+ $(,)?) => {
        $(mod $case {
            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                super::$case($crate::engine::Engine::Sqlite.site().await).await;
            }

            $crate::__on_servers!($case);
        })+
    };
}

/// The same for the engines that need a server.
#[macro_export]
macro_rules! on_every_server {
    ($($case:ident),+ $(,)?) => {
        $(mod $case {
            $crate::__on_servers!($case);
        })+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __on_servers {
    ($case:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        #[ignore = "TRADE_TEST_POSTGRES_URL"]
        async fn on_postgres() {
            super::$case($crate::engine::Engine::Postgres.site().await).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        #[ignore = "TRADE_TEST_MYSQL_URL"]
        async fn on_mysql() {
            super::$case($crate::engine::Engine::Mysql.site().await).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        #[ignore = "TRADE_TEST_MONGODB_URL"]
        async fn on_mongo() {
            super::$case($crate::engine::Engine::Mongo.site().await).await;
        }
    };
}
