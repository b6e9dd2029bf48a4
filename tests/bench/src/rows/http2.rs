//! Streams that share connections of HTTP/2, against our own that have one of HTTP/1.1 each.

use super::Setup;
use super::idle::{SUBSCRIBERS as IDLE, check_descriptors, of_server, subscribers};
use super::server::Served;
use super::stream::{RATE, STREAM, Source, open, rates};
use crate::client::Peer;
use crate::client::fleet::{Expect, Fleet};
use crate::client::http2::Streams;
use crate::report::{Bound, Failure, Figure, Row};

/// Streams of a connection.
const EACH: usize = 100;
const SUBSCRIBERS: usize = 1_000;
const REFERENCE: &str = "a connection of HTTP/1.1 each";

fn connect(peer: &Peer, streams: usize, after: u64) -> Result<Fleet, Failure> {
    let (address, connections) = (peer.address, streams / EACH);
    let streams = Streams { address, path: STREAM.to_owned(), connections, each: EACH };
    Fleet::start_http2(streams, Expect::All { after })
}

/// Deliveries per second, the next event being caused when the last one is with every subscriber.
pub(super) async fn rate(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let engine = setup.arguments.engine;
    let served = [Served::start(engine, false).await?, Served::start(engine, false).await?];
    let [shared, alone] = served.each_ref().map(|served| Peer::from(served.address));
    let measured = rates(setup, SUBSCRIBERS as u64, move || {
        let ((shared_source, _), (alone_source, _)) = (Source::ours(&shared)?, Source::ours(&alone)?);
        let fleet = connect(&shared, SUBSCRIBERS, shared_source.newest)?;
        let fleets = [open(fleet, SUBSCRIBERS as u64)?, alone_source.fleet(SUBSCRIBERS as u64, None)?];
        Ok(([shared_source, alone_source], fleets))
    });
    let [ours, reference] = measured.await?;
    Ok(vec![Row {
        name: "stream-http2".to_owned(),
        work: "1 000 subscribers, the next event when the last is everywhere".to_owned(),
        ours: Figure::new("10 connections of HTTP/2", RATE, ours)?,
        reference: Some(Figure::new(REFERENCE, RATE, reference)?),
        bound: Some(Bound::RatioAtLeast(0.5)),
    }])
}

/// The memory of ten thousand streams.
pub(super) async fn memory(setup: &Setup) -> Result<Vec<Row>, Failure> {
    check_descriptors()?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        // A new server each time: memory that was used once is not given back.
        let served = Served::start(setup.arguments.engine, false).await?;
        let peer = Peer::from(served.address);
        ours.push(of_server(&served, move || connect(&peer, IDLE, 0)).await?);
        drop(served);
        let served = Served::start(setup.arguments.engine, false).await?;
        reference.push(of_server(&served, subscribers(served.address.into(), STREAM)).await?);
    }
    Ok(vec![Row {
        name: "stream-idle-http2".to_owned(),
        work: "10 000 subscribers that wait: resident memory each".to_owned(),
        ours: Figure::new("100 connections of HTTP/2", "bytes", ours)?,
        reference: Some(Figure::new(REFERENCE, "bytes", reference)?),
        bound: Some(Bound::AtMost(12_000.0)),
    }])
}
