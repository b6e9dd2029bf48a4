//! The store of [`trade_core`] in a MongoDB replica set or sharded cluster, which several servers may share.
//!
//! [`MongoStore`] is it; [`MongoOptions`] says how it connects and how long it waits. What is kept, and how a person
//! finds it in a shell, stands in `documents`; the collections, their validators and indexes in `schema`, and how they
//! are made in `migrate`; what is read in `read`, and written in `commit`, whose module page is the one to begin with.

#![warn(missing_docs)]

mod classify;
mod commit;
mod connect;
mod documents;
mod migrate;
mod options;
#[cfg(test)]
mod query_plans;
mod read;
#[cfg(test)]
mod round_trips;
mod schema;
mod store;
#[cfg(test)]
mod testing;
mod wake;

pub use options::MongoOptions;
pub use store::MongoStore;
