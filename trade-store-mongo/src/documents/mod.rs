//! The form of each document: a trade and a shipment as on the wire, but with `_id` in the place of their id, times as
//! dates, money as decimals, and the sequence of their creation beside it.
//!
//! What a document holds was checked before it was written; a value outside its range, or of another type, is damage,
//! and told as such.

pub(crate) mod api_key;
pub(crate) mod cargo;
pub(crate) mod head;
pub(crate) mod history;
pub(crate) mod ledger;
pub(crate) mod log;
pub(crate) mod money;
pub(crate) mod receipt;
pub(crate) mod station;
pub(crate) mod stock;
pub(crate) mod trade;

use crate::classify::NAME;
use crate::schema::VERSION;
use mongodb::bson::raw::CString;
use mongodb::bson::{DateTime, RawArray, RawBsonRef, RawDocument, RawDocumentBuf};
use serde::Deserialize;
use std::fmt::Display;
use trade_core::access::{InvalidKey, KeyId};
use trade_core::record::InvalidRecord;
use trade_core::store::{StoreError, StoreErrorKind};
use trade_core::values::{Metadata, Timestamp, from_stored};

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// No version has written it.
    Damaged(String),
    /// The record that ends at this sequence cannot be.
    Record(InvalidRecord, u64),
    /// The record of this key cannot be.
    Key(InvalidKey, KeyId),
    /// The collections were brought up to this version, which is newer.
    Newer(i64),
}

impl Unreadable {
    pub(crate) fn damaged(detail: impl Into<String>) -> Self {
        Self::Damaged(detail.into())
    }
}

pub(crate) type Decoded<T> = Result<T, Unreadable>;

/// Turns a document that cannot be read into the store's error.
pub(crate) fn failed(operation: &'static str) -> impl Fn(Unreadable) -> StoreError + Copy {
    move |unreadable| match unreadable {
        Unreadable::Damaged(detail) => StoreError::new(StoreErrorKind::Corrupt, NAME, operation, detail),
        Unreadable::Record(error, last) => error.in_store(NAME, operation, last),
        Unreadable::Key(error, id) => error.in_store(NAME, operation, &id),
        Unreadable::Newer(version) => {
            let detail = format!(
                "the database was brought up to date by a newer version: it has version {version}, and {VERSION} is \
                 the newest one known"
            );
            StoreError::new(StoreErrorKind::NewerVersion, NAME, operation, detail)
        }
    }
}

/// The error of something in a commit that cannot be written, which is a defect.
pub(crate) fn unwritable(operation: &'static str) -> impl Fn(Unreadable) -> StoreError + Copy {
    move |defect| StoreError { kind: StoreErrorKind::Internal, ..failed(operation)(defect) }
}

/// A number as a document keeps it. What is too large for it fails the validators.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A moment as a document keeps it.
pub(crate) fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.millis())
}

/// Metadata as a document keeps it.
///
/// # Errors
/// [`Unreadable`] where a name has a NUL in it, which none has.
pub(crate) fn metadata(metadata: &Metadata) -> Decoded<RawDocumentBuf> {
    let mut document = RawDocumentBuf::new();
    for (name, text) in metadata.iter() {
        document.append(CString::try_from(name).map_err(damaged("metadata"))?, text);
    }
    Ok(document)
}

pub(crate) fn damaged<E: Display>(field: &'static str) -> impl Fn(E) -> Unreadable {
    move |error| Unreadable::damaged(format!("{field} {error}"))
}

/// Reads a document's fields.
pub(crate) trait Fields {
    /// A field that may be absent.
    fn maybe(&self, field: &'static str) -> Decoded<Option<RawBsonRef<'_>>>;

    /// A field.
    fn field(&self, field: &'static str) -> Decoded<RawBsonRef<'_>> {
        self.maybe(field)?.ok_or_else(|| Unreadable::damaged(format!("{field} is absent")))
    }

    /// A number.
    fn signed(&self, field: &'static str) -> Decoded<i64> {
        match self.field(field)? {
            RawBsonRef::Int64(number) => Ok(number),
            RawBsonRef::Int32(number) => Ok(number.into()),
            other => Err(other_type(field, &other)),
        }
    }

    /// A number that is never negative.
    fn count(&self, field: &'static str) -> Decoded<u64> {
        let number = self.signed(field)?;
        u64::try_from(number).map_err(|_| Unreadable::damaged(format!("{field} is negative")))
    }

    /// A moment that may be absent.
    fn maybe_time(&self, field: &'static str) -> Decoded<Option<Timestamp>> {
        match self.maybe(field)? {
            None => Ok(None),
            Some(RawBsonRef::DateTime(time)) => {
                Timestamp::from_millis(time.timestamp_millis()).map(Some).map_err(damaged(field))
            }
            Some(other) => Err(other_type(field, &other)),
        }
    }

    /// A moment.
    fn time(&self, field: &'static str) -> Decoded<Timestamp> {
        self.maybe_time(field)?.ok_or_else(|| Unreadable::damaged(format!("{field} is absent")))
    }

    /// A checked text that may be absent: an id, a label, a word.
    fn maybe_text<'d, T>(&'d self, field: &'static str) -> Decoded<Option<T>>
    where
        T: Deserialize<'d>,
    {
        match self.maybe(field)? {
            None => Ok(None),
            Some(RawBsonRef::String(text)) => from_stored(text).map(Some).map_err(damaged(field)),
            Some(other) => Err(other_type(field, &other)),
        }
    }

    /// A checked text.
    fn text<'d, T>(&'d self, field: &'static str) -> Decoded<T>
    where
        T: Deserialize<'d>,
    {
        self.maybe_text(field)?.ok_or_else(|| Unreadable::damaged(format!("{field} is absent")))
    }

    /// A document.
    fn document(&self, field: &'static str) -> Decoded<&RawDocument> {
        let value = self.field(field)?;
        value.as_document().ok_or_else(|| other_type(field, &value))
    }

    /// Metadata, where there is any.
    fn maybe_metadata(&self, field: &'static str) -> Decoded<Option<Metadata>> {
        if self.maybe(field)?.is_none() {
            return Ok(None);
        }
        let mut members = Vec::new();
        for member in self.document(field)?.iter() {
            let (name, value) = member.map_err(|error| Unreadable::damaged(error.to_string()))?;
            let text = value.as_str().ok_or_else(|| other_type(field, &value))?;
            members.push((name.to_string(), text.to_owned()));
        }
        Metadata::new(members).map(Some).map_err(damaged(field))
    }

    /// A list.
    fn list(&self, field: &'static str) -> Decoded<&RawArray> {
        let value = self.field(field)?;
        value.as_array().ok_or_else(|| other_type(field, &value))
    }

    /// Bytes that may be absent.
    fn maybe_bytes(&self, field: &'static str) -> Decoded<Option<&[u8]>> {
        match self.maybe(field)? {
            None => Ok(None),
            Some(RawBsonRef::Binary(binary)) => Ok(Some(binary.bytes)),
            Some(other) => Err(other_type(field, &other)),
        }
    }

    /// Bytes.
    fn bytes(&self, field: &'static str) -> Decoded<&[u8]> {
        self.maybe_bytes(field)?.ok_or_else(|| Unreadable::damaged(format!("{field} is absent")))
    }
}

impl Fields for RawDocument {
    fn maybe(&self, field: &'static str) -> Decoded<Option<RawBsonRef<'_>>> {
        self.get(field).map_err(damaged(field))
    }
}

fn other_type(field: &'static str, value: &RawBsonRef<'_>) -> Unreadable {
    Unreadable::damaged(format!("{field} is of type {:?}", value.element_type()))
}

/// The documents in a list.
pub(crate) fn documents<'d, T>(
    field: &'static str,
    list: &'d RawArray,
    read: impl Fn(&'d RawDocument) -> Decoded<T>,
) -> Decoded<Vec<T>> {
    let element = |element: Result<RawBsonRef<'d>, _>| {
        let element = element.map_err(damaged(field))?;
        read(element.as_document().ok_or_else(|| other_type(field, &element))?)
    };
    list.into_iter().map(element).collect()
}
