//! Stores that are wrong in one way each.
//!
//! A suite that has never failed proves nothing. Each [`Sabotage`] is a mistake that an adapter could make; wrapped
//! around a store that is right, it must make at least one case of the [`conformance`](super::conformance) suite fail.

mod store;

pub use store::Saboteur;

use super::conformance::StoreFactory;
use crate::store::Store;
use async_trait::async_trait;
use std::sync::Arc;

macro_rules! sabotages {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// One mistake.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Sabotage {
            $($(#[$doc])* $name,)+
        }

        impl Sabotage {
            /// Every mistake.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

sabotages! {
    /// Writes over whatever is there.
    IgnoresVersions,
    /// Takes every id for free as long as nobody else has written.
    TrustsTheHead,
    /// Checks what it writes, and not what was only read.
    IgnoresReadOnlyRows,
    /// Takes a request again although it has its receipt.
    IgnoresKnownReceipts,
    /// Does not keep every second receipt.
    ForgetsReceipts,
    /// Keeps a receipt without its answer.
    ForgetsAnswers,
    /// Keeps the receipts of a commit that it refuses.
    KeepsReceiptsOfConflicts,
    /// Says that nothing landed after something did.
    ReportsConflictAfterLanding,
    /// Says that it landed, and drops every tenth commit.
    LosesCommits,
    /// Applies every tenth commit once more.
    AppliesTwice,
    /// Takes a commit whose time is before the head's.
    LetsTimeRunBackwards,
    /// Numbers the rows of a commit by the head it was decided on, though the log moved on.
    ForgetsToShiftRows,
    /// Answers the head that the commit would have had.
    AnswersTheOldHead,
    /// Drops a record of the log.
    DropsARecord,
    /// Shows two records of the log in the wrong order.
    ReordersTheLog,
    /// Shows a late record before the one before it is visible.
    ShowsRecordsLate,
    /// Begins a read after the record that the position lies in.
    SkipsHalfReadRecords,
    /// Reads on past `records_max`.
    IgnoresRecordsMax,
    /// Reads on past `bytes_max`.
    IgnoresBytesMax,
    /// Never notices what another handle writes, and shows the head as it was a moment ago.
    ShowsAnOldHead,
    /// Shows a trade as it was when it was first read.
    ShowsOldTrades,
    /// Loads levels as they were before the newest commit.
    LoadsOldLevels,
    /// Stores a level one unit too high.
    MisstoresLevels,
    /// Lets more be reserved than there is: it forgets reservations.
    ForgetsReservations,
    /// Keeps quantities in a number of 32 bits of precision.
    RoundsQuantities,
    /// Drops a row of the ledger.
    DropsLedgerRows,
    /// Forgets later events of a shipment.
    DropsHistory,
    /// Keeps letters of ASCII only.
    StripsLabels,
    /// Forgets the arrival time that was asked for.
    ForgetsRequestedEta,
    /// Finds trades whatever the case of their id.
    IgnoresCase,
    /// Lists oldest first.
    ListsOldestFirst,
    /// Leaves out the last row of each page.
    LosesTheLastRowOfAPage,
    /// Ignores the time a list is narrowed to.
    IgnoresSince,
    /// Includes the end of the span a list is narrowed to.
    IncludesUntil,
    /// Ignores the item a list is narrowed to.
    IgnoresItemFilter,
    /// Lists shipments as late that have ended.
    IgnoresLate,
    /// Names a next page where nothing follows.
    NamesANextPageTooMany,
    /// Lists one item more than asked for.
    ListsTooManyItems,
    /// Ignores the items an inventory is narrowed to.
    IgnoresItems,
    /// Finds trades due that are under way.
    NeverForgetsExpiry,
    /// Finds nothing due.
    FindsNothingExpired,
    /// Prunes receipts that are at the limit too.
    PrunesTooMuch,
    /// Prunes without regard to the limit of a call.
    PrunesWithoutLimit,
    /// Loads no items of whole inventories.
    LoadsNoInventories,
    /// Loads everything but receipts.
    LoadsNoReceipts,
    /// Keeps the places of a receipt's steps as the commit was decided, though the log moved on.
    MisplacesReceipts,
    /// Lists one receipt less than there are.
    ListsTooFewReceipts,
}

/// Makes the stores of another factory wrong.
#[derive(Debug)]
pub struct SabotagedFactory<F> {
    factory: F,
    sabotage: Sabotage,
    head: Arc<tokio::sync::Mutex<()>>,
}

impl<F> SabotagedFactory<F> {
    /// `factory` makes stores that are right; `sabotage` is what is made wrong about them.
    pub fn new(factory: F, sabotage: Sabotage) -> Self {
        Self { factory, sabotage, head: Arc::default() }
    }

    fn wrap(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Saboteur::sharing(store, self.sabotage, self.head.clone()))
    }
}

#[async_trait]
impl<F: StoreFactory> StoreFactory for SabotagedFactory<F> {
    async fn open(&self) -> Arc<dyn Store> {
        self.wrap(self.factory.open().await)
    }

    async fn reopen(&self) -> Arc<dyn Store> {
        self.wrap(self.factory.reopen().await)
    }

    async fn close(&self) {
        self.factory.close().await;
    }
}
