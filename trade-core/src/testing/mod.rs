//! The testing kit: for this workspace, and for whoever writes a store of their own.
//!
//! # How to test a store of your own
//!
//! Implement [`StoreFactory`](conformance::StoreFactory) — how a fresh, empty store is opened, and how a second handle
//! on the same data is — and name the suite. One line makes one test of every case, those of later versions of this
//! crate included:
//!
//! ```
//! use async_trait::async_trait;
//! use std::sync::Arc;
//! use trade_core::memory::MemoryStore;
//! use trade_core::store::Store;
//! use trade_core::testing::conformance::StoreFactory;
//!
//! /// Makes stores that live as long as the process.
//! #[derive(Debug, Default)]
//! struct InMemory(Arc<MemoryStore>);
//!
//! #[async_trait]
//! impl StoreFactory for InMemory {
//!     async fn open(&self) -> Arc<dyn Store> {
//!         self.0.clone()
//!     }
//!
//!     // Of a store that other processes can open: another handle on what `open` made, by a connection of its own.
//!     async fn reopen(&self) -> Arc<dyn Store> {
//!         self.0.clone()
//!     }
//! }
//!
//! trade_core::conformance_suite!(in_memory, InMemory::default());
//! # fn main() {}
//! ```
//!
//! For stores of one process there is also [`InProcess`](conformance::InProcess), which makes them by a function.
//!
//! A store that needs a server names the variable that holds its address. Its cases are then reported as ignored by a
//! plain `cargo test`, and run by `cargo test -- --include-ignored`, where a missing address is a failure; so it is
//! everywhere where `TRADE_TEST_REQUIRE=1` is set. See [`conformance_suite!`](crate::conformance_suite).
//!
//! # What else is here
//!
//! | module | for |
//! |---|---|
//! | [`conformance`] | what every store must do, case by case |
//! | [`key_conformance`] | the same of whoever keeps API keys |
//! | [`saboteurs`] | stores that are wrong in one way each, to prove that the suite notices |
//! | [`faulty`] | a store that fails before, during and after its commits, to test what stands on it |
//! | [`workload`] | many callers at once, from a seed, and the proof that every answer they got was true |
//! | [`simulation`] | a network, its callers and all that may befall them, under one seed |
//! | [`audit`] | whether what is stored agrees with its log |
//! | [`model`] | the rules once more, as simple as can be, to compare with, or as a reference state machine |
//! | [`strategies`] | strategies of [`proptest`] for every value and command |
//! | [`likely`] | a strategy for commands that a network in some state is likely to take |
//! | [`fixtures`] | short names for values and commands |
//!
//! The kit asserts: where this crate otherwise answers an error, the functions here panic with what they found.

// An assertion that fails is what this module is for.
#![allow(clippy::unwrap_used)]

pub mod audit;
mod chance;
pub mod conformance;
pub mod faulty;
pub mod fixtures;
mod held;
mod isolated;
pub mod key_conformance;
pub mod likely;
pub mod model;
pub mod saboteurs;
pub mod simulation;
pub mod snapshot;
pub mod strategies;
mod suite;
pub mod workload;

pub use faulty::FaultyStore;
/// The version that [`strategies`] are of.
pub use proptest;
