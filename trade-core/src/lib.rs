//! Trades between stations, the cargo they ship and the stock they hold: domain types, rules, and an event feed, behind
//! repository traits.
//!
//! A [`Command`](command::Command) goes in through [`TradeService`](service::TradeService); the pure
//! [`rules`] decide what it does to what a [`Store`](store::Store) holds; the resulting [`Step`](step::Step) — trade,
//! shipment, stock movements and events — is committed as one atomic unit; and whoever subscribed to the
//! [`EventBus`](bus::EventBus) sees its events, in the one order of the log.
//!
//! ```
//! use std::sync::Arc;
//! use trade_core::command::{CreateStation, Request};
//! use trade_core::{event::EventFilter, memory::MemoryStore, service::TradeService};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = TradeService::start(Arc::new(MemoryStore::new())).await?;
//! let mut events = service.bus().subscribe(None, EventFilter::default());
//!
//! let station = CreateStation::new("ceres".try_into()?);
//! service.submit(Request::new(station)).await?;
//!
//! let event = events.next().await?.ok_or("the service is not shut down yet")?;
//! assert_eq!(event.event().subject(), "inventory/ceres");
//! service.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Subscription`](bus::Subscription) is also a `Stream`, for the combinators of the `futures` crate.
//!
//! The crate knows no database, no HTTP, no environment variable and no clock of its own. The
//! [`memory`] store keeps the whole contract but durability.

#![warn(missing_docs)]

pub mod bus;
pub mod clock;
pub mod command;
pub mod copy;
pub mod event;
mod hash;
pub mod memory;
mod outage;
pub mod policy;
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
