//! The store of [`trade_core`] in a MongoDB replica set or sharded cluster, which several servers may share.
//!
//! [`MongoStore`] is it; [`MongoOptions`] says how it connects and how long it waits.
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

#![warn(missing_docs)]

// What is kept, and how a person finds it in a shell, stands in `documents`; the collections, their validators and
// indexes in `schema`, and how they are made in `migrate`; what is read in `read`, and written in `commit`, whose module
// page is the one to begin with.
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
