//! What a subscriber costs that only waits.

use super::Setup;
use super::server::Served;
use super::stream::subscribe;
use crate::client::fleet::{Expect, Fleet};
use crate::process::resident_bytes;
use crate::reference::nchan::Nchan;
use crate::report::{Bound, Failure, Figure, Row};
use std::net::SocketAddr;
use std::time::Duration;

const SUBSCRIBERS: usize = 10_000;
/// Descriptors beside those of the subscribers.
const SPARE: usize = 500;
const CONNECT_MAX: Duration = Duration::from_secs(120);
/// After the last connection, until what was needed to open them is free again.
const REST: Duration = Duration::from_secs(1);

/// The memory of ten thousand streams.
pub(super) async fn memory(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let limit = descriptors_max()?;
    if limit < SUBSCRIBERS + SPARE {
        let needed = SUBSCRIBERS + SPARE;
        return Err(format!("a process may have {limit} open files here, and {needed} are needed").into());
    }
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        // A new server each round: memory that was used once is not given back.
        let served = Served::start(setup.arguments.engine, false).await?;
        let pid = served.server.pid();
        let address = served.address;
        ours.push(growth(address, "/api/updates/real-time", move || resident_bytes(pid)).await?);
        drop(served);
        let nchan = Nchan::start(SUBSCRIBERS as u64)?;
        let (address, process) = (nchan.address, &nchan.process);
        let before = process.resident_bytes()?;
        let fleet = fleet(address, "/sub/idle").await?;
        let after = process.resident_bytes()?;
        tokio::task::spawn_blocking(move || fleet.finish()).await??;
        reference.push(per_subscriber(before, after));
    }
    Ok(vec![Row {
        name: "stream-idle".to_owned(),
        work: "10 000 subscribers that wait: resident memory each".to_owned(),
        ours: Figure::new("server", "bytes", ours)?,
        reference: Some(Figure::new("nchan", "bytes", reference)?),
        bound: Some(Bound::AtMost(10_000.0)),
    }])
}

async fn growth(
    address: SocketAddr,
    path: &'static str,
    resident: impl Fn() -> Result<u64, Failure>,
) -> Result<f64, Failure> {
    let before = resident()?;
    let fleet = fleet(address, path).await?;
    let after = resident()?;
    tokio::task::spawn_blocking(move || fleet.finish()).await??;
    Ok(per_subscriber(before, after))
}

fn per_subscriber(before: u64, after: u64) -> f64 {
    (after as f64 - before as f64) / SUBSCRIBERS as f64
}

async fn fleet(address: SocketAddr, path: &'static str) -> Result<Fleet, Failure> {
    let connect = move || {
        let requests = std::iter::repeat_n(subscribe(path, None), SUBSCRIBERS).collect();
        let fleet = Fleet::start(address, requests, Expect::All { after: 0 })?;
        fleet.opened(SUBSCRIBERS, CONNECT_MAX)?;
        std::thread::sleep(REST);
        Ok(fleet)
    };
    tokio::task::spawn_blocking(connect).await?
}

/// How many files a process may have open.
fn descriptors_max() -> Result<usize, Failure> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).ok_or("the limit is not told")?;
    Ok(soft.parse().unwrap_or(usize::MAX))
}
