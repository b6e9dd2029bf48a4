//! Stores of [`trade_core`] in SQL databases.
//!
//! Each engine is a feature. `SqliteStore` (feature `sqlite`, the default) keeps a network in one file; `PostgresStore`
//! (feature `postgres`) and `MySqlStore` (feature `mysql`, for MariaDB too) keep it in a database that several servers
//! may share.
//!
//! ```toml
//! [dependencies]
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//! trade-core = "0.1"
//! trade-store-sql = "0.1"
//! ```
//!
//! A store is opened, a service runs over it, and at the end the service is shut down before the store is closed. What a
//! service and a store are for is on the page of [`trade_core`].
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use trade_core::{service::TradeService, store::InventoryQuery};
//! use trade_core::command::{CreateStation, Request};
//! use trade_store_sql::SqliteStore;
//!
//! # let folder = tempfile::tempdir()?;
//! # let url = format!("sqlite://{}", folder.path().join("network.db").display());
//! // let url = "sqlite://network.db";
//! let store = Arc::new(SqliteStore::open(&url).await?);
//! let service = TradeService::start(store.clone()).await?;
//! let station = CreateStation::new("ceres".try_into()?);
//! service.submit(Request::new(station)).await?;
//!
//! let all = InventoryQuery::first(10);
//! assert!(service.store().inventory(&"ceres".try_into()?, &all).await?.is_some());
//! service.shutdown().await;
//! store.close().await;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! # An application's own tables in the same SQLite file
//!
//! The file may hold tables of the application. The store leaves them alone, as long as their names do not begin with
//! `tn_`. It notes its own migrations in `tn_schema`, so they do not meet those of the application, which SQLx keeps in
//! `_sqlx_migrations`. The rules for the application:
//!
//! - It opens connections of its own to the same path. It does not write to tables that begin with `tn_`, or add triggers
//!   or constraints to them; their form may change with a version. What a network holds is read by the store's methods.
//! - It leaves the file in write-ahead-log mode (`journal_mode = WAL`), and does not delete, rename or replace the file,
//!   its `-wal` or its `-shm` while the store is open.
//! - Its transactions that write are short: while one is open nothing is committed. A commit waits 5 seconds for
//!   it, and is then refused as `Unavailable`. The application waits likewise, by its `busy_timeout`.
//! - Its transactions that read are short, too: while one is open the write-ahead log grows.
//! - It uses SQLx 0.9, as this crate does: a program can have only one SQLite linked to it.
//!
//! With its own tables in the file, an application can follow the log so that each event is dealt with once: its work
//! and its position are written by one transaction. A backup of the file has both, of one moment.
//!
//! ```toml
//! [dependencies]
//! sqlx = { version = "0.9", default-features = false, features = ["runtime-tokio", "sqlite-bundled", "migrate", "macros"] }
//! ```
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # mod example {
//! use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
//! use sqlx::{ConnectOptions, Connection};
//! use std::{error::Error, path::Path, time::Duration};
//! use trade_core::event::{EventData, EventFilter, EventType};
//! use trade_core::service::TradeService;
//!
//! /// A connection of the application, to the file in which the store keeps the network.
//! pub async fn own_tables(file: &Path) -> Result<SqliteConnection, sqlx::Error> {
//!     let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(5));
//!     let mut own = options.connect().await?;
//!     // With the features `migrate` and `macros` of SQLx, and files in the folder `migrations`:
//!     // sqlx::migrate!().run(&mut own).await?;
//!     sqlx::raw_sql(
//!         "CREATE TABLE IF NOT EXISTS position (id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL);
//!          INSERT OR IGNORE INTO position VALUES (1, 0);
//!          CREATE TABLE IF NOT EXISTS bought (station TEXT PRIMARY KEY, trades INTEGER NOT NULL);",
//!     )
//!     .execute(&mut own)
//!     .await?;
//!     Ok(own)
//! }
//!
//! /// Counts the trades that each station bought in.
//! pub async fn follow(service: &TradeService, own: &mut SqliteConnection) -> Result<(), Box<dyn Error>> {
//!     let position: i64 = sqlx::query_scalar("SELECT sequence FROM position").fetch_one(&mut *own).await?;
//!     let filter = EventFilter { types: vec![EventType::TradeInitiated], ..EventFilter::default() };
//!     let mut events = service.bus().subscribe(Some(position.try_into()?), filter);
//!     // `next` waits for the next event. `next_stored` ends where the log ends now.
//!     while let Some(event) = events.next_stored().await? {
//!         let event = event.event();
//!         let mut work = own.begin_with("BEGIN IMMEDIATE").await?;
//!         if let EventData::Trade(trade) = &event.data {
//!             let count = "INSERT INTO bought VALUES (?, 1) ON CONFLICT DO UPDATE SET trades = trades + 1";
//!             sqlx::query(count).bind(trade.buyer.as_str()).execute(&mut *work).await?;
//!         }
//!         let position = i64::try_from(event.sequence)?;
//!         sqlx::query("UPDATE position SET sequence = ?").bind(position).execute(&mut *work).await?;
//!         work.commit().await?;
//!     }
//!     Ok(())
//! }
//! # }
//!
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use example::*;
//! # use sqlx::Connection;
//! # use std::sync::Arc;
//! # use trade_core::command::{CreateStation, InitiateTrade, Request};
//! # use trade_core::resource::{Line, Lines};
//! # use trade_core::service::TradeService;
//! # use trade_core::values::Quantity;
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("network.db");
//! # let store = Arc::new(trade_store_sql::SqliteStore::open_file(&file).await?);
//! # let service = TradeService::start(store.clone()).await?;
//! # let items = vec![("fuel".try_into()?, Quantity::new(100)?)];
//! # service.submit(Request::new(CreateStation { items, ..CreateStation::new("ceres".try_into()?) })).await?;
//! # service.submit(Request::new(CreateStation::new("vesta".try_into()?))).await?;
//! # for id in ["T-1", "T-2"] {
//! #     let line = Line::new("fuel".try_into()?, Quantity::new(10)?);
//! #     let lines = Lines::new(vec![line])?;
//! #     let trade = InitiateTrade::new(id.try_into()?, "vesta".try_into()?, "ceres".try_into()?, lines);
//! #     service.submit(Request::new(trade)).await?;
//! #     let mut own = own_tables(&file).await?;
//! #     follow(&service, &mut own).await?;
//! #     own.close().await?;
//! # }
//! // Two trades were made. However often the process ends and begins anew, each of them counts once.
//! let mut own = own_tables(&file).await?;
//! follow(&service, &mut own).await?;
//! let bought = sqlx::query_scalar("SELECT trades FROM bought WHERE station = 'vesta'");
//! let bought: i64 = bought.fetch_one(&mut own).await?;
//! assert_eq!(bought, 2);
//! # own.close().await?;
//! # service.shutdown().await;
//! # store.close().await;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! The address of the store is `sqlite://relative/path.db` or `sqlite:///absolute/path.db`, with `%`, `?` and `#` in it
//! percent-encoded. `SqliteStore::open_file` takes a path as it is. A file that is missing is made; `?mode=rw` opens only what is there. There is no store in memory here: that is
//! [`MemoryStore`](trade_core::memory::MemoryStore).
//!
//! Several processes of one machine may open the file, and are one network. Several machines take a database server.
//!
//! # PostgreSQL, MySQL and MariaDB
//!
//! ```toml
//! trade-store-sql = { version = "0.1", default-features = false, features = ["postgres"] }
//! ```
//!
//! ```no_run
//! # #[cfg(all(feature = "postgres", feature = "mysql"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::{sync::Arc, time::Duration};
//! use trade_core::service::TradeService;
//! use trade_store_sql::{MySqlStore, PostgresStore, ServerOptions};
//!
//! let store = PostgresStore::connect("postgres://trade:secret@localhost/network").await?;
//! let service = TradeService::start(Arc::new(store)).await?;
//!
//! // The options have more fields in later versions: so one begins with the usual ones.
//! let mut options = ServerOptions::default();
//! options.readers_max = 16;
//! options.lock_timeout = Duration::from_secs(2);
//! let url = "mysql://trade:secret@localhost/network?ssl-mode=VERIFY_IDENTITY&ssl-ca=ca.pem";
//! let other = MySqlStore::connect_with(url, &options).await?;
//! # service.shutdown().await;
//! # other.close().await;
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "postgres", feature = "mysql")))]
//! # fn main() {}
//! ```
//!
//! PostgreSQL is version 13 or newer, MariaDB 10.6, MySQL 8.0.19. In a user name and a password `%`, `#`, `/`, `?` and `@`
//! are written percent-encoded. TLS is chosen in the address, by `sslmode` and `sslrootcert`, or `ssl-mode` and
//! `ssl-ca`. Where the address says nothing of it, TLS is used if the server offers it, and nobody asks who the server is.
//! `ServerOptions` has the rest: connections, timeouts, a replica for lists.
//!
//! Several servers over one database are one network, with one order of events: each process connects a store and starts
//! a service, and nothing has to be told of the others. Each looks every `ServerOptions::poll_interval`, 100 ms by default,
//! for what the others committed; PostgreSQL tells of it at once.
//!
//! The tables begin with `tn_` here as well, and may stand beside those of other applications. Then an application can keep
//! its position and its work in one transaction, as above.
//!
//! # What a store is opened for
//!
//! An [`Access`](trade_core::store::Access) says whether a store makes its tables and brings them up to date
//! (`Migrate`, the default), takes them as they are (`Existing`), or only reads (`ReadOnly`). It is a parameter of
//! `SqliteStore::open_with`, and a field of `ServerOptions`. A schema of a newer version is refused.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let url = format!("sqlite://{}", folder.path().join("network.db").display());
//! # trade_store_sql::SqliteStore::open(&url).await?.close().await;
//! use trade_core::store::Access;
//! use trade_core::verify::verify;
//! use trade_store_sql::SqliteStore;
//!
//! // The audit of a network: nothing is changed.
//! let store = SqliteStore::open_with(&url, Access::ReadOnly).await?;
//! let report = verify(&store).await?;
//! assert_eq!(report.events, 0);
//! store.close().await;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `sqlite` (default) | `SqliteStore`; SQLite is compiled in, which takes a C compiler |
//! | `postgres` | `PostgresStore`, `ServerOptions`, TLS |
//! | `mysql` | `MySqlStore`, `ServerOptions`, TLS |
//!
//! TLS is rustls, and trusts the authorities that the machine trusts, beside those that an address names. It has no feature
//! of its own.
//!
//! What each engine guarantees and needs, every setting, and how a network is backed up is in `README.md` of this crate.

#![warn(missing_docs)]
#![cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]

// An engine is a folder: its `errors`, its `driver`, and what it does for a store (`engine`), each above the one before.
// What the engines share stands beside them: the form of a row (`rows`), which index a list is read by (`plan`), the
// steps of a schema (`migrations`), what is read (`read`) and written (`commit`), each statement once, as a template that
// `dialect` words for the engine.
mod api_keys;
mod commit;
mod dialect;
mod driver;
mod engine;
mod errors;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod hosts;
mod lane;
mod layouts;
mod migrations;
#[cfg(feature = "mysql")]
mod mysql;
mod parts;
mod places;
mod plan;
#[cfg(feature = "postgres")]
mod postgres;
mod read;
mod receipts;
#[cfg_attr(
    not(any(feature = "postgres", feature = "mysql")),
    expect(dead_code, reason = "files have no replicas")
)]
mod replica;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod rights;
mod rows;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;
mod snapshot;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
mod telemetry;

#[cfg(feature = "mysql")]
pub use mysql::MySqlStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub use server::ServerOptions;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use store::SqlStore;
pub use telemetry::METRICS;
