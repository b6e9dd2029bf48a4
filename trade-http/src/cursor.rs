//! Cursors: where a page ended, as a word that its client need not understand.
//!
//! The first letter names the list, so that the cursor of one is refused by another; what follows is hexadecimal, and
//! so needs no encoding in a URL.

use std::fmt::Write;
use trade_core::resource::Sequence;
use trade_core::store::LedgerPosition;
use trade_core::values::ItemId;

/// A position in one kind of list.
pub(crate) trait Cursor: Sized {
    /// As a word.
    fn encode(&self) -> String;
    /// Back from the word, if it is of this kind.
    fn decode(text: &str) -> Option<Self>;
}

macro_rules! sequence_cursor {
    ($($(#[$doc:meta])* $name:ident = $letter:literal,)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) Sequence);

        impl Cursor for $name {
            fn encode(&self) -> String {
                format!("{}{:x}", $letter, self.0)
            }

            fn decode(text: &str) -> Option<Self> {
                hex(text.strip_prefix($letter)?).map(Self)
            }
        }
    )+};
}

sequence_cursor! {
    /// In the list of trades.
    TradeCursor = 't',
    /// In the list of shipments.
    CargoCursor = 'c',
    /// In the list of stations.
    StationCursor = 's',
    /// In the history of a shipment.
    HistoryCursor = 'h',
}

/// In the ledger of a station.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LedgerCursor(pub(crate) LedgerPosition);

impl Cursor for LedgerCursor {
    fn encode(&self) -> String {
        format!("l{:x}-{:x}", self.0.sequence, self.0.index)
    }

    fn decode(text: &str) -> Option<Self> {
        let (sequence, index) = text.strip_prefix('l')?.split_once('-')?;
        let index = u32::try_from(hex(index)?).ok()?;
        Some(Self(LedgerPosition { sequence: hex(sequence)?, index }))
    }
}

/// In the items of a station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ItemCursor(pub(crate) ItemId);

impl Cursor for ItemCursor {
    fn encode(&self) -> String {
        self.0.as_str().bytes().fold("i".into(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn decode(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('i')?;
        let pairs = digits.as_bytes().chunks(2);
        let bytes = pairs.map(|pair| u8::try_from(hex(std::str::from_utf8(pair).ok()?)?).ok());
        let id = Self(ItemId::new(String::from_utf8(bytes.collect::<Option<_>>()?).ok()?).ok()?);
        (id.encode() == text).then_some(id)
    }
}

/// Lower-case digits, as `encode` writes them. No sequence needs the highest bit, which stores keep for a sign.
fn hex(text: &str) -> Option<u64> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let digits = !text.is_empty() && text.bytes().all(digit);
    digits
        .then(|| u64::from_str_radix(text, 16).ok())
        .flatten()
        .filter(|value| *value <= i64::MAX.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        assert_eq!(TradeCursor::decode(&TradeCursor(0xbeef).encode()), Some(TradeCursor(0xbeef)));
        let ledger = LedgerCursor(LedgerPosition { sequence: 7, index: 4_999 });
        assert_eq!(LedgerCursor::decode(&ledger.encode()), Some(ledger));
        let item = ItemCursor(ItemId::new("A-z_0.9:x").unwrap());
        assert_eq!(ItemCursor::decode(&item.encode()), Some(item));
    }

    #[test]
    fn another_lists_cursor_and_nonsense_are_refused() {
        for bad in ["", "t", "c1", "tF", "t+1", "t-1", "t1 ", "tffffffffffffffff", "1"] {
            assert_eq!(TradeCursor::decode(bad), None, "{bad}");
        }
        for bad in ["i", "i4", "i20", "iff", "i414", "i4A"] {
            assert_eq!(ItemCursor::decode(bad), None, "{bad}");
        }
        for bad in ["l1", "l1-", "l-1", "l1-100000000"] {
            assert_eq!(LedgerCursor::decode(bad), None, "{bad}");
        }
    }
}
