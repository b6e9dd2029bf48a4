//! The benchmark table: what the network does, as ratios to references that are measured in the same run.
//!
//! `./tests/bench/run` installs what the references need, builds everything, and runs it.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod certificate;
mod client;
mod database;
mod engine;
mod environment;
mod process;
mod reference;
mod report;
mod rows;
mod worker;

use arguments::{Arguments, USAGE};
use database::Kind;
use environment::Environment;
use futures::FutureExt;
use report::{Failure, Outcome, Report};
use rows::{Setup, WORKS, Work};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

const INTERRUPTED: u8 = 130;
const USED_WRONGLY: u8 = 2;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(lexopt::Parser::from_env()) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(USED_WRONGLY);
        }
    };
    let works: Vec<_> = WORKS.iter().filter(|work| arguments.wants(work.name)).collect();
    if works.is_empty() {
        eprintln!("no row is called so; --list names them");
        return ExitCode::from(USED_WRONGLY);
    }
    if arguments.list || arguments.needs || arguments.help {
        list(&works, &arguments);
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match &arguments.worker {
            Some(part) => worker::run(&arguments, part).await.map(|()| ExitCode::SUCCESS),
            None => run(arguments, &works).await,
        }
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells what is asked for instead of a measurement. The needs come first: they are asked for with the other options.
fn list(works: &[&Work], arguments: &Arguments) {
    if arguments.needs {
        // What only tells something needs nothing.
        if !arguments.list && !arguments.help {
            let needs = works.iter().flat_map(|work| work.needs).map(|need| need.name());
            needs.chain(arguments.engine.server().map(Kind::name)).for_each(|need| println!("{need}"));
        }
    } else if arguments.help {
        println!("{USAGE}");
    } else {
        works.iter().for_each(|work| println!("{}", work.name));
    }
}

async fn run(arguments: Arguments, works: &[&Work]) -> Result<ExitCode, Failure> {
    let (engine, rounds, seconds) =
        (arguments.engine.name(), arguments.rounds, arguments.duration.as_secs_f64());
    let environment =
        Environment::gather(format!("engine {engine}, {rounds} rounds of {seconds} s for each side"));
    let json = arguments.json.clone();
    let setup = Setup::new(arguments);
    let mut report = Report { environment, results: Vec::new() };
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    for work in works {
        eprintln!("{} …", work.name);
        // What a row started ends when its future is dropped.
        let outcome = tokio::select! {
            outcome = measure(work, &setup) => outcome,
            _ = interrupt.recv() => return Ok(ExitCode::from(INTERRUPTED)),
            _ = terminate.recv() => return Ok(ExitCode::from(INTERRUPTED)),
        };
        report.results.push((work.name, outcome));
    }
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_vec_pretty(&report.json())?)?;
    }
    println!("{}", report.markdown());
    Ok(if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn measure(work: &Work, setup: &Setup) -> Outcome {
    let missing = setup.arguments.engine.server().and_then(Kind::missing);
    let missing = missing.or_else(|| work.needs.iter().find_map(|need| need.missing(&setup.arguments)));
    if let Some(why) = missing {
        return Outcome::LeftOut(why);
    }
    match AssertUnwindSafe((work.measure)(setup)).catch_unwind().await {
        Ok(Ok(rows)) => Outcome::Measured(rows),
        Ok(Err(failure)) => Outcome::Failed(failure.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Outcome::Failed(text.unwrap_or_else(|| "it panicked".to_owned()))
        }
    }
}
