//! Ids: 1–128 characters of `A–Z a–z 0–9 . _ : -`, compared and ordered by bytes; no new one is `.` or `..`.

use super::{InvalidValue, serde_as_text};
use std::{fmt, sync::Arc};

const LENGTH_MAX: usize = 128;
/// The form of an id that somebody gives, as a regular expression: its first group leaves out `.` and `..`.
#[cfg(feature = "schema")]
pub(crate) const PATTERN: &str = r"^(\.{0,2}[A-Za-z0-9_:-]|\.{3})[A-Za-z0-9._:-]*$";
/// What the shipment id of a trade begins with; a transfer's may not.
const TRADE_SHIPMENT_PREFIX: &str = "shipment-";

fn check(text: &str, length_max: usize) -> Result<(), InvalidValue> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    if text.is_empty() || text.len() > length_max || !text.bytes().all(allowed) {
        return Err(InvalidValue(format!("must be 1 to {length_max} characters of A-Z a-z 0-9 . _ : -")));
    }
    Ok(())
}

/// In the path of a URL these two are steps to another path, and never arrive (RFC 3986 §5.2.4).
fn check_no_step(text: &str) -> Result<(), InvalidValue> {
    if matches!(text, "." | "..") {
        return Err(InvalidValue::new("must not be . or .., which no URL can name"));
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $length_max:expr) => {
        $(#[$doc])*
        ///
        /// Cheap to clone. Ordered by bytes, so `T-1` is not `t-1` on any store.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The most characters an id of this kind may have.
            pub const LENGTH_MAX: usize = $length_max;

            /// Checks and wraps an id that somebody gives. One that was stored is read by
            /// [`from_stored`](super::from_stored), or by serde.
            ///
            /// # Errors
            /// [`InvalidValue`] if it is empty, too long, holds another character, or is `.` or `..`.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
                check_no_step(text.as_ref())?;
                Self::of_any_version(text.as_ref())
            }

            /// The same for an id that a version before may have taken.
            fn of_any_version(text: &str) -> Result<Self, InvalidValue> {
                check(text, $length_max)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidValue;
            fn try_from(text: &str) -> Result<Self, InvalidValue> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&$name> for Arc<str> {
            fn from(id: &$name) -> Self {
                id.0.clone()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        serde_as_text!($name, Self::of_any_version);
    };
}

id!(
    /// Names a station: a place that holds stock, buys and sells.
    StationId,
    LENGTH_MAX
);
id!(
    /// Names an item of stock.
    ItemId,
    LENGTH_MAX
);
id!(
    /// Names a trade. At most 119 characters, so that `shipment-{id}` is an id too.
    TransactionId,
    LENGTH_MAX - TRADE_SHIPMENT_PREFIX.len()
);
id!(
    /// Names a shipment.
    ShipmentId,
    LENGTH_MAX
);

impl ShipmentId {
    /// The shipment of a trade: `shipment-{transactionId}`.
    pub fn of_trade(trade: &TransactionId) -> Self {
        // In range by construction: the prefix and at most 119 allowed characters.
        Self([TRADE_SHIPMENT_PREFIX, trade.as_str()].concat().into())
    }

    /// The trade whose shipment this is, if the id is that of one.
    pub fn trade(&self) -> Option<TransactionId> {
        TransactionId::of_any_version(self.0.strip_prefix(TRADE_SHIPMENT_PREFIX)?).ok()
    }

    /// Whether the id is of the form reserved for trades.
    pub fn is_reserved_for_trades(&self) -> bool {
        self.0.starts_with(TRADE_SHIPMENT_PREFIX)
    }
}

/// Sorts what has an id's text first in its order. The first characters are compared as one number, which most often
/// decides, without a look at the text behind each pointer.
pub(crate) fn ascending<T: Ord>(keys: Vec<T>, text: impl Fn(&T) -> &str) -> Vec<T> {
    let prefix = |key: &T| {
        let text = text(key).as_bytes();
        let mut first = [0; size_of::<u128>()];
        let length = text.len().min(first.len());
        // No id has a zero byte, so that a shorter one comes before those it begins.
        first[..length].copy_from_slice(&text[..length]);
        u128::from_be_bytes(first)
    };
    let mut prefixed: Vec<_> = keys.into_iter().map(|key| (prefix(&key), key)).collect();
    prefixed.sort();
    prefixed.into_iter().map(|(_, key)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::from_stored;

    #[test]
    fn a_trade_of_the_longest_id_has_a_shipment_of_the_longest_id() {
        let trade = TransactionId::new("x".repeat(119)).unwrap();
        assert_eq!(ShipmentId::new(ShipmentId::of_trade(&trade).as_str()).unwrap().as_str().len(), 128);
        assert!(TransactionId::new("x".repeat(120)).is_err());
    }

    #[test]
    fn ascending_is_the_order_of_bytes() {
        let ids = [
            "b",
            "a",
            "a-2",
            "a.1",
            "shipment-T-00001-b",
            "shipment-T-00001",
            "shipment-T-00001-a",
            "B",
            "a",
        ];
        let ids: Vec<_> = ids.iter().map(|id| ItemId::new(id).unwrap()).collect();
        let mut sorted = ids.clone();
        sorted.sort();
        assert_eq!(ascending(ids, ItemId::as_str), sorted);
    }

    #[test]
    fn what_a_url_takes_for_a_step_is_refused() {
        for bad in [".", ".."] {
            assert!(StationId::new(bad).is_err() && TransactionId::new(bad).is_err(), "{bad}");
        }
        for good in ["...", ".a", "a..", "-", ":"] {
            assert!(StationId::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_a_url_takes_for_a_step_is_read_where_it_was_stored() {
        for old in [".", ".."] {
            assert_eq!(from_stored::<ItemId>(old).unwrap().as_str(), old);
            let trade: TransactionId = serde_json::from_str(&format!("\"{old}\"")).unwrap();
            assert_eq!(ShipmentId::of_trade(&trade).trade(), Some(trade));
        }
        for bad in ["", "a b", "/"] {
            assert!(from_stored::<ItemId>(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn other_characters_are_refused() {
        for bad in ["", " ", "a b", "a/b", "ä", "a\n", "a\0", "a%"] {
            assert!(StationId::new(bad).is_err(), "{bad:?}");
        }
        assert!(StationId::new("A-z_0.9:x").is_ok());
        assert!(ItemId::new("x".repeat(129)).is_err());
    }
}
