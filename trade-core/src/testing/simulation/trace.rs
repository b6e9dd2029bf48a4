//! What happened, in order, and when.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// Everything that a simulation did, a line each: the same for the same seed. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    begun: Instant,
    lines: Arc<Mutex<String>>,
}

impl Trace {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), lines: Arc::default() }
    }

    /// Notes something, with the virtual time.
    pub(super) fn note(&self, what: fmt::Arguments<'_>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let micros = self.begun.elapsed().as_micros();
        // Writing to a text does not fail.
        let _ = writeln!(lines, "{:>6}.{:03} ms  {what}", micros / 1_000, micros % 1_000);
    }

    pub(super) fn text(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
