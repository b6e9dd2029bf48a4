//! Stores around other stores.

use super::{
    CargoQuery, CargoRepository, Commit, EventLog, Head, Held, InventoryPage, InventoryQuery,
    InventoryRepository, Keys, LedgerPosition, LedgerQuery, Loaded, LogRecord, Page, Receipt, StationQuery,
    Store, StoreError, TradeQuery, TradeRepository,
};
use crate::command::RequestId;
use crate::resource::{Cargo, Inventory, LedgerEntry, Sequence, Trade};
use crate::values::{ShipmentId, StationId, Timestamp, TransactionId};
use async_trait::async_trait;
use std::fmt::Debug;
use std::sync::Arc;

/// Declares [`StoreWrapper`], and implements the traits of a store by it and for `Arc`, from one list of their methods.
/// `name` and `hold` of [`Store`] are of another form than the rest, and written out.
macro_rules! store_wrapper {
    ($(
        $of:ident {
            $(fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*
        }
        $(+ for wrappers { $($of_wrappers:tt)* } + for arcs { $($of_arcs:tt)* })?
    )*) => {
        /// A store around another, which it calls `inner`. What is implemented here is a [`Store`].
        ///
        /// Each method passes its call on. A wrapper writes only those that are to do something else, as plain `async fn`s.
        /// To do the same around every call it writes [`pass_on`](Self::pass_on).
        ///
        /// There are two ways to commit, [`commit`](Self::commit) and [`Held::commit`], and `pass_on` sees both. A wrapper
        /// that writes `commit` must write `hold` too: a held head would go around it.
        ///
        /// The methods have the names of the store's. Where both traits are in scope, a call on the wrapper itself names the
        /// one that is meant: `Store::commit(self, …)`.
        ///
        /// ```
        /// use std::sync::Arc;
        /// use std::sync::atomic::{AtomicU64, Ordering};
        /// use trade_core::command::{CreateStation, Request};
        /// use trade_core::memory::MemoryStore;
        /// use trade_core::service::TradeService;
        /// use trade_core::store::{Store, StoreError, StoreWrapper};
        ///
        /// /// Counts its commits.
        /// #[derive(Debug)]
        /// struct Counting {
        ///     inner: Arc<dyn Store>,
        ///     commits: AtomicU64,
        /// }
        ///
        /// impl StoreWrapper for Counting {
        ///     fn inner(&self) -> &dyn Store {
        ///         &*self.inner
        ///     }
        ///
        ///     async fn pass_on<T: Send>(
        ///         &self,
        ///         operation: &'static str,
        ///         call: impl Future<Output = Result<T, StoreError>> + Send,
        ///     ) -> Result<T, StoreError> {
        ///         if operation == "commit" {
        ///             self.commits.fetch_add(1, Ordering::Relaxed);
        ///         }
        ///         call.await
        ///     }
        /// }
        ///
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// let store = Arc::new(Counting { inner: Arc::new(MemoryStore::new()), commits: AtomicU64::new(0) });
        /// let service = TradeService::start(store.clone()).await?;
        /// service.submit(Request::new(CreateStation::new("ceres".try_into()?))).await?;
        /// service.shutdown().await;
        /// assert_eq!(store.commits.load(Ordering::Relaxed), 1);
        /// # Ok(())
        /// # }
        /// ```
        pub trait StoreWrapper: Debug + Send + Sync {
            /// The store inside.
            fn inner(&self) -> &dyn Store;

            /// What becomes of a call that is passed on. Nothing is asked of the store inside before `call` is awaited.
            /// `operation` is the name of the method; the commit of a held head is `commit` as well.
            fn pass_on<T: Send>(
                &self,
                operation: &'static str,
                call: impl Future<Output = Result<T, StoreError>> + Send,
            ) -> impl Future<Output = Result<T, StoreError>> + Send {
                let _ = operation;
                call
            }

            /// As [`Store::name`].
            fn name(&self) -> &'static str {
                self.inner().name()
            }

            /// As [`Store::hold`]. The commit of what is held is passed on as well.
            fn hold(&self) -> impl Future<Output = Result<Box<dyn Held + '_>, StoreError>> + Send {
                async move {
                    let held = self.pass_on("hold", async move { self.inner().hold().await }).await?;
                    Ok(Box::new(HeldInside { wrapper: self, held }) as Box<dyn Held + '_>)
                }
            }

            $($(
                #[doc = concat!("As [`", stringify!($of), "::", stringify!($name), "`].")]
                fn $name(&self, $($arg: $type),*) -> impl Future<Output = Result<$answer, StoreError>> + Send {
                    self.pass_on(stringify!($name), async move { self.inner().$name($($arg),*).await })
                }
            )*)*
        }

        $(
            #[async_trait]
            impl<W: StoreWrapper> $of for W {
                $(
                    async fn $name(&self, $($arg: $type),*) -> Result<$answer, StoreError> {
                        StoreWrapper::$name(self, $($arg),*).await
                    }
                )*
                $($($of_wrappers)*)?
            }

            /// A store that is shared is a store.
            #[async_trait]
            impl<S: Store + ?Sized> $of for Arc<S> {
                $(
                    async fn $name(&self, $($arg: $type),*) -> Result<$answer, StoreError> {
                        S::$name(self, $($arg),*).await
                    }
                )*
                $($($of_arcs)*)?
            }
        )*
    };
}

store_wrapper! {
    TradeRepository {
        fn trade(id: &TransactionId) -> Option<Arc<Trade>>;
        fn trades(query: &TradeQuery) -> Page<Arc<Trade>, Sequence>;
        fn expired_trades(now: Timestamp, limit: usize) -> Vec<TransactionId>;
    }
    CargoRepository {
        fn cargo(id: &ShipmentId) -> Option<Arc<Cargo>>;
        fn cargo_list(query: &CargoQuery) -> Page<Arc<Cargo>, Sequence>;
        fn cargo_history(id: &ShipmentId, after: Sequence, limit: usize) -> Vec<Sequence>;
    }
    InventoryRepository {
        fn inventory(id: &StationId, query: &InventoryQuery) -> Option<InventoryPage>;
        fn inventory_list(query: &StationQuery) -> Page<Inventory, Sequence>;
        fn ledger(station: &StationId, query: &LedgerQuery) -> Page<LedgerEntry, LedgerPosition>;
        fn ledger_after(after: LedgerPosition, limit: usize) -> Page<LedgerEntry, LedgerPosition>;
    }
    EventLog {
        fn head() -> Head;
        fn read(after: Sequence, records_max: usize, bytes_max: usize) -> Vec<LogRecord>;
        fn changed(after: Sequence) -> ();
    }
    Store {
        fn load(keys: &Keys) -> Loaded;
        fn commit(commit: &Commit) -> Head;
        fn clock() -> Option<Timestamp>;
        fn receipts(after: Option<RequestId>, limit: usize) -> Vec<Receipt>;
        fn prune_receipts(before: Timestamp, limit: usize) -> u64;
    }
    + for wrappers {
        fn name(&self) -> &'static str {
            StoreWrapper::name(self)
        }

        async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
            StoreWrapper::hold(self).await
        }
    }
    + for arcs {
        fn name(&self) -> &'static str {
            S::name(self)
        }

        async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
            S::hold(self).await
        }
    }
}

/// The head of the log of the store inside.
#[derive(Debug)]
struct HeldInside<'s, W: ?Sized> {
    wrapper: &'s W,
    held: Box<dyn Held + 's>,
}

#[async_trait]
impl<W: StoreWrapper + ?Sized> Held for HeldInside<'_, W> {
    fn head(&self) -> Option<Head> {
        self.held.head()
    }

    async fn commit(self: Box<Self>, commit: &Commit) -> Result<Head, StoreError> {
        let Self { wrapper, held } = *self;
        wrapper.pass_on("commit", async move { held.commit(commit).await }).await
    }
}
