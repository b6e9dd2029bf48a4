//! Several reads of one moment.

use crate::dialect::Rendered;
use crate::driver::{Driver, Param};
use crate::lane::{Lane, Lease};
use trade_core::store::StoreError;

/// A read transaction on one reader. Dropped before [`Snapshot::end`], it closes its connection, and so ends as well.
#[derive(Debug)]
pub(crate) struct Snapshot<'l, E: Driver> {
    lease: Lease<'l, E>,
}

impl<'l, E: Driver> Snapshot<'l, E> {
    pub(crate) async fn begin(readers: &'l Lane<E>, operation: &'static str) -> Result<Self, StoreError> {
        let mut lease = readers.lease(operation).await?;
        let begin = Rendered::new(E::DIALECT, E::DIALECT.begin_snapshot);
        if let Err(error) = lease.execute(&begin, &[]).await {
            lease = lease.renew_after(error).await?;
            lease.execute(&begin, &[]).await?;
        }
        Ok(Self { lease })
    }

    pub(crate) async fn fetch(
        &mut self,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> Result<Vec<E::Row>, StoreError> {
        self.lease.fetch(text, parameters).await
    }

    pub(crate) async fn end(mut self) -> Result<(), StoreError> {
        self.lease.execute(&Rendered::new(E::DIALECT, "COMMIT"), &[]).await?;
        self.lease.give_back();
        Ok(())
    }

    pub(crate) fn operation(&self) -> &'static str {
        self.lease.operation
    }
}
