//! `trade-network`: the server as a program, with `verify`, `clock`, `keys` and `import-legacy` beside it.

mod clock;
#[cfg(feature = "mongodb")]
mod import;
mod keys;
mod log;
mod logins;
mod metrics;
mod serve;
mod settings;
mod tls;
mod verify;

use settings::Task;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use trade_core::store::Access;
use trade_network::store::{OpenError, Opened, StoreOptions};

/// What became of the program: its exit code, and for a failure the one line that says why.
type Ended = Result<(), Failure>;

/// Why the program ends with another code than 0.
#[derive(Debug)]
enum Failure {
    /// It was told something that makes no sense: code 2.
    Usage(String),
    /// It could not do what it was told: code 1.
    Failed(String),
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Address(line) => Self::Usage(line),
            OpenError::Store(line) => Self::Failed(line),
        }
    }
}

fn main() -> ExitCode {
    let task = settings::read(std::env::args_os().skip(1), |name| std::env::var_os(name));
    let ended = match task {
        Err(line) => Err(Failure::Usage(line)),
        Ok(Task::Help) => {
            say(settings::HELP.trim_end());
            Ok(())
        }
        Ok(Task::Version) => {
            say(concat!("trade-network ", env!("CARGO_PKG_VERSION")));
            Ok(())
        }
        Ok(Task::Serve(settings)) => run(serve::run(*settings)),
        Ok(Task::Verify { store }) => run(verify::run(store)),
        Ok(Task::Clock { store, into }) => run(clock::run(store, into)),
        Ok(Task::Keys { store, command }) => run(keys::run(store, command)),
        #[cfg(feature = "mongodb")]
        Ok(Task::Import(import)) => run(import::run(*import)),
        #[cfg(not(feature = "mongodb"))]
        Ok(Task::Import(import)) => Err(Failure::Usage(format!(
            "import-legacy from {}: this build has no MongoDB: that is a feature of cargo",
            trade_network::store::without_password(&import.from)
        ))),
    };
    let (line, code) = match ended {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Failed(line)) => (line, ExitCode::FAILURE),
        Err(Failure::Usage(line)) => (line, ExitCode::from(2)),
    };
    // There is nobody left to tell where standard error is closed.
    let _ = writeln!(std::io::stderr(), "trade-network: {}", line.replace('\n', " "));
    code
}

/// A line on standard output. A reader that went away is no reason to fail.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn run(task: impl Future<Output = Ended>) -> Ended {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("no runtime: {error}")))?;
    let ended = runtime.block_on(task);
    // What is still running was given its time to end; a thread that hangs in a store must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

/// Opens the store of a setting.
async fn open(url: &str, access: Access, options: &StoreOptions) -> Result<Opened, Failure> {
    Ok(Opened::open(url, access, options).await?)
}
