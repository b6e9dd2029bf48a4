//! What a subscriber costs that only waits.

use super::Setup;
use super::server::Served;
use super::stream::{STREAM, subscribe};
use crate::certificate::Certificate;
use crate::client::Peer;
use crate::client::fleet::{Expect, Fleet};
use crate::process::resident_bytes;
use crate::reference::nchan::Nchan;
use crate::report::{Bound, Failure, Figure, Row};
use std::time::Duration;

pub(super) const SUBSCRIBERS: usize = 10_000;
/// Descriptors beside those of the subscribers.
const SPARE: usize = 500;
const CONNECT_MAX: Duration = Duration::from_secs(120);
/// After the last connection, until what was needed to open them is free again.
const REST: Duration = Duration::from_secs(1);

/// The memory of ten thousand streams.
pub(super) async fn memory(setup: &Setup) -> Result<Vec<Row>, Failure> {
    check_descriptors()?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        // A new server each round: memory that was used once is not given back.
        let served = Served::start(setup.arguments.engine, false).await?;
        ours.push(of_server(&served, subscribers(served.address.into(), STREAM)).await?);
        drop(served);
        reference.push(of_nchan(None).await?);
    }
    Ok(vec![Row {
        name: "stream-idle".to_owned(),
        work: "10 000 subscribers that wait: resident memory each".to_owned(),
        ours: Figure::new("server", "bytes", ours)?,
        reference: Some(Figure::new("nchan", "bytes", reference)?),
        bound: Some(Bound::AtMost(10_000.0)),
    }])
}

/// The same over TLS.
pub(super) async fn memory_over_tls(setup: &Setup) -> Result<Vec<Row>, Failure> {
    check_descriptors()?;
    let certificate = Certificate::new()?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        let (served, peer) = Served::start_with_tls(setup.arguments.engine, &certificate).await?;
        ours.push(of_server(&served, subscribers(peer, STREAM)).await?);
        drop(served);
        reference.push(of_nchan(Some(&certificate)).await?);
    }
    Ok(vec![Row {
        name: "stream-idle-tls".to_owned(),
        work: "10 000 subscribers over TLS 1.3 that wait: resident memory each".to_owned(),
        ours: Figure::new("server", "bytes", ours)?,
        reference: Some(Figure::new("nchan", "bytes", reference)?),
        bound: Some(Bound::RatioAtMost(1.0)),
    }])
}

/// What our server takes for each subscriber.
pub(super) async fn of_server(
    served: &Served,
    connect: impl FnOnce() -> Result<Fleet, Failure> + Send + 'static,
) -> Result<f64, Failure> {
    let pid = served.server.pid();
    growth(|| resident_bytes(pid), connect).await
}

async fn of_nchan(certificate: Option<&Certificate>) -> Result<f64, Failure> {
    let nchan = Nchan::start(SUBSCRIBERS as u64, certificate)?;
    growth(|| nchan.process.resident_bytes(), subscribers(nchan.peer.clone(), "/sub/idle")).await
}

async fn growth(
    resident: impl Fn() -> Result<u64, Failure>,
    connect: impl FnOnce() -> Result<Fleet, Failure> + Send + 'static,
) -> Result<f64, Failure> {
    let before = resident()?;
    let connected = tokio::task::spawn_blocking(move || {
        let fleet = connect()?;
        fleet.opened(SUBSCRIBERS, CONNECT_MAX)?;
        std::thread::sleep(REST);
        Ok::<_, Failure>(fleet)
    });
    let fleet = connected.await??;
    let after = resident()?;
    tokio::task::spawn_blocking(move || fleet.finish()).await??;
    Ok((after as f64 - before as f64) / SUBSCRIBERS as f64)
}

/// Connects subscribers, each with a connection of its own.
pub(super) fn subscribers(peer: Peer, path: &'static str) -> impl FnOnce() -> Result<Fleet, Failure> + Send {
    move || {
        let requests = std::iter::repeat_n(subscribe(path, None), SUBSCRIBERS).collect();
        Fleet::start(peer, requests, Expect::All { after: 0 })
    }
}

/// Whether a process may have as many files open as are needed.
pub(super) fn check_descriptors() -> Result<(), Failure> {
    let (limit, needed) = (descriptors_max()?, SUBSCRIBERS + SPARE);
    if limit < needed {
        return Err(format!("a process may have {limit} open files here, and {needed} are needed").into());
    }
    Ok(())
}

/// How many files a process may have open.
fn descriptors_max() -> Result<usize, Failure> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).ok_or("the limit is not told")?;
    Ok(soft.parse().unwrap_or(usize::MAX))
}
