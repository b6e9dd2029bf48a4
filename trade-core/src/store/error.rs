use std::error::Error;

/// What went wrong in a store, by what the caller should do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Something changed since it was loaded, and nothing landed: load and decide again.
    Conflict,
    /// The commit may have landed or not: look its receipts up.
    OutcomeUnknown,
    /// The store cannot be reached, is locked by another, or has no space: try again later.
    Unavailable,
    /// It is more than the store takes at once, and nothing landed: ask for it in parts.
    TooLarge,
    /// What is stored contradicts itself: restore a backup.
    Corrupt,
    /// The store cannot do what is asked of it, or may not be written: use another.
    Unsupported,
    /// A newer version of the program has written to it, or brought it up to date, and nothing landed: use that one.
    NewerVersion,
    /// A defect: report it.
    Internal,
}

impl StoreErrorKind {
    /// Its name in metrics, such as `conflict`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::Unavailable => "unavailable",
            Self::TooLarge => "too-large",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
            Self::NewerVersion => "newer-version",
            Self::Internal => "internal",
        }
    }
}

/// An error of a store.
#[derive(Debug, thiserror::Error)]
#[error("{store}: {operation}: {detail}")]
pub struct StoreError {
    /// What to do about it.
    pub kind: StoreErrorKind,
    /// Which store.
    pub store: &'static str,
    /// What it was doing.
    pub operation: &'static str,
    /// What happened, in words for an operator. Never sent to a client.
    pub detail: String,
    /// The driver's error.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error without a driver's error behind it.
    pub fn new(
        kind: StoreErrorKind,
        store: &'static str,
        operation: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self { kind, store, operation, detail: detail.into(), source: None }
    }

    /// The same with the driver's error behind it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the same commit may succeed when it is decided again at once.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Conflict | StoreErrorKind::OutcomeUnknown)
    }
}
