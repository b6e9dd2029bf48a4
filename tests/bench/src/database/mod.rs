//! Databases on a server: that of an address in the environment, or one that is started here in a temporary folder.

mod mongo;
mod server;

use crate::report::Failure;
use mongodb::bson::doc;
use server::Server;
pub(crate) use server::program;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const READY_MAX: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// A kind of database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    MySql,
    Mongo,
}

impl Kind {
    /// The word the `run` script knows it by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MySql => "mysql",
            Self::Mongo => "mongodb",
        }
    }

    /// Why there is none here; none where there is.
    pub(crate) fn missing(self) -> Option<String> {
        server::missing(self)
    }
}

/// A database of its own, empty at first. It is dropped with this.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) url: String,
    name: String,
    server: Arc<Server>,
}

impl Database {
    /// Makes one. Those that live at the same time share a server.
    pub(crate) async fn create(kind: Kind) -> Result<Self, Failure> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = tokio::task::spawn_blocking(move || Server::share(kind)).await??;
        let name = format!("trade_bench_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let begin = Instant::now();
        // A server that was just started listens a moment before it answers.
        while let Err(failure) = make(&server, &name).await {
            if begin.elapsed() > READY_MAX {
                return Err(failure);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(Self { url: server.database(&name), name, server })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The bytes it takes on disk.
    pub(crate) async fn bytes(&self) -> Result<u64, Failure> {
        let bytes: i64 = match self.server.kind {
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await?;
                let size = "SELECT pg_database_size(current_database())";
                sqlx::query_scalar(size).fetch_one(&mut connection).await?
            }
            Kind::MySql => {
                let mut connection = MySqlConnection::connect(&self.url).await?;
                let size = "SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS SIGNED) \
                    FROM information_schema.tables WHERE table_schema = DATABASE()";
                sqlx::query_scalar(size).fetch_one(&mut connection).await?
            }
            Kind::Mongo => {
                let told = mongo::run(&self.url, doc! { "dbStats": 1 }).await?;
                let size = told.get("totalSize").and_then(|size| size.as_f64());
                #[expect(clippy::cast_possible_truncation, reason = "a whole number, told as a fraction")]
                let size = size.ok_or("no size is told")? as i64;
                size
            }
        };
        Ok(bytes.try_into()?)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = || -> Result<(), Failure> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(remove(&self.server, &self.name))
        };
        // On a thread of its own: the one that drops this runs a runtime already.
        let dropped = std::thread::scope(|scope| scope.spawn(drop).join());
        if let Ok(Err(error)) = dropped {
            eprintln!("{} is left behind: {error}", self.name);
        }
    }
}

async fn make(server: &Server, name: &str) -> Result<(), Failure> {
    match server.kind {
        Kind::Postgres | Kind::MySql => execute(server, &format!("CREATE DATABASE {name}")).await,
        // It is made by what is written to it first.
        Kind::Mongo => Ok(()),
    }
}

async fn remove(server: &Server, name: &str) -> Result<(), Failure> {
    match server.kind {
        // Whoever is still connected to it is a program that has been ended.
        Kind::Postgres => execute(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await,
        Kind::MySql => execute(server, &format!("DROP DATABASE {name}")).await,
        Kind::Mongo => mongo::run(&server.database(name), doc! { "dropDatabase": 1 }).await.map(drop),
    }
}

async fn execute(server: &Server, sql: &str) -> Result<(), Failure> {
    let url = &server.url;
    match server.kind {
        Kind::Postgres => {
            let mut connection = PgConnection::connect(url).await?;
            connection.execute(AssertSqlSafe(sql)).await?;
            connection.close().await?;
        }
        Kind::MySql => {
            let mut connection = MySqlConnection::connect(url).await?;
            connection.execute(AssertSqlSafe(sql)).await?;
            connection.close().await?;
        }
        Kind::Mongo => return Err("MongoDB knows no SQL".into()),
    }
    Ok(())
}
