//! What every engine writes alike: which rows a commit makes and changes, and with which keys.
//!
//! How the rows reach the tables is the engine's affair; so is the transaction around them.

pub(crate) mod keys;
mod new_trades;
pub(crate) mod tables;

use crate::errors::Errors;
use crate::rows::stored;
use std::borrow::Cow;
use std::sync::Arc;
use trade_core::store::{Commit, Head, StoreError, StoreErrorKind};

pub(crate) const OPERATION: &str = "commit";

/// Rows of a table that are written in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RowSet {
    NewStations,
    ChangedStations,
    DescribedStations,
    Stock,
    ListedStock,
    NewTrades,
    ChangedTrades,
    NewCargo,
    ChangedCargo,
    Receipts,
    TradeItems,
    History,
    Ledger,
    Log,
    Moments,
    Head,
}

/// How rows are written.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) table: &'static str,
    pub(crate) columns: &'static [(&'static str, Kind)],
    pub(crate) written: Written,
}

/// The kind of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    Bytes,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is new.
    Inserted,
    /// It is new, or takes the place of the one with the same first columns, so many of them.
    Replaced { key: usize },
    /// The row whose first columns, so many of them, are the first values takes the others.
    Changed { key: usize },
    /// The row whose first column is the first value takes the others, if it has the version that is the last.
    ChangedFrom { version: &'static str },
}

impl RowSet {
    /// All of them, in the order of [`RowSet::shape`].
    pub(crate) const ALL: [Self; 16] = [
        Self::NewStations,
        Self::ChangedStations,
        Self::DescribedStations,
        Self::Stock,
        Self::ListedStock,
        Self::NewTrades,
        Self::ChangedTrades,
        Self::NewCargo,
        Self::ChangedCargo,
        Self::Receipts,
        Self::TradeItems,
        Self::History,
        Self::Ledger,
        Self::Log,
        Self::Moments,
        Self::Head,
    ];

    pub(crate) const fn shape(self) -> &'static Shape {
        &SHAPES[self as usize]
    }
}

macro_rules! shape {
    ($table:literal, $written:expr, $($column:ident $kind:ident),+) => {
        Shape { table: $table, columns: &[$((stringify!($column), Kind::$kind)),+], written: $written }
    };
}

static SHAPES: [Shape; 16] = [
    shape!("tn_station", Written::Inserted, sequence Int, id Text, name Text, metadata Text, on_hand_total Text,
        item_count Int, updated_at Int, version Int),
    shape!("tn_station", Written::ChangedFrom { version: "version" }, sequence Int, on_hand_total Text, item_count Int,
        updated_at Int, version Int, expected Int),
    shape!("tn_station", Written::ChangedFrom { version: "version" }, sequence Int, name Text, metadata Text,
        on_hand_total Text, item_count Int, updated_at Int, version Int, expected Int),
    shape!("tn_stock", Written::Replaced { key: 2 }, station Int, item Text, on_hand Int, reserved Int, incoming Int),
    shape!("tn_stock", Written::Changed { key: 2 }, station Int, item Text, on_hand Int, reserved Int, incoming Int),
    shape!("tn_trade", Written::Inserted, sequence Int, id Text, buyer Int, seller Int, item_lines Text, settlement Int,
        status Int, expires_at Int, metadata Text, created_at Int, updated_at Int, version Int, cargo Int, moved Int),
    shape!("tn_trade", Written::Changed { key: 1 }, sequence Int, status Int, updated_at Int, version Int),
    shape!("tn_cargo", Written::Inserted, sequence Int, trade Int, id Text, origin Int, destination Int, item_lines Text,
        status Int, eta Int, requested_eta Int, location Text, metadata Text, requested_metadata Text, expires_at Int,
        created_at Int, updated_at Int, version Int),
    shape!("tn_cargo", Written::Changed { key: 1 }, sequence Int, status Int, eta Int, location Text, metadata Text,
        requested_metadata Text, updated_at Int, version Int),
    shape!("tn_receipt", Written::Inserted, request Bytes, fingerprint Bytes, time Int, first Int, last Int,
        answer Bytes),
    shape!("tn_trade_item", Written::Inserted, item Text, sequence Int),
    shape!("tn_cargo_history", Written::Inserted, cargo Int, sequence Int),
    shape!("tn_ledger", Written::Inserted, sequence Int, place Int, time Int, item Text, quantity Int, from_place Int,
        to_place Int, reason Int, cargo Int, listed_at Int),
    shape!("tn_log", Written::Inserted, last Int, record Bytes),
    shape!("tn_moment", Written::Replaced { key: 1 }, time Int, last Int),
    shape!("tn_head", Written::Changed { key: 1 }, one Int, sequence Int, time Int),
];

/// A value of a row.
#[derive(Debug, Clone)]
pub(crate) enum Cell<'c> {
    Int(Option<i64>),
    Text(Option<Cow<'c, str>>),
    /// An id, shared and not copied.
    Id(Arc<str>),
    Bytes(Option<Cow<'c, [u8]>>),
}

impl Cell<'_> {
    /// A quantity, a version, a sequence, a code.
    pub(crate) fn number(value: impl Into<u64>) -> Self {
        Self::Int(Some(stored(value.into())))
    }

    /// An id.
    pub(crate) fn id<'i, I>(id: &'i I) -> Self
    where
        Arc<str>: From<&'i I>,
    {
        Self::Id(id.into())
    }
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<Option<i64>> for Cell<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}

impl<'c> From<Option<&'c str>> for Cell<'c> {
    fn from(text: Option<&'c str>) -> Self {
        Self::Text(text.map(Cow::Borrowed))
    }
}

impl From<Option<String>> for Cell<'_> {
    fn from(text: Option<String>) -> Self {
        Self::Text(text.map(Cow::Owned))
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::Text(Some(Cow::Owned(text)))
    }
}

impl<'c> From<Option<&'c [u8]>> for Cell<'c> {
    fn from(bytes: Option<&'c [u8]>) -> Self {
        Self::Bytes(bytes.map(Cow::Borrowed))
    }
}

impl From<Vec<u8>> for Cell<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Some(Cow::Owned(bytes)))
    }
}

/// Takes the rows of a commit.
pub(crate) trait Sink {
    /// Whether levels that the store lists are changed ([`RowSet::ListedStock`]), which costs some engines less than to
    /// write them as if they might be new ([`RowSet::Stock`]).
    const CHANGES_STOCK: bool;

    /// Adds rows of a set, as many values each as its shape has columns. Called once a set.
    fn add<'r, const N: usize>(&mut self, set: RowSet, rows: impl ExactSizeIterator<Item = [Cell<'r>; N]>);
}

/// Something in a commit that no store could write: whoever made it has a defect.
#[derive(Debug)]
pub(crate) struct Defect(pub(crate) String);

impl Defect {
    pub(crate) fn in_store<E: Errors>(self) -> StoreError {
        StoreError::new(StoreErrorKind::Internal, E::NAME, OPERATION, self.0)
    }
}

/// As [`Commit::shift_to`].
pub(crate) fn shift_to<E: Errors>(stored_head: Head, commit: &Commit) -> Result<u64, StoreError> {
    let conflict = |detail| StoreError::new(StoreErrorKind::Conflict, E::NAME, OPERATION, detail);
    commit.shift_to(stored_head).map_err(conflict)
}

/// How rows that were written compare with those that should have been; `short` is what it means if a row found
/// nothing to change.
pub(crate) fn whole<E: Errors>(changed: u64, expected: u64, short: StoreErrorKind) -> Result<(), StoreError> {
    if changed == expected {
        return Ok(());
    }
    let detail = format!("{changed} rows were written instead of {expected}");
    Err(StoreError::new(short, E::NAME, OPERATION, detail))
}

/// A key past the head that is taken is no other commit's: that one would have moved the head.
pub(crate) fn no_conflict(mut error: StoreError) -> StoreError {
    if error.kind == StoreErrorKind::Conflict {
        error.kind = StoreErrorKind::Corrupt;
        error.detail = "there are rows past the head of the log".into();
    }
    error
}
