//! Cursors: where a page ended, as a word that its client need not understand.
//!
//! The first letter names the kind of list. What ends it stands for the list and its filters, so that the cursor of one
//! is refused by another. All of it is letters, digits and `-`, which need no encoding in a URL.

use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use trade_core::access::KeyId;
use trade_core::resource::Sequence;
use trade_core::store::LedgerPosition;
use trade_core::values::{ItemId, from_stored};

/// What a cursor belongs to: one list with its filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listing(u32);

impl Listing {
    /// Of a path and the parameters that narrow the list, in any order; so are the values of a parameter.
    pub(crate) fn of<'p>(path: &str, narrowed: impl Iterator<Item = (&'p str, &'p str)>) -> Self {
        let values = |(name, list): (&'p str, &'p str)| (name, list.split(',').collect::<BTreeSet<_>>());
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(path);
        for (name, values) in narrowed.map(values).collect::<BTreeMap<_, _>>() {
            add(name);
            values.into_iter().for_each(&mut add);
        }
        let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
        Self(u32::from_be_bytes([a, b, c, d]))
    }

    fn encode(self, position: &impl Cursor) -> String {
        format!("{}-{:08x}", position.encode(), self.0)
    }

    /// The position in a cursor of this list.
    fn decode<P: Cursor>(self, text: &str) -> Option<P> {
        let (position, _) = text.rsplit_once('-')?;
        P::decode(position).filter(|position| self.encode(position) == text)
    }
}

/// A page of a list: where it begins, and how it says where it ends.
#[derive(Debug)]
pub(crate) struct Paging<P> {
    /// Where the page before ended.
    pub(crate) from: Option<P>,
    listing: Listing,
}

impl<P: Cursor> Paging<P> {
    /// Of a list, after a cursor where there is one; none where that is of another list.
    pub(crate) fn new(listing: Listing, cursor: Option<&str>) -> Option<Self> {
        let from = cursor.map(|cursor| listing.decode(cursor).ok_or(())).transpose().ok()?;
        Some(Self { from, listing })
    }

    /// The cursor of the page that follows this one, which ends here.
    pub(crate) fn next(&self, end: &P) -> String {
        self.listing.encode(end)
    }
}

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

/// In the list of API keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyCursor(pub(crate) KeyId);

impl Cursor for KeyCursor {
    fn encode(&self) -> String {
        format!("k{}", self.0)
    }

    fn decode(text: &str) -> Option<Self> {
        KeyId::new(text.strip_prefix('k')?).ok().map(Self)
    }
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
        let id = Self(from_stored(&String::from_utf8(bytes.collect::<Option<_>>()?).ok()?).ok()?);
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
        for item in ["A-z_0.9:x", ".", ".."] {
            let item = ItemCursor(from_stored(item).unwrap());
            assert_eq!(ItemCursor::decode(&item.encode()), Some(item));
        }
    }

    #[test]
    fn a_cursor_holds_for_its_list_and_filters_in_any_order() {
        let listing =
            |path, narrowed: &[(&'static str, &'static str)]| Listing::of(path, narrowed.iter().copied());
        let filters = [("itemId", "a,b"), ("station", "c")];
        let cursor = listing("/t", &filters).encode(&TradeCursor(7));
        for same in [filters, [("station", "c"), ("itemId", "b,a")], [("itemId", "a,b,a"), ("station", "c")]]
        {
            assert_eq!(listing("/t", &same).decode(&cursor), Some(TradeCursor(7)), "{same:?}");
        }
        for (path, other) in [
            ("/u", &filters[..]),
            ("/t", &filters[..1]),
            ("/t", &[("itemId", "ab"), ("station", "c")]),
            ("/t", &[("itemId", "a"), ("station", "b,c")]),
        ] {
            assert_eq!(listing(path, other).decode::<TradeCursor>(&cursor), None, "{path} {other:?}");
        }
        for bad in ["", "-", "t7", &cursor.to_uppercase(), &format!("{cursor}0")] {
            assert_eq!(listing("/t", &filters).decode::<TradeCursor>(bad), None, "{bad}");
        }
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
