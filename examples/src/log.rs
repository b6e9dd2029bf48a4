//! Lines of the log, on standard error.

use crate::settings::LogFormat;
use std::io::IsTerminal;
use std::time::Duration;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Lines that wait for whoever reads them; more are dropped.
const LINES_MAX: usize = 16_384;
/// How often lines that were dropped are told of.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// The log. What waits is written when this is dropped, if somebody reads it.
pub(crate) struct Log {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

impl Log {
    /// Begins the log. A thread of its own writes it, so that nobody waits for a pipe that is not read.
    pub(crate) fn begin(filter: EnvFilter, format: LogFormat) -> Self {
        let (writer, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(LINES_MAX)
            .lossy(true)
            .thread_name("log")
            .finish(std::io::stderr());
        let dropped = writer.error_counter();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(writer);
        match format {
            LogFormat::Pretty => subscriber.init(),
            LogFormat::Json => subscriber.json().init(),
        }
        Self { dropped, _writer: guard }
    }

    /// Tells, for ever, how many lines were dropped.
    pub(crate) async fn tell_losses(&self) -> std::convert::Infallible {
        let mut told = 0;
        loop {
            tokio::time::sleep(TELL_INTERVAL).await;
            let dropped = self.dropped.dropped_lines();
            if dropped > told {
                tracing::warn!(
                    lines = dropped - told,
                    "the log was not read in time, and lines of it were dropped"
                );
                told = dropped;
            }
        }
    }
}
