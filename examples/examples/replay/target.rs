//! Where a plan is sent: the library, or a running server. Both promise the same, so that one driver serves both.

use super::plan::Opening;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::time::Duration;
use trade_core::command::{AdjustInventory, InitiateTrade};
use trade_core::values::{ItemId, StationId, TransactionId};

/// Attempts at a request while the network is busy or away, and the longest pause between two: half a minute in all.
const ATTEMPTS_MAX: u32 = 20;
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Whether a command did something, or had been applied before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    Now,
    Before,
}

/// What became of one trade of a batch: it stands, or it was refused, and why.
pub(crate) type Reply = Result<Made, String>;

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may have one when it is sent again; sent twice, it is applied once.
    Busy(String),
    /// It will not have one.
    Final(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy(why) | Self::Final(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// A station of this replay's names exists, and is not of this replay.
    pub(crate) fn other_replay(opening: &Opening, found: Option<&str>) -> Self {
        Self::Final(format!(
            "station {} exists already as {:?}, and this file needs {:?}: the store holds the replay of another file, \
             or other data; use an empty one",
            opening.station,
            found.unwrap_or("(no name)"),
            opening.name.as_str()
        ))
    }
}

/// A network to replay into. Every method may be repeated: what was applied before is not applied again.
#[async_trait]
pub(crate) trait Target: Send + Sync {
    /// Makes a station, or finds it made by this replay.
    async fn create_station(&self, opening: &Opening) -> Result<Made, Failure>;

    /// Initiates trades in order, in one commit, each on its own.
    async fn trades(&self, trades: &[InitiateTrade]) -> Result<Vec<Reply>, Failure>;

    /// Adjusts stock, once per key.
    async fn adjust(&self, adjustment: &AdjustInventory, key: &str) -> Result<Made, Failure>;

    /// Whether a trade was initiated.
    async fn knows_trade(&self, id: &TransactionId) -> Result<bool, Failure>;

    /// What a station has on hand.
    async fn on_hand(&self, station: &StationId) -> Result<BTreeMap<ItemId, u64>, Failure>;

    /// What came into a station from outside the network, less what left it for there, by the stock ledger.
    async fn brought_in(&self, station: &StationId) -> Result<BTreeMap<ItemId, i128>, Failure>;

    /// Lets go of it.
    async fn close(&self);
}

/// Asks again while the network is busy.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, Failure>>>(
    ask: impl Fn() -> F,
) -> Result<T, Failure> {
    let mut pause = PAUSE_FIRST;
    for _ in 1..ATTEMPTS_MAX {
        match ask().await {
            Err(Failure::Busy(_)) => tokio::time::sleep(pause).await,
            answer => return answer,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
    ask().await
}
