//! Replays a wholesaler's invoices — the *Online Retail* data set — through the library or a running server.
//!
//! ```text
//! cargo run --release --example replay -- [--store URL | --url URL] [--dates ORDER] [--report FILE] [FILE]
//! ```
//!
//! How lines become commands:
//! - An invoice is a trade from station `warehouse` to its customer's (`customer-17850`), or to its country's where it
//!   names no customer (`country-United-Kingdom`). Its number is the `transactionId`, its prices are pounds, and its
//!   time is the shipment's `ETA`; `createdAt` is the network's clock. An invoice of several customers is several
//!   trades: `536365`, `536365.2` …
//! - A cancellation (`C…`) is a trade back, from the customer to the warehouse.
//! - A negative quantity without one, and a positive one at price 0 without a customer and with no article named, are
//!   stock corrections: adjustments of the warehouse, with the reason its remark gives, otherwise `correction`. Other
//!   lines at price 0 are trades at that price.
//! - Codes that are no goods (`POST`, `M`, `BANK CHARGES` …) and lines that cannot be booked are left out, counted by
//!   reason, and told by their numbers. A file of which nothing would be taken, or most be left out for one reason, or for
//!   several but that it is no goods, is not replayed at all.
//!
//! Before that, every station opens with the stock it needs for the file to be applied in its order. A run that was
//! killed is finished by the same command; another file into the same store is refused.

#![allow(clippy::print_stderr)]

mod arguments;
mod check;
mod dates;
mod http;
mod ids;
mod input;
mod library;
mod line;
mod plan;
mod records;
mod report;
mod run;
mod summary;
mod target;

use arguments::{Into, Task};
use http::Server;
use library::Library;
use plan::Plan;
use report::Report;
use run::Refusal;
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use summary::Summary;
use target::Target;
use trade_network::store::{OpenError, without_password};

/// Why there is no summary.
enum Failure {
    /// Bad arguments.
    Usage(String),
    /// The file cannot be read, or the network does not answer.
    Failed(String),
}

#[tokio::main]
async fn main() -> ExitCode {
    let (line, code) = match replay().await {
        Ok(good) => return if good { ExitCode::SUCCESS } else { ExitCode::FAILURE },
        Err(Failure::Failed(line)) => (line, ExitCode::FAILURE),
        Err(Failure::Usage(line)) => (line, ExitCode::from(2)),
    };
    eprintln!("replay: {line}");
    code
}

/// Replays, and tells whether everything is as it should be.
async fn replay() -> Result<bool, Failure> {
    let (into, file, dates, report) =
        match arguments::read(std::env::args_os().skip(1)).map_err(Failure::Usage)? {
            Task::Help => {
                let _ = write!(std::io::stdout(), "{}", arguments::HELP);
                return Ok(true);
            }
            Task::Replay { into, file, dates, report } => (into, file, dates, report),
        };
    let from = file.as_ref().map_or_else(|| "standard input".into(), |path| path.display().to_string());
    let unreadable = |error: &dyn Error| Failure::Failed(format!("{from} cannot be read: {error}"));
    let input = input::open(file.as_deref()).map_err(|error| unreadable(&error))?;
    let mut report = Report::new(report.as_deref(), file.as_deref()).map_err(Failure::Failed)?;
    // Before the file is read: a mistake in the address should not take a large file to show.
    let (target, into) = open(into).await?;
    let planned =
        tokio::task::block_in_place(|| input::plan(input, dates)).map_err(|error| unreadable(&*error));
    let ended = match planned {
        Err(failure) => Err(failure),
        Ok(plan) => send(&plan, &*target, &mut report, (&from, &into)).await,
    };
    target.close().await;
    ended
}

async fn open(into: Into) -> Result<(Box<dyn Target>, String), Failure> {
    match into {
        Into::Store(url) => {
            let library = Library::open(&url).await.map_err(|error| match error {
                OpenError::Address(line) => Failure::Usage(line),
                OpenError::Store(line) => Failure::Failed(line),
            })?;
            Ok((Box::new(library), without_password(&url)))
        }
        Into::Server(url) => Ok((Box::new(Server::new(&url).map_err(Failure::Usage)?), url)),
    }
}

/// Sends a plan, unless most of its file is lost, and prints what came of it.
async fn send(
    plan: &Plan,
    target: &dyn Target,
    report: &mut Report,
    (from, into): (&str, &str),
) -> Result<bool, Failure> {
    let skipped = plan.tally.skipped.iter().map(|(line, reason)| (*line, &**reason));
    report.add(skipped).map_err(Failure::Failed)?;
    if plan.tally.is_mostly_lost() {
        return Err(Failure::Failed(format!(
            "{from} is not replayed: {}",
            summary::mostly_lost(&plan.tally)
        )));
    }
    let failed = |error: target::Failure| Failure::Failed(error.to_string());
    let outcome = run::run(plan, target).await.map_err(failed)?;
    let refused = outcome.refusals.iter().flat_map(|Refusal { words, lines }| {
        let reason = format!("in a trade that the network refused, {words}");
        lines.iter().map(move |line| (*line, reason.clone()))
    });
    report.add(refused).map_err(Failure::Failed)?;
    let checked = check::check(plan, target).await.map_err(failed)?;
    let report = report.path();
    let summary = Summary { from, into, plan, outcome: &outcome, checked: &checked, report };
    // A reader that went away does not change whether stock adds up.
    let _ = writeln!(std::io::stdout(), "{summary}");
    Ok(summary.is_good())
}
