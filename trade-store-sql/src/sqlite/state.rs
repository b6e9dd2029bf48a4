//! What a store keeps beside its connections: what it knows of its file.

use super::file::AtRest;
use super::upkeep::Upkeep;
use trade_core::store::StoreError;

/// What a store keeps beside its connections.
#[derive(Debug)]
pub struct State {
    /// The file, where it was opened as one that nobody writes to.
    pub(super) at_rest: Option<AtRest>,
    /// The upkeep of one that is written.
    pub(super) upkeep: Option<Upkeep>,
}

impl State {
    /// Something was written, or could not be.
    pub(super) fn written(&self) {
        if let Some(upkeep) = &self.upkeep {
            upkeep.written();
        }
    }

    /// As [`crate::engine::Engine::check`].
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        self.at_rest.as_ref().map_or(Ok(()), AtRest::check)?;
        match &self.upkeep {
            Some(upkeep) => upkeep.check().await,
            None => Ok(()),
        }
    }

    /// As [`crate::engine::Engine::stop`].
    pub(super) async fn stop(&self) {
        if let Some(upkeep) = &self.upkeep {
            upkeep.close().await;
        }
    }
}
