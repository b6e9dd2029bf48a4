//! What an engine is to a store.

use crate::driver::Driver;
use crate::parts::Parts;
use std::fmt::Debug;
use trade_core::resource::Sequence;
use trade_core::store::{Commit, Head, Held, StoreError};

/// An engine: a driver that commits.
pub trait Engine: Driver {
    /// What a store of this engine keeps beside its connections.
    type State: Debug + Send + Sync;

    /// As [`trade_core::store::Store::commit`].
    fn commit(
        store: &Parts<Self, Self::State>,
        commit: &Commit,
    ) -> impl Future<Output = Result<Head, StoreError>> + Send;

    /// As [`trade_core::store::Store::hold`].
    fn hold(
        store: &Parts<Self, Self::State>,
    ) -> impl Future<Output = Result<Box<dyn Held + '_>, StoreError>> + Send;

    /// As [`trade_core::store::EventLog::changed`].
    fn changed(
        store: &Parts<Self, Self::State>,
        after: Sequence,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether what was read holds, and what is written will be found again, as far as the engine does not see to that by
    /// itself.
    fn check(_state: &Self::State) -> impl Future<Output = Result<(), StoreError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Stops what the state keeps running, and closes what it keeps open, when the connections were closed.
    fn stop(state: &Self::State) -> impl Future<Output = ()> + Send;
}
