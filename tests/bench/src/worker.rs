//! A part of a load as a process of its own: a service over a store that other processes write to as well.
//!
//! The process tells that it is ready, begins at a line on its input, and tells its rate.

use crate::arguments::Arguments;
use crate::engine::{Engine, STATIONS};
use crate::report::Failure;
use std::io::Write;
use std::process::Stdio;
use tests::load::{Network, Shape};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// What a worker does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The address of the store.
    pub(crate) url: String,
    pub(crate) callers: u64,
    /// The number of its first trade.
    pub(crate) first: u64,
}

const READY: &str = "ready";

/// A running worker. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(engine: Engine, part: &Part, seconds: f64) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--engine", engine.name(), "--worker", &part.url]);
        command.args(["--callers", &part.callers.to_string(), "--first", &part.first.to_string()]);
        command.args(["--seconds", &seconds.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let input = child.stdin.take().ok_or("a worker has an input")?;
        let output = child.stdout.take().ok_or("a worker has an output")?;
        let mut worker = Self { child, input, output: BufReader::new(output).lines() };
        match worker.line().await?.as_str() {
            READY => Ok(worker),
            other => Err(format!("a worker says {other:?}").into()),
        }
    }

    async fn line(&mut self) -> Result<String, Failure> {
        match self.output.next_line().await? {
            Some(line) => Ok(line),
            None => Err(format!("a worker ended: {}", self.child.wait().await?).into()),
        }
    }

    /// Lets it work: its trades per second.
    pub(crate) async fn work(mut self) -> Result<f64, Failure> {
        self.input.write_all(b"\n").await?;
        let rate = self.line().await?.parse()?;
        let status = self.child.wait().await?;
        if status.success() { Ok(rate) } else { Err(format!("a worker ends with {status}").into()) }
    }
}

/// The process itself.
pub(crate) async fn run(arguments: &Arguments, part: &Part) -> Result<(), Failure> {
    let store = arguments.engine.open(&part.url).await?;
    let network = Network::join(store.store(), Shape::spread(STATIONS), part.first).await;
    say(READY)?;
    let begun = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    if begun == 0 {
        return Err("nobody waits for it".into());
    }
    let rate = network.trades_per_second(part.callers, arguments.duration).await;
    network.service.shutdown().await;
    store.close().await;
    say(&rate.to_string())
}

fn say(line: &str) -> Result<(), Failure> {
    let mut output = std::io::stdout();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}
