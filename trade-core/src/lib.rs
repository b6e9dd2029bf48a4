//! Trades between stations, the cargo they ship and the stock they hold: domain types, rules, and an event feed, behind
//! repository traits.
//!
//! A [`Command`](command::Command) goes in through [`TradeService`](service::TradeService); the pure
//! [`rules`] decide what it does to what a [`Store`](store::Store) holds; the resulting [`Step`](step::Step) — trade,
//! shipment, stock movements and events — is committed as one atomic unit; and whoever subscribed to the
//! [`EventBus`](bus::EventBus) sees its events, in the one order of the log.
//!
//! The crate knows no database, no HTTP, no environment variable and no clock of its own. The
//! [`memory`] store keeps the whole contract but durability.

#![warn(missing_docs)]

pub mod bus;
pub mod clock;
pub mod command;
pub mod event;
mod hash;
pub mod memory;
mod outage;
pub mod record;
pub mod rejection;
pub mod resource;
pub mod rules;
pub mod service;
pub mod step;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod values;
pub mod verify;
pub mod view;
