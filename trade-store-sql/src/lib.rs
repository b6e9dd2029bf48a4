//! Stores of [`trade_core`] in SQL databases.
//!
//! An engine is a feature and a folder: [`SqliteStore`] (feature `sqlite`) keeps a network in one file. What the
//! engines share — the form of a row, and which index a list is read by — stands beside them, in `rows` and `plan`.

#![warn(missing_docs)]

#[cfg(feature = "sqlite")]
mod plan;
#[cfg(feature = "sqlite")]
mod rows;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
