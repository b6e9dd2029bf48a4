//! What the server must be, and what a store keeps of that.

use super::classify::MySql;
use super::pace::Pace;
use crate::dialect::Rendered;
use crate::driver::{Columns, Driver};
use crate::errors::{Errors, classify};
use crate::lane::Lease;
use crate::rows;
use crate::server::ServerOptions;
use std::time::Duration;
use trade_core::store::{StoreError, StoreErrorKind};

pub(super) const OPERATION: &str = "connect";
/// Text beyond this goes in several messages: longer ones gain nothing.
const TEXT_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Room in a message for what is not text.
const PACKET_OVERHEAD_BYTES: u64 = 1_024;

/// What the largest request needs of `max_allowed_packet`: the text of its longest row, or of a list of keys. It is
/// MariaDB's default; MySQL's is more.
const PACKET_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// What a store keeps beside its connections.
#[derive(Debug)]
pub struct State {
    /// The text of a commit is cut into several messages beyond so much.
    pub(super) text_bytes_max: usize,
    /// The largest message that the server takes.
    pub(super) packet_bytes_max: usize,
    pub(super) poll_interval: Duration,
    /// Where the server is a node of a cluster.
    pub(super) pace: Option<Pace>,
}

impl State {
    pub(super) async fn keep_pace(&self) {
        if let Some(pace) = &self.pace {
            pace.keep().await;
        }
    }
}

/// Finds out whether the server can keep what this store promises.
pub(super) async fn examine(
    lease: &mut Lease<'_, MySql>,
    options: &ServerOptions,
) -> Result<State, StoreError> {
    // Prepared, as most that is read is, which a server can have no room for.
    let sql =
        "SELECT @@max_allowed_packet, @@innodb_flush_log_at_trx_commit, version() FROM (SELECT ?1) prepared";
    let found = lease.fetch(&Rendered::new(MySql::DIALECT, sql), &[1.into()]).await?;
    let refused = |detail| Err(StoreError::new(StoreErrorKind::Unsupported, MySql::NAME, OPERATION, detail));
    let damaged = rows::failed::<MySql>(OPERATION);
    let Some(row) = found.first() else { return refused("the server tells nothing of itself".to_owned()) };
    let (packet, flush) = (rows::count(row, 0).map_err(damaged)?, rows::number(row, 1).map_err(damaged)?);
    let version = row.text(2).map_err(classify::<MySql>(OPERATION))?.unwrap_or_default();
    if !is_supported(version) {
        return refused(format!("the server is {version}: MySQL 8.0.19 or MariaDB 10.6 is the least"));
    }
    let to_write = options.access.may_write();
    if to_write && packet < PACKET_BYTES_MIN {
        return refused(format!(
            "the server takes too small messages: max_allowed_packet is {packet}, and must be {PACKET_BYTES_MIN} at least"
        ));
    }
    if to_write && matches!(flush, 0 | 2) {
        return refused(format!(
            "the server acknowledges what is not durable: innodb_flush_log_at_trx_commit is {flush}, and must be 1"
        ));
    }
    let bytes = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
    Ok(State {
        text_bytes_max: bytes((packet / 2).min(TEXT_BYTES_MAX)),
        packet_bytes_max: bytes(packet.saturating_sub(PACKET_OVERHEAD_BYTES)),
        poll_interval: options.poll_interval,
        pace: is_node(lease).await?.then(Pace::default),
    })
}

/// Whether the server is a node of a Galera cluster. One that could not be knows nothing of it.
async fn is_node(lease: &mut Lease<'_, MySql>) -> Result<bool, StoreError> {
    let sql = Rendered::new(
        MySql::DIALECT,
        "SHOW GLOBAL VARIABLES WHERE Variable_name = 'wsrep_on' AND Value = 'ON'",
    );
    Ok(!lease.fetch(&sql, &[]).await?.is_empty())
}

/// From the versions on that have `JSON_TABLE`, checks, and window functions.
fn is_supported(version: &str) -> bool {
    let least = if version.contains("MariaDB") { [10, 6, 0] } else { [8, 0, 19] };
    let numbers = version.trim_start_matches("5.5.5-").split(|c: char| !c.is_ascii_digit());
    let mut numbers = numbers.map(|digits| digits.parse::<u32>().unwrap_or(0));
    least <= std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_old_is_told_from_what_is_not() {
        for version in ["8.0.19", "8.0.36-28.1", "8.4.0", "9.1.0", "10.6.0-MariaDB", "11.4.2-MariaDB-ubu2404"]
        {
            assert!(is_supported(version), "{version}");
        }
        for version in
            ["5.7.44-log", "8.0.18", "8.0.11-TiDB-v7.5.0", "10.5.29-MariaDB", "5.5.5-10.4.1-MariaDB", ""]
        {
            assert!(!is_supported(version), "{version}");
        }
    }
}
