//! Stores of [`trade_core`] in SQL databases.
//!
//! Each engine is a feature. `SqliteStore` (feature `sqlite`, the default) keeps a network in one file; `PostgresStore`
//! (feature `postgres`) and `MySqlStore` (feature `mysql`, for MariaDB too) keep it in a database that several servers
//! may share.
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
//! let all = InventoryQuery { items: vec![], after: None, limit: 10 };
//! assert!(service.store().inventory(&"ceres".try_into()?, &all).await?.is_some());
//! service.shutdown().await;
//! store.close().await;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```

#![warn(missing_docs)]
#![cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]

// An engine is a folder: its `errors`, its `driver`, and what it does for a store (`engine`), each above the one before.
// What the engines share stands beside them: the form of a row (`rows`), which index a list is read by (`plan`), the
// steps of a schema (`migrations`), what is read (`read`) and written (`commit`), each statement once, as a template that
// `dialect` words for the engine.
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

#[cfg(feature = "mysql")]
pub use mysql::MySqlStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub use server::ServerOptions;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use store::SqlStore;
