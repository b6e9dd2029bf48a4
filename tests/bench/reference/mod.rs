//! What our figures are compared to. Each does the least that the work asks for, in the way that is fastest there.

pub(crate) mod express;
pub(crate) mod nchan;
pub(crate) mod rule;
pub(crate) mod sqlite;

use crate::report::Failure;
use std::time::Duration;

/// What a trade leaves behind, written to a database by hand: no library, no rules beyond what the statements say.
pub(crate) trait ByHand: Send {
    /// Trades per second with so many in each commit.
    fn trades_per_second(&mut self, per_commit: u64, duration: Duration) -> Result<f64, Failure>;
}
