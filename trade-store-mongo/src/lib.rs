//! The store of [`trade_core`] in a MongoDB replica set or sharded cluster, which several servers may share.
//!
//! [`MongoStore`] is it; [`MongoOptions`] says how it connects and how long it waits.
//!
//! ```toml
//! [dependencies]
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//! trade-core = "0.1"
//! trade-store-mongo = "0.1"
//! ```
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use trade_core::service::TradeService;
//! use trade_store_mongo::MongoStore;
//!
//! let store = Arc::new(MongoStore::connect("mongodb://a,b,c/network?replicaSet=rs0").await?);
//! let service = TradeService::start(store.clone()).await?;
//! // ...
//! service.shutdown().await;
//! store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! What a service is for is on the page of [`trade_core`]. It is the same over every store.
//!
//! # What it needs
//!
//! - MongoDB 6.0 or newer, as a replica set or a sharded cluster: a commit is a transaction, which a server that stands
//!   alone does not have. For development a replica set of one will do (`mongod --replSet rs0`, then `rs.initiate()` in
//!   `mongosh`).
//! - A database that belongs to the network alone. It is the one in the address, `trade_network` where the address names
//!   none. One with documents of another application is refused.
//! - A user with the role `readWrite` on it; to bring one of an older version up to date also `dbAdmin`. To read alone,
//!   `read` is enough.
//!
//! In a user name and a password `%`, `#`, `/`, `?` and `@` are written percent-encoded.
//!
//! # What it makes
//!
//! The first store that connects makes the collections, their validators and their indexes: `trades`, `cargo`,
//! `stations`, `stock`, `ledger`, `cargo_history`, `log`, `receipts`, `receipt_pieces`, `api_keys`, `head` and `migrations`.
//! They are written by stores alone. An application keeps its own collections in another database.
//!
//! Several servers may share the database. They are one network, with one order of events: each connects a store and
//! starts a service. What one commits, the others are told of by a change stream, or find by looking every
//! [`poll_interval`](MongoOptions::poll_interval).
//!
//! # Options
//!
//! The options have more fields in later versions: so one begins with the usual ones.
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use trade_core::{store::Access, verify::verify};
//! use trade_store_mongo::{MongoOptions, MongoStore};
//!
//! let mut options = MongoOptions::default();
//! options.connections_max = 4;
//! options.operation_timeout = Duration::from_secs(30);
//! // Nothing is made or changed: for an audit.
//! options.access = Access::ReadOnly;
//! let url = "mongodb://trade:secret@a,b,c/network?replicaSet=rs0&authSource=admin";
//! let store = MongoStore::connect_with(url, &options).await?;
//! println!("{:?}", verify(&store).await?);
//! store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! The crate has no features. TLS is always built in, and chosen in the address (`tls=true`).
//!
//! What the store guarantees, how a cluster is sharded and how a network is backed up is in `README.md` of this crate.

#![warn(missing_docs)]

// What is kept, and how a person finds it in a shell, stands in `documents`; the collections, their validators and
// indexes in `schema`, and how they are made in `migrate`; what is read in `read`, and written in `commit`, whose module
// page is the one to begin with.
mod api_keys;
mod classify;
mod commit;
mod connect;
mod documents;
mod link;
mod migrate;
mod options;
#[cfg(test)]
mod query_plans;
mod read;
#[cfg(test)]
mod round_trips;
mod schema;
mod seen;
mod store;
#[cfg(test)]
mod testing;
mod wake;

pub use options::MongoOptions;
pub use store::MongoStore;
