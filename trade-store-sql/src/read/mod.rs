//! What every engine reads alike.

pub(crate) mod cargo;
pub(crate) mod columns;
pub(crate) mod ends;
#[cfg(test)]
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod every_read;
pub(crate) mod inventory;
pub(crate) mod ledger;
pub(crate) mod list;
pub(crate) mod load;
pub(crate) mod log;
pub(crate) mod receipts;
pub(crate) mod trades;
