//! Several reads of one moment.

use super::classify::classify;
use super::lane::{Lane, Lease};
use sqlx::sqlite::SqliteConnection;
use trade_core::store::StoreError;

/// A read transaction on one reader. Dropped before [`Snapshot::end`], it closes its connection, and so ends as well.
#[derive(Debug)]
pub(super) struct Snapshot<'l> {
    lease: Lease<'l>,
    operation: &'static str,
}

impl<'l> Snapshot<'l> {
    pub(super) async fn begin(readers: &'l Lane, operation: &'static str) -> Result<Self, StoreError> {
        let mut lease = readers.lease(operation).await?;
        sqlx::query("BEGIN").execute(&mut lease.connection).await.map_err(classify(operation))?;
        Ok(Self { lease, operation })
    }

    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.lease.connection
    }

    pub(super) async fn end(mut self) -> Result<(), StoreError> {
        sqlx::query("COMMIT").execute(&mut self.lease.connection).await.map_err(classify(self.operation))?;
        self.lease.give_back();
        Ok(())
    }
}
