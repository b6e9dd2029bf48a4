//! Validated values: a wrong argument does not compile, a bad one does not parse.

mod id;
mod label;
mod metadata;
mod money;
mod quantity;
mod scope;
mod timestamp;

#[cfg(feature = "schema")]
pub(crate) use id::PATTERN as ID_PATTERN;
pub(crate) use id::ascending;
pub use id::{ItemId, ShipmentId, StationId, TransactionId};
pub use label::Label;
pub use metadata::Metadata;
pub(crate) use money::Worth;
pub use money::{Amount, Currency, Money, MoneySum, TotalOutOfRange};
pub use quantity::{Delta, Quantity, UNITS_MAX};
pub use scope::{Scope, StationSet};
pub use timestamp::Timestamp;

use std::fmt;

/// A value outside its documented form. The text says what was expected, without repeating the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub String);

impl InvalidValue {
    /// Makes the error from what was expected.
    pub fn new(detail: impl Into<String>) -> Self {
        Self(detail.into())
    }
}

/// Reads a value back from the text that a store keeps of it: an id, a label, a word.
///
/// `TryFrom<&str>` takes what somebody asks for now; this takes whatever any version took. So what was once acknowledged
/// stays readable where a rule became stricter: ids could be `.` and `..` once. It is what [`serde::Deserialize`] reads.
///
/// # Errors
/// [`InvalidValue`] if no version could have stored it.
pub fn from_stored<'t, T: serde::Deserialize<'t>>(text: &'t str) -> Result<T, InvalidValue> {
    let text = serde::de::value::BorrowedStrDeserializer::<serde::de::value::Error>::new(text);
    T::deserialize(text).map_err(|error| InvalidValue(error.to_string()))
}

/// Reads a text that a deserializer holds.
pub(crate) struct Reading<F>(pub(crate) F);

impl<T, F: FnOnce(&str) -> Result<T, InvalidValue>> serde::de::Visitor<'_> for Reading<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

/// Serializes through `Display`-like text and deserializes through `TryFrom<&str>`, or through a function that takes
/// more than that.
macro_rules! serde_as_text {
    ($name:ty) => {
        crate::values::serde_as_text!($name, Self::try_from);
    };
    ($name:ty, $read:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(crate::values::Reading(|text: &str| $read(text)))
            }
        }
        impl std::str::FromStr for $name {
            type Err = InvalidValue;
            fn from_str(text: &str) -> Result<Self, InvalidValue> {
                Self::try_from(text)
            }
        }
    };
}
pub(crate) use serde_as_text;
