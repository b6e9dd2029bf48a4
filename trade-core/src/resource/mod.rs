//! The three resources — trades, cargo, inventory — and the stock ledger, as they are stored and as they are
//! written in JSON.

mod cargo;
mod inventory;
mod ledger;
mod line;
mod trade;

pub use cargo::{Cargo, CargoStatus};
pub use inventory::{Inventory, Station, StockItem, StockLevel};
pub use ledger::{LedgerEntry, MovementReason, Place};
pub use line::{Line, Lines, LinesError};
pub use trade::{Settlement, Trade, TradeStatus};

/// Counts the changes of a trade, a shipment or a station: 1 when it is made, +1 with every change.
pub type Version = u64;
/// The position of an event in the log of a network: 1, 2, 3 … without gaps.
pub type Sequence = u64;

/// An enum that is one word everywhere: in JSON, in a query, in a row.
macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $(
                $(#[$variant_doc])*
                #[doc = ""]
                #[doc = concat!("As a word: `", $word, "`.")]
                #[serde(rename = $word)]
                $variant,
            )+
        }

        impl $name {
            /// Every value, in declaration order. A value's place here is its code in a store, and never changes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that stands for it in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The number that stands for it in a store.
            pub fn code(self) -> u8 {
                self as u8
            }

            /// The value of a number that a store kept.
            pub fn from_code(code: u8) -> Option<Self> {
                Self::ALL.get(usize::from(code)).copied()
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let words: Vec<_> = Self::ALL.iter().map(|value| value.as_str()).collect();
                let description = concat!($($doc),+).trim();
                schemars::json_schema!({ "description": description, "type": "string", "enum": words })
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $crate::values::InvalidValue;
            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| {
                    let words: Vec<_> = Self::ALL.iter().map(|value| value.as_str()).collect();
                    $crate::values::InvalidValue::new(format!("must be one of {}", words.join(", ")))
                })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;
