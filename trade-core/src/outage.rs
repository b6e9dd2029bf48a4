//! Telling the operator of a failure that lasts: its beginning, its end, and a line a minute between.

use crate::store::StoreError;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How often a failure that lasts is told of again.
const REMINDER_INTERVAL: Duration = Duration::from_secs(60);

/// Something that the store does again and again, and that may fail for a while.
#[derive(Debug)]
pub(crate) struct Outage {
    /// What it does, for the log.
    what: &'static str,
    ongoing: Mutex<Option<Ongoing>>,
}

#[derive(Debug)]
struct Ongoing {
    since: Instant,
    told: Instant,
    failures: u64,
}

impl Outage {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, ongoing: Mutex::default() }
    }

    /// It failed.
    pub(crate) fn failed(&self, error: &StoreError) {
        let (what, now) = (self.what, Instant::now());
        let mut ongoing = self.ongoing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ongoing) = ongoing.as_mut() else {
            *ongoing = Some(Ongoing { since: now, told: now, failures: 1 });
            return tracing::warn!(%error, source = error.source.as_deref(), what, "the store fails; trying again");
        };
        ongoing.failures += 1;
        if now - ongoing.told >= REMINDER_INTERVAL {
            ongoing.told = now;
            let (seconds, failures) = ((now - ongoing.since).as_secs(), ongoing.failures);
            tracing::warn!(%error, what, seconds, failures, "the store still fails");
        }
    }

    /// It worked.
    pub(crate) fn worked(&self) {
        let over = self.ongoing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Ongoing { since, failures, .. }) = over {
            let (what, seconds) = (self.what, since.elapsed().as_secs());
            tracing::info!(what, seconds, failures, "the store works again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreErrorKind;
    use std::io::{self, Write};
    use std::sync::Arc;
    use tokio::time::advance;

    #[derive(Debug, Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_told_at_its_beginning_each_minute_and_at_its_end() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _log = tracing::subscriber::set_default(log);
        let outage = Outage::new("commit");
        outage.worked();
        let error = StoreError::new(StoreErrorKind::Unavailable, "sqlite", "commit", "it is gone");
        for _ in 0..300 {
            outage.failed(&error);
            advance(Duration::from_millis(500)).await;
        }
        outage.worked();
        outage.worked();
        outage.failed(&error);
        let told = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let told: Vec<_> = told.lines().collect();
        assert_eq!(told.len(), 5, "{told:#?}");
        assert!(told[0].contains("WARN") && told[0].contains("it is gone"), "{told:#?}");
        assert!(told[1].contains("seconds=60 failures=121") && told[2].contains("seconds=120"), "{told:#?}");
        assert!(told[3].contains("INFO") && told[3].contains("seconds=150 failures=300"), "{told:#?}");
        assert!(told[4].contains("trying again"), "{told:#?}");
    }
}
