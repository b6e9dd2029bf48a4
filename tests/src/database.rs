//! A database of a test's own, on a server that is there.

use crate::address::Address;
use crate::engine::Engine;
use mongodb::bson::doc;
use sqlx::{Connection, Executor, MySqlConnection, PgConnection, Row};
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long making or dropping a database may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A new, empty database. It is dropped with this, also where a test panics, whoever is still connected to it.
#[derive(Debug)]
pub struct Database {
    /// The server, by the database that the tests were given.
    server: Address,
    name: String,
    url: String,
}

impl Database {
    /// Makes a database on the server of a URL. Its name is unique in time and among processes.
    pub async fn create(server: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tn_test_{}_{}_{count}", now.as_millis(), std::process::id());
        let server = Address::parse(server);
        let made = tokio::time::timeout(PATIENCE, make(&server, &name)).await;
        made.expect("a database is made in time").unwrap_or_else(|error| panic!("{name}: {error}"));
        let url = server.with_database(&name).to_string();
        Self { server, name, url }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // Whatever runtime drops this may not be able to wait, or be about to end.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let removed = async { tokio::time::timeout(PATIENCE, remove(&server, &name)).await };
            runtime.expect("a runtime").block_on(removed)
        });
        let dropped = dropping.join();
        if !std::thread::panicking() {
            let dropped = dropped.expect("no panic").expect("a database is dropped in time");
            dropped.unwrap_or_else(|error| panic!("{} is not dropped: {error}", self.name));
        }
    }
}

type Done = Result<(), Box<dyn Error + Send + Sync>>;

async fn make(server: &Address, name: &str) -> Done {
    let (url, create) = (server.to_string(), sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")));
    match server.engine() {
        Engine::Postgres => {
            let mut connection = PgConnection::connect(&url).await?;
            connection.execute(create).await?;
            connection.close().await?;
        }
        Engine::Mysql => {
            let mut connection = MySqlConnection::connect(&url).await?;
            connection.execute(create).await?;
            connection.close().await?;
        }
        // A database of MongoDB is there with what is first written to it.
        Engine::Mongo | Engine::Sqlite => {}
    }
    Ok(())
}

async fn remove(server: &Address, name: &str) -> Done {
    match server.engine() {
        Engine::Postgres => {
            let mut connection = PgConnection::connect(&server.to_string()).await?;
            let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            connection.execute(drop).await?;
            connection.close().await?;
        }
        Engine::Mysql => {
            let mut connection = MySqlConnection::connect(&server.to_string()).await?;
            // A transaction that is still open would keep its tables for ever.
            let users = sqlx::query("SELECT id FROM information_schema.processlist WHERE db = ?").bind(name);
            for user in users.fetch_all(&mut connection).await? {
                let id: i64 = user.try_get_unchecked(0)?;
                // It may have gone by itself.
                let _ = connection.execute(sqlx::AssertSqlSafe(format!("KILL {id}"))).await;
            }
            connection.execute(sqlx::AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"))).await?;
            connection.close().await?;
        }
        Engine::Mongo => {
            let client = mongodb::Client::with_uri_str(server.to_string()).await?;
            end_transactions(&client.database("admin"), name).await?;
            client.database(name).drop().await?;
            client.shutdown().await;
        }
        Engine::Sqlite => {}
    }
    Ok(())
}

/// Ends transactions of stores that were killed: the server would keep their database for a minute more.
async fn end_transactions(admin: &mongodb::Database, name: &str) -> Done {
    let open = doc! {"type": "idleSession", "transaction": {"$exists": true}, "appName": {"$regex": name}};
    let pipeline = vec![doc! {"$currentOp": {"idleSessions": true}}, doc! {"$match": open}];
    let found = admin.run_command(doc! {"aggregate": 1, "pipeline": pipeline, "cursor": {}}).await?;
    let mut sessions = Vec::new();
    for session in found.get_document("cursor")?.get_array("firstBatch")? {
        let id = session.as_document().and_then(|session| session.get_document("lsid").ok()?.get("id"));
        sessions.extend(id.map(|id| doc! {"id": id.clone()}));
    }
    if !sessions.is_empty() {
        admin.run_command(doc! {"killSessions": sessions}).await?;
    }
    Ok(())
}
