//! What a store must do. The text of these traits is the contract; the conformance suite
//! (`testing::conformance`, feature `testing`) proves it. A store around another is a [`StoreWrapper`].
//!
//! # Calls that are given up
//!
//! A call may be dropped at any `await` in it: its caller has left, or it took too long. To ensure correctness, an
//! implementation must then leave nothing half done: a commit has landed whole, will land whole, or never will; the head of
//! the log is let go of; a connection that was in the middle of something is not used for anything else.
//!
//! [`TradeService`](crate::service::TradeService) drops each call that takes longer than
//! [`ServiceOptions::store_call_max`](crate::service::ServiceOptions::store_call_max), but for [`EventLog::changed`], which
//! may wait for ever. A store has limits of its own that are shorter, so that its errors say what it was waiting for. A
//! commit that is dropped counts as [`StoreErrorKind::OutcomeUnknown`], anything else as [`StoreErrorKind::Unavailable`].
//! A panic in a call is survived as well: it counts as [`StoreErrorKind::OutcomeUnknown`] in a commit, and otherwise as
//! [`StoreErrorKind::Internal`]. What the service cannot end is a call that blocks its thread.

mod access;
mod commit;

mod error;
mod query;
mod wrapper;

pub use access::Access;
pub use commit::{
    Commit, Head, Keys, LedgerWrite, Loaded, LogRecord, Receipt, Span, StockRow, StockWrite, Write,
};
pub use error::{StoreError, StoreErrorKind};
pub use query::{
    CargoFilter, CargoQuery, InventoryPage, InventoryQuery, LedgerPosition, LedgerQuery, Page, StationQuery,
    TimeRange, TradeFilter, TradeQuery,
};

pub use wrapper::StoreWrapper;

use crate::command::RequestId;
use crate::resource::{Cargo, Inventory, LedgerEntry, Sequence, Trade};
use crate::values::{ShipmentId, StationId, Timestamp, TransactionId};
use async_trait::async_trait;
use std::sync::Arc;

/// Reads trades.
#[async_trait]
pub trait TradeRepository: Send + Sync {
    /// One trade, as the newest commit left it.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn trade(&self, id: &TransactionId) -> Result<Option<Arc<Trade>>, StoreError>;

    /// A page of trades, newest (by creation sequence) first.
    ///
    /// To ensure that a page costs the same with a thousand trades and ten million, an implementation must serve each
    /// filter from an index, and read a bounded number of rows where filters are combined; a page may then be short
    /// and still name a next position. So may one of a scope: it costs a search for each station of it, and beyond that
    /// the same however many these are, and however many trades are none of theirs.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn trades(&self, query: &TradeQuery) -> Result<Page<Arc<Trade>, Sequence>, StoreError>;

    /// Up to `limit` trades that are initiated, whose `expires_at` is before or at `now`, and whose cargo is pending.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn expired_trades(&self, now: Timestamp, limit: usize) -> Result<Vec<TransactionId>, StoreError>;
}

/// Reads shipments.
#[async_trait]
pub trait CargoRepository: Send + Sync {
    /// One shipment, as the newest commit left it.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn cargo(&self, id: &ShipmentId) -> Result<Option<Arc<Cargo>>, StoreError>;

    /// A page of shipments, newest (by creation sequence) first; bounded as [`TradeRepository::trades`] is.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn cargo_list(&self, query: &CargoQuery) -> Result<Page<Arc<Cargo>, Sequence>, StoreError>;

    /// The sequences of up to `limit` events about a shipment that come after `after`, ascending, its creation
    /// included. Empty for an unknown shipment.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn cargo_history(
        &self,
        id: &ShipmentId,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Sequence>, StoreError>;
}

/// Reads stations, their stock, and the stock ledger.
#[async_trait]
pub trait InventoryRepository: Send + Sync {
    /// One station with some of its items. The station and its items must be of one moment.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn inventory(
        &self,
        id: &StationId,
        query: &InventoryQuery,
    ) -> Result<Option<InventoryPage>, StoreError>;

    /// A page of stations, newest (by creation sequence) first, each with its first items.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn inventory_list(&self, query: &StationQuery) -> Result<Page<Inventory, Sequence>, StoreError>;

    /// A page of the ledger rows that leave or enter a station, or are listed at it
    /// ([`LedgerWrite::listed_at`]), newest first. Bounded as
    /// [`TradeRepository::trades`] is.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn ledger(
        &self,
        station: &StationId,
        query: &LedgerQuery,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError>;

    /// Up to `limit` rows of the whole ledger after a position, oldest first, for audits.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn ledger_after(
        &self,
        after: LedgerPosition,
        limit: usize,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError>;
}

/// Reads the log: every step ever committed, in commit order.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// The newest sequence, 0 for an empty log, and the time of the newest step.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn head(&self) -> Result<Head, StoreError>;

    /// The records that hold sequences after `after`, ascending and without a gap: at most `records_max`, and no
    /// further one once those read hold `bytes_max` bytes as the store keeps them. At least one, if there is one.
    ///
    /// The first record may begin at or before `after`. To ensure that a reader loses nothing, an implementation must
    /// make sequences visible in order: once a reader has seen N, no sequence ≤ N may appear later, whatever number
    /// of processes write.
    ///
    /// Whoever holds the head of the log reads by this what others wrote, while they wait: so it should not wait for those
    /// who read lists.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn read(
        &self,
        after: Sequence,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, StoreError>;

    /// Waits until another process may have written something after `after`. A hint: it may return early, and must
    /// return within a bounded time after such a write, or at once where that was before the call. A store that only
    /// this process can write may wait for ever.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot tell.
    async fn changed(&self, after: Sequence) -> Result<(), StoreError>;
}

/// A store as whoever reads it sees it.
pub trait StoreReader:
    TradeRepository + CargoRepository + InventoryRepository + EventLog + std::fmt::Debug
{
}

impl<S> StoreReader for S where
    S: TradeRepository + CargoRepository + InventoryRepository + EventLog + std::fmt::Debug + ?Sized
{
}

/// A store: the repositories, the log, and the one door through which everything is written.
#[async_trait]
pub trait Store: StoreReader {
    /// What kind of store it is, for messages: `sqlite`, `memory` …
    fn name(&self) -> &'static str;

    /// What is stored under these keys, and the head of the log, in a constant number of round trips. What is not
    /// stored is left out of the answer.
    ///
    /// To ensure correctness, everything must be of one moment: a commit whose reply was lost must not be able to change
    /// what is loaded here without its receipt being seen, and what was loaded before is kept as long as the head is the
    /// same.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn load(&self, keys: &Keys) -> Result<Loaded, StoreError>;

    /// Stores everything in `commit`, or nothing, and answers the new head of the log once it is durable.
    ///
    /// To ensure correctness, an implementation must, inside one atomic unit:
    /// - find every `expected` version, or absence, as it is stated, rows that are only read included — or find the
    ///   head of the log where it was loaded, which proves the same;
    /// - find absent, wherever the head is, every id that the commit creates a row for: it may never have been looked up;
    /// - find no receipt of any of its requests, and no stored head time after [`Commit::time_first`];
    /// - give out sequences in commit order, holding them to the end of the transaction. `commit` numbers its events
    ///   from `base.sequence + 1`; where the head has moved since, every sequence in it moves by as much.
    ///
    /// It need not know any rule: the rows are the fold of the events.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if something was not as expected: then nothing landed, for certain.
    /// [`StoreErrorKind::OutcomeUnknown`] if it may have landed. Any other kind only if nothing landed.
    ///
    /// Dropped before it returns, it may have landed, and may land later, if it then still can.
    async fn commit(&self, commit: &Commit) -> Result<Head, StoreError>;

    /// Waits for the head of the log, and holds it: until [`Held::commit`], or until it is dropped, nobody else
    /// commits, in this process or another. What is loaded meanwhile is what the commit finds.
    ///
    /// Busy servers that meet in the same rows would starve each other if every one of them only hoped to be faster;
    /// the service holds the head after its first conflict.
    ///
    /// Dropped before it returns, it holds nothing.
    ///
    /// # Errors
    /// [`StoreError`] if the head cannot be had; nothing is held then.
    async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError>;

    /// The time by a clock of the store's own, which all who share the store read; none where this process's clock is the
    /// only one.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be asked.
    async fn clock(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Up to `limit` receipts that name steps and whose request comes after `after`, ascending by it, without their answers:
    /// for audits. None only where there are no further ones.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn receipts(&self, after: Option<RequestId>, limit: usize) -> Result<Vec<Receipt>, StoreError>;

    /// Forgets up to `limit` receipts older than `before`, and answers how many those were.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be removed.
    async fn prune_receipts(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError>;
}

/// The head of the log, held for one commit.
#[async_trait]
pub trait Held: Send + std::fmt::Debug {
    /// Where the log ends, and will until this is let go of; none where the store would have to be asked.
    fn head(&self) -> Option<Head>;

    /// As [`Store::commit`], and lets go, whatever comes of it, also where it is dropped before it returns.
    ///
    /// # Errors
    /// As [`Store::commit`].
    async fn commit(self: Box<Self>, commit: &Commit) -> Result<Head, StoreError>;
}
