//! Stores of [`trade_core`] in SQL databases.
//!
//! An engine is a feature and a folder: `SqliteStore` (feature `sqlite`) keeps a network in one file; `PostgresStore`
//! (feature `postgres`) and `MySqlStore` (feature `mysql`, for MariaDB too) in a database that several servers may
//! share. What the engines share stands beside them: the form of a row (`rows`), which index a list is read by (`plan`),
//! the steps of a schema (`migrations`), what is read (`read`) and written (`commit`), each statement once, as a template
//! that `dialect` words for the engine.

#![warn(missing_docs)]
#![cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]

mod commit;
mod dialect;
mod engine;
mod lane;
mod migrations;
#[cfg(feature = "mysql")]
mod mysql;
mod plan;
#[cfg(feature = "postgres")]
mod postgres;
mod read;
mod receipts;
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
