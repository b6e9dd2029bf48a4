//! Far more than the queue holds.

use super::Setup;
use crate::process::resident_bytes;
use crate::report::{Bound, Failure, Figure, Row, quantile};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use std::time::{Duration, Instant};
use tests::load::Network;
use trade_core::service::{Answer, ServiceError};
use trade_core::store::{TradeFilter, TradeQuery};

/// Trades submitted as fast as they are taken or refused: twice what the queue holds, and sixteen times.
const BURST: usize = 1 << 17;
const GREAT_BURST: usize = 1 << 20;
/// After so many, the answers that are there are taken, and the memory is looked at.
const STRIDE: usize = 1 << 10;
const ANSWERED_MAX: Duration = Duration::from_secs(120);
const MIB: f64 = 1024.0 * 1024.0;
/// What the allocator may add by chance. A queue without bounds would add some 900 MiB.
const GROWTH_MIB_MAX: f64 = 32.0;

/// What is too much is refused at once, costs no memory, and what is accepted is served.
pub(super) async fn refusals(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let opened = setup.arguments.engine.network().await?;
    // The first one fills what is bounded and stays: recent events, the caches of the store.
    let mut accepted = burst(&opened.network, BURST).await?.accepted;
    let base = burst(&opened.network, BURST).await?;
    accepted += base.accepted;
    let (mut refused_us, mut grown_mib) = (Vec::new(), Vec::new());
    let mut last = None;
    for _ in 0..setup.arguments.rounds {
        let great = burst(&opened.network, GREAT_BURST).await?;
        accepted += great.accepted;
        refused_us.push(great.refused_us);
        grown_mib.push((great.resident_bytes as f64 - base.resident_bytes as f64).max(0.0) / MIB);
        last = Some(great);
    }
    let stored = stored(&opened.network).await?;
    if stored != accepted {
        return Err(format!("{accepted} trades were answered, {stored} are stored").into());
    }
    opened.close().await;
    let last = last.ok_or("there was no round")?;
    let (accepted, refused) = (last.accepted, last.refused);
    let work = format!("{GREAT_BURST} trades at once: {accepted} accepted and served, {refused} refused");
    let mut rows = vec![Row {
        name: "overload/refusal".to_owned(),
        work: work.clone(),
        ours: Figure::new("p99 of a refusal", "µs", refused_us)?,
        reference: None,
        bound: Some(Bound::AtMost(1_000.0)),
    }];
    // A store in memory grows by every trade that is served.
    if setup.arguments.engine.is_durable() {
        rows.push(Row {
            name: "overload/memory".to_owned(),
            work,
            ours: Figure::new(format!("growth over a burst of {BURST}"), "MiB", grown_mib)?,
            reference: None,
            bound: Some(Bound::AtMost(GROWTH_MIB_MAX)),
        });
    }
    Ok(rows)
}

struct Burst {
    refused_us: f64,
    /// At its highest.
    resident_bytes: u64,
    accepted: usize,
    refused: usize,
}

async fn burst(network: &Network, submitted: usize) -> Result<Burst, Failure> {
    let mut waiting = FuturesUnordered::new();
    // Written to once, so that the figures' own memory is there from the start.
    let mut refused_ns = vec![u32::MAX; submitted];
    let (mut accepted, mut refused, mut served, mut resident) = (0, 0, 0, 0);
    for number in 0..submitted {
        let (service, request) = (network.service.clone(), network.next_trade());
        let begin = Instant::now();
        let mut answer = Box::pin(async move { service.submit(request).await });
        match answer.as_mut().now_or_never() {
            None => {
                accepted += 1;
                waiting.push(answer);
            }
            Some(Err(ServiceError::Overloaded)) => {
                refused_ns[refused] = u32::try_from(begin.elapsed().as_nanos()).unwrap_or(u32::MAX);
                refused += 1;
            }
            // One that the committer was quicker with.
            Some(answer) => {
                accepted += 1;
                served += count(answer)?;
            }
        }
        if number % STRIDE == 0 {
            while let Some(Some(answer)) = waiting.next().now_or_never() {
                served += count(answer)?;
            }
            resident = resident.max(resident_bytes(std::process::id())?);
            tokio::task::yield_now().await;
        }
    }
    let rest = async {
        while let Some(answer) = waiting.next().await {
            served += count(answer)?;
            if served % STRIDE == 0 {
                resident = resident.max(resident_bytes(std::process::id())?);
            }
        }
        Ok::<_, Failure>(())
    };
    tokio::time::timeout(ANSWERED_MAX, rest).await??;
    if served != accepted || accepted == 0 || refused == 0 {
        return Err(format!("{accepted} accepted, {served} of them served, {refused} refused").into());
    }
    refused_ns.truncate(refused);
    refused_ns.sort_unstable();
    let p99 = quantile(&refused_ns, 0.99).ok_or("nothing was refused")?;
    Ok(Burst { refused_us: f64::from(p99) / 1e3, resident_bytes: resident, accepted, refused })
}

fn count(answer: Result<Answer, ServiceError>) -> Result<usize, Failure> {
    answer.map(|_| 1).map_err(|error| format!("accepted, and not served: {error}").into())
}

/// The trades a network holds, counted page by page.
async fn stored(network: &Network) -> Result<usize, Failure> {
    let (mut count, mut before) = (0, None);
    loop {
        let query = TradeQuery { filter: TradeFilter::default(), before, limit: 500 };
        let page = network.service.store().trades(&query).await?;
        count += page.rows.len();
        before = page.next;
        if before.is_none() {
            return Ok(count);
        }
    }
}
