//! Validated values: a wrong argument does not compile, a bad one does not parse.

mod id;
mod label;
mod money;
mod quantity;
mod timestamp;

pub(crate) use id::ascending;
pub use id::{ItemId, ShipmentId, StationId, TransactionId};
pub use label::Label;
pub(crate) use money::Worth;
pub use money::{Amount, Currency, Money, MoneySum, TotalOutOfRange};
pub use quantity::{Delta, Quantity, UNITS_MAX};
pub use timestamp::Timestamp;

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

/// Serializes through `Display`-like text and deserializes through `TryFrom<&str>`.
macro_rules! serde_as_text {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                Self::try_from(text.as_ref()).map_err(serde::de::Error::custom)
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
