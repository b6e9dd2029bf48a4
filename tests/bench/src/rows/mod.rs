//! The rows of the table, each with what it is compared to and the bound it has to reach.

mod backlog;
mod databases;
mod follow;
mod greedy;
mod http;
mod http2;
mod idle;
mod latency;
mod library;
mod overload;
mod server;
mod stored;
mod stream;

use crate::arguments::Arguments;
use crate::database::Kind;
use crate::reference::{express, nchan, pgbench, seed};
use crate::report::{Failure, Row};
use futures::future::{FutureExt, LocalBoxFuture};
use stored::Stored;
use tokio::sync::Mutex;

/// What all rows share.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) arguments: Arguments,
    /// A store with very many trades, made by the first row that asks for it.
    pub(crate) stored: Mutex<Option<Stored>>,
}

impl Setup {
    pub(crate) fn new(arguments: Arguments) -> Self {
        Self { arguments, stored: Mutex::default() }
    }
}

/// What a piece of work needs beside ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A store that survives its process.
    Durable,
    /// nginx with nchan.
    Nchan,
    /// Express with better-sqlite3.
    Express,
    /// Express with Mongoose.
    Mongoose,
    /// A database server.
    Server(Kind),
    /// pgbench, which comes with PostgreSQL.
    Pgbench,
}

impl Need {
    /// The word the `run` script knows it by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Nchan => "nchan",
            Self::Express => "express",
            Self::Mongoose => "mongoose",
            Self::Server(kind) => kind.name(),
            Self::Pgbench => "pgbench",
        }
    }

    /// Why it cannot be had; none where it can.
    pub(crate) fn missing(self, arguments: &Arguments) -> Option<String> {
        match self {
            Self::Durable if arguments.engine.is_durable() => None,
            Self::Durable => Some(format!("the {} store keeps nothing on disk", arguments.engine.name())),
            Self::Nchan => nchan::missing(),
            Self::Express => express::missing(),
            Self::Mongoose => seed::missing(),
            Self::Server(kind) => kind.missing(),
            Self::Pgbench => pgbench::missing(),
        }
    }
}

type Measure = for<'s> fn(&'s Setup) -> LocalBoxFuture<'s, Result<Vec<Row>, Failure>>;

/// One piece of work, which makes one row or several.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) measure: Measure,
}

macro_rules! works {
    ($($name:literal $needs:expr => $measure:path,)*) => {
        &[$(Work { name: $name, needs: &$needs, measure: |setup| $measure(setup).boxed_local() },)*]
    };
}

/// Everything there is to measure.
pub(crate) const WORKS: &[Work] = works![
    "library-callers-1024" [Need::Durable] => library::grouped,
    "library-caller-1" [Need::Durable] => library::alone,
    "library-callers-256" [Need::Durable] => library::together,
    "library-batches" [] => library::batches,
    "library-hot-pair" [] => library::hot_pair,
    "http-one" [] => http::one_to_library,
    "http-express" [Need::Durable, Need::Express] => http::one_to_express,
    "http-batches" [] => http::batches,
    "stream-rate-1000" [Need::Nchan] => stream::rate_to_1000,
    "stream-rate-5000" [Need::Nchan] => stream::rate_to_5000,
    "stream-tls-1000" [Need::Nchan] => stream::rate_over_tls,
    "stream-http2" [] => http2::rate,
    "stream-latency" [Need::Nchan] => stream::latency,
    "stream-idle" [Need::Nchan] => idle::memory,
    "stream-idle-tls" [Need::Nchan] => idle::memory_over_tls,
    "stream-idle-http2" [] => http2::memory,
    "stream-backlog" [] => backlog::resume,
    "stored-cost" [Need::Durable] => stored::cost,
    "stored-start" [Need::Durable] => stored::start,
    "latency-half" [] => latency::at_half,
    "overload" [] => overload::refusals,
    "greedy" [Need::Durable] => greedy::clients,
    "postgres-callers-1024" [Need::Server(Kind::Postgres)] => databases::postgres,
    "postgres-pgbench" [Need::Server(Kind::Postgres), Need::Pgbench] => databases::pgbench,
    "postgres-two-servers" [Need::Server(Kind::Postgres)] => databases::two_servers,
    "mysql-callers-1024" [Need::Server(Kind::MySql)] => databases::mysql,
    "mongo-callers-1024" [Need::Server(Kind::Mongo)] => databases::mongo,
    "mongo-seed" [Need::Server(Kind::Mongo), Need::Mongoose] => databases::seed,
    "mongo-processes" [Need::Server(Kind::Mongo)] => databases::processes,
    "postgres-follow" [Need::Server(Kind::Postgres)] => follow::postgres,
    "mysql-follow" [Need::Server(Kind::MySql)] => follow::mysql,
    "mongo-follow" [Need::Server(Kind::Mongo)] => follow::mongo,
];
