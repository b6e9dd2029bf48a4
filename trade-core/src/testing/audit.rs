//! Whether what is stored agrees with its log, and conserves every unit.

use super::snapshot::Snapshot;
use crate::store::Store;
use crate::verify::verify;

/// Folds the log and compares it with everything stored, by [`verify`], and answers what is stored.
///
/// # Panics
/// With the first difference, or if the store fails.
pub async fn audit(store: &dyn Store) -> Snapshot {
    if let Err(error) = verify(store).await {
        panic!("the store contradicts its log: {error}");
    }
    Snapshot::of(store).await
}
