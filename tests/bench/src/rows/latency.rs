//! How long a trade takes when the network is half busy.

use super::Setup;
use crate::report::{Failure, Figure, Row, quantile};
use std::time::Duration;
use tests::load::Network;
use tokio::time::{Instant, sleep_until};

/// How often due trades are submitted.
const TICK: Duration = Duration::from_millis(1);

/// At half of the highest rate, by a clock that does not wait for answers.
pub(super) async fn at_half(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let duration = setup.arguments.duration;
    let opened = setup.arguments.engine.network().await?;
    let (mut highest, mut middle, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        let rate = opened.network.trades_per_second(1_024, duration).await;
        let mut latencies = paced(&opened.network, rate / 2.0, duration).await?;
        latencies.sort();
        let at = |share| quantile(&latencies, share).map(|latency: Duration| latency.as_secs_f64() * 1e3);
        highest.push(rate);
        middle.push(at(0.5).ok_or("no trade was due")?);
        late.push(at(0.99).ok_or("no trade was due")?);
    }
    opened.close().await;
    let highest = Figure::new("half of", "trades/s", highest)?;
    let row = |name: &str, what, rounds| {
        Ok::<_, Failure>(Row {
            name: format!("latency-half/{name}"),
            work: format!(
                "library, at half of {:.0} trades/s, from due to answered",
                highest.rounds.median()
            ),
            ours: Figure::new(what, "ms", rounds)?,
            reference: None,
            bound: None,
        })
    };
    Ok(vec![row("p50", "p50", middle)?, row("p99", "p99", late)?])
}

/// Submits trades when they are due, and answers how long after that each was answered.
async fn paced(network: &Network, rate: f64, duration: Duration) -> Result<Vec<Duration>, Failure> {
    let begin = Instant::now();
    let mut tasks = Vec::new();
    let mut due = Duration::ZERO;
    while due < duration {
        sleep_until(begin + due).await;
        while due <= begin.elapsed() && due < duration {
            let (network, at) = (network.clone(), begin + due);
            tasks.push(tokio::spawn(async move {
                let answer = network.service.submit(network.next_trade()).await;
                answer.map(|_| at.elapsed())
            }));
            due = Duration::from_secs_f64(tasks.len() as f64 / rate);
        }
        sleep_until(Instant::now() + TICK).await;
    }
    let mut latencies = Vec::with_capacity(tasks.len());
    for task in tasks {
        latencies.push(task.await??);
    }
    Ok(latencies)
}
