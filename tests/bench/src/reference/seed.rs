//! A trade by the application that the network replaces: Express and Mongoose, one write after the other, none of them
//! bound to another.

use crate::client::load::Load;
use crate::client::publisher::Publisher;
use crate::database::{Database, Kind};
use crate::environment::EXPRESS;
use crate::process::{Process, free_port};
use crate::report::Failure;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tests::load::Shape;

const CONNECTIONS: usize = 32;

/// A running server, and the database it writes to.
#[derive(Debug)]
pub(crate) struct Seed {
    address: SocketAddr,
    shape: Shape,
    next: Arc<AtomicU64>,
    // Ended before its database is dropped.
    _process: Process,
    _database: Database,
}

/// Why there is none on this machine; none where there is.
pub(crate) fn missing() -> Option<String> {
    modules().is_none().then(|| "Express with Mongoose is not installed".to_owned())
}

fn modules() -> Option<PathBuf> {
    let modules = PathBuf::from(std::env::var_os(EXPRESS)?).join("node_modules");
    ["express", "mongoose"].iter().all(|package| modules.join(package).exists()).then_some(modules)
}

impl Seed {
    /// Starts it over a new database.
    pub(crate) async fn start(shape: Shape) -> Result<Self, Failure> {
        let database = Database::create(Kind::Mongo).await?;
        let port = free_port()?;
        let script = Path::new(super::FOLDER).join("seed.js");
        let mut command = Command::new("node");
        command.env("NODE_PATH", modules().ok_or("Express with Mongoose is not installed")?);
        command.env("NODE_ENV", "production");
        command.arg(script).arg(port.to_string()).arg(&database.url);
        let starting = move || Process::start(&mut command, "the server of Express and Mongoose", port);
        let process = tokio::task::spawn_blocking(starting).await??;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Self { address, shape, next: Arc::default(), _process: process, _database: database })
    }

    /// Trades that are answered a second. What it still has to do for them is waited for, and not counted.
    pub(crate) async fn trades_per_second(&self, duration: Duration) -> Result<f64, Failure> {
        let load = Load {
            address: self.address,
            connections: CONNECTIONS,
            duration,
            pace: None,
            status: 201,
            holds: None,
        };
        let (shape, next) = (self.shape, self.next.clone());
        let answered = load.run(move |_| {
            let number = next.fetch_add(1, Ordering::Relaxed);
            crate::client::request("POST", "/api/trades", &shape.trade_body(number))
        });
        let rate = answered.await?.rate();
        let address = self.address;
        let settled = move || {
            Publisher::connect(address)?.send("GET", "/api/settled", "")?;
            Ok::<_, Failure>(())
        };
        tokio::task::spawn_blocking(settled).await??;
        Ok(rate)
    }
}
