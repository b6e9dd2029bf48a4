//! A server to test against, started as a user starts it, and a client that keeps what it was told.

// Everything here runs in tests only: what fails, fails the test that called it.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

pub mod address;
pub mod api;
pub mod browser;
pub mod connection;
pub mod database;
pub mod database_server;
pub mod engine;
pub mod galera;
pub mod haproxy;
pub mod key_records;
pub mod load;
pub mod oversell;
pub mod pooler;
pub mod primary_and_standby;
pub mod process;
pub mod proxy;
pub mod replica_set;
pub mod scene;
pub mod server;
pub mod sse;
pub mod stored;
pub mod tls;
pub mod told;
pub mod world;
