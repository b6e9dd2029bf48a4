//! What our figures are compared to. Each does the least that the work asks for, in the way that is fastest there.

mod batch;
pub(crate) mod express;
pub(crate) mod mongo;
pub(crate) mod mysql;
pub(crate) mod nchan;
pub(crate) mod pgbench;
pub(crate) mod postgres;
pub(crate) mod rule;
pub(crate) mod seed;
pub(crate) mod sqlite;

use crate::report::Failure;
use std::time::Duration;

/// What a trade leaves behind, written to a database by hand: no library, no rules beyond what the statements say.
pub(crate) trait ByHand: Send {
    /// Trades per second with so many in each commit.
    fn trades_per_second(&mut self, per_commit: u64, duration: Duration) -> Result<f64, Failure>;
}

/// Where the programs of the references are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/reference");

/// The size of a record of the log: that of a trade of one line.
const RECORD_BYTES: usize = 500;
const LEAD_TIME_MS: i64 = 7 * 24 * 60 * 60 * 1000;

fn now_ms() -> Result<i64, Failure> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_millis())?)
}

/// What a trade is about, as it is stored.
fn lines(item: &str) -> String {
    format!(r#"[{{"itemId":"{item}","quantity":1,"unitPrice":{{"amount":"2.55","currency":"GBP"}}}}]"#)
}

/// The id of a request. Begins with the time, as those of fresh requests do.
fn request(time: i64, number: u64) -> [u8; 16] {
    ((u128::from(time.cast_unsigned()) << 80) | u128::from(number)).to_be_bytes()
}
