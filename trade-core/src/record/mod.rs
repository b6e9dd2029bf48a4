//! The compact form of a [`Step`] that stores keep in their log. One immediate trade of one line takes some 150 bytes, a
//! tenth of the JSON of its four events.
//!
//! The first byte is the version of the form; the rest is postcard (<https://postcard.jamesmunns.com/wire-format>). Steps
//! are written in the newest form. Every form that was released has a module of its own, by which it is read for good:
//! a new form is a new module, and nothing in an old one is changed. The bytes that each has written are kept in
//! `tests/stored`.

mod v1;
mod v2;
mod v3;

use crate::step::Step;
use crate::store::{StoreError, StoreErrorKind};
use crate::values::InvalidValue;
use serde::Deserialize;
use std::fmt::Display;

/// The newest form.
const FORM: u8 = 3;

/// Bytes that are no log record, or one that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecord {
    /// They are not what any version has written.
    #[error("not a log record: {0}")]
    Damaged(String),
    /// They are of a form that this version does not know.
    #[error(
        "the log record was written by a newer version: it has form {0}, and {FORM} is the newest one known"
    )]
    Newer(u8),
}

impl InvalidRecord {
    fn damaged(detail: impl Display) -> Self {
        Self::Damaged(detail.to_string())
    }

    /// The error of a store that finds such a record, which ends at `last`, in its log.
    pub fn in_store(self, store: &'static str, operation: &'static str, last: u64) -> StoreError {
        let kind = match self {
            Self::Damaged(_) => StoreErrorKind::Corrupt,
            Self::Newer(_) => StoreErrorKind::NewerVersion,
        };
        let detail = format!("the log record that ends at {last} cannot be read: {self}");
        StoreError::new(kind, store, operation, detail).caused_by(self)
    }
}

impl From<InvalidValue> for InvalidRecord {
    fn from(error: InvalidValue) -> Self {
        Self::damaged(error)
    }
}

impl From<postcard::Error> for InvalidRecord {
    fn from(error: postcard::Error) -> Self {
        Self::damaged(error)
    }
}

impl Step {
    /// Writes the step as a log record.
    ///
    /// # Errors
    /// [`InvalidRecord::Damaged`] where it cannot be written, which is a defect: nothing must be stored then.
    pub fn encode(&self) -> Result<Vec<u8>, InvalidRecord> {
        Ok(postcard::to_extend(&v3::StepRecord::of(self), vec![FORM])?)
    }

    /// Reads a log record back, of whatever version.
    ///
    /// # Errors
    /// [`InvalidRecord`] if the bytes are damaged or of a newer form.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidRecord> {
        match bytes.split_first() {
            Some((1, body)) => whole::<v1::StepRecord<'_>>(body)?.read(),
            Some((2, body)) => whole::<v2::StepRecord<'_>>(body)?.read(),
            Some((&FORM, body)) => whole::<v3::StepRecord<'_>>(body)?.read(),
            Some((&form, _)) if form > FORM => Err(InvalidRecord::Newer(form)),
            _ => Err(InvalidRecord::damaged("it is empty, or of no form")),
        }
    }
}

/// What all of these bytes are.
fn whole<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T, InvalidRecord> {
    match postcard::take_from_bytes(bytes)? {
        (record, []) => Ok(record),
        (_, rest) => Err(InvalidRecord::damaged(format!("{} bytes are behind it", rest.len()))),
    }
}
