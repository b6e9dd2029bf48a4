//! What is read, and how: every read is one command, of what a majority of the servers has, at least as far as this
//! store has seen.

pub(crate) mod cargo;
pub(crate) mod inventory;
pub(crate) mod ledger;
pub(crate) mod load;
pub(crate) mod log;
pub(crate) mod trades;
pub(crate) mod walk;

use crate::classify::{NAME, classify, is_passing};
use crate::documents::{Decoded, failed};
use crate::link::Link;
use mongodb::bson::raw::cstr;
use mongodb::bson::{Document, RawDocument, RawDocumentBuf, Timestamp, rawdoc};
use mongodb::error::Error;
use trade_core::store::{StoreError, StoreErrorKind};

/// Of which moment a read is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Of any since what was seen; each collection of its own.
    Any,
    /// Of one, for all collections.
    One,
    /// Of this one, for all collections of all commands that name it.
    At(Timestamp),
}

/// A command that reads documents.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) operation: &'static str,
    pub(crate) command: RawDocumentBuf,
    pub(crate) moment: Moment,
    /// No further document is read once those read are so large.
    pub(crate) bytes_max: usize,
    /// Whether it goes by the connections of those who write: it waits for no other reader then.
    pub(crate) for_commit: bool,
}

impl Query {
    /// An aggregation over a collection.
    pub(crate) fn aggregate(
        operation: &'static str,
        collection: &str,
        pipeline: &[Document],
        moment: Moment,
    ) -> Result<Self, StoreError> {
        let mut stages = mongodb::bson::RawArrayBuf::new();
        for stage in pipeline {
            stages.push(raw(operation, stage)?);
        }
        Ok(Self::aggregate_raw(operation, collection, stages, moment))
    }

    /// The same of stages that are encoded.
    pub(crate) fn aggregate_raw(
        operation: &'static str,
        collection: &str,
        pipeline: mongodb::bson::RawArrayBuf,
        moment: Moment,
    ) -> Self {
        // One answer of up to 16 MB, and no second request for what follows the first 101 documents.
        let command =
            rawdoc! { "aggregate": collection, "pipeline": pipeline, "cursor": { "batchSize": i32::MAX } };
        Self { operation, command, moment, bytes_max: usize::MAX, for_commit: false }
    }

    /// The documents of a collection that pass a filter.
    pub(crate) fn find(
        operation: &'static str,
        collection: &str,
        filter: RawDocumentBuf,
        sort: RawDocumentBuf,
        limit: usize,
    ) -> Self {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).max(1);
        let command = rawdoc! {
            "find": collection,
            "filter": filter,
            "sort": sort,
            "limit": limit,
            "batchSize": i32::MAX,
        };
        Self { operation, command, moment: Moment::Any, bytes_max: usize::MAX, for_commit: false }
    }

    /// By the index of this name, whatever the server thinks of it.
    pub(crate) fn by_index(mut self, name: &str) -> Self {
        self.command.append(cstr!("hint"), name);
        self
    }

    /// By the connections of those who write.
    pub(crate) fn for_commit(mut self) -> Self {
        self.for_commit = true;
        self
    }

    /// Runs it, and reads each document.
    ///
    /// # Errors
    /// Those of the driver, and `Corrupt` where a document cannot be read.
    pub(crate) async fn fetch<T>(
        self,
        link: &Link,
        read: impl Fn(&RawDocument) -> Decoded<T>,
    ) -> Result<Vec<T>, StoreError> {
        let operation = self.operation;
        let mut attempts_left = ATTEMPTS;
        loop {
            let fetched = link.answered(operation, self.attempt(link, &read)).await?;
            attempts_left -= 1;
            match fetched {
                Ok(rows) => return rows.into_iter().collect::<Decoded<_>>().map_err(failed(operation)),
                // The connection was idle while the server restarted, or the primary is another by now.
                Err(error) if attempts_left > 0 && is_passing(&error) => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(classify(operation)(error)),
            }
        }
    }

    async fn attempt<T>(
        &self,
        link: &Link,
        read: &impl Fn(&RawDocument) -> Decoded<T>,
    ) -> Result<Vec<Decoded<T>>, Error> {
        let mut command = self.command.clone();
        command.append(cstr!("readConcern"), self.concern(link));
        command.append(cstr!("maxTimeMS"), link.millis_max());
        let database = if self.for_commit { &link.database } else { &link.reading };
        let mut session = database.client().start_session().causal_consistency(false).await?;
        link.seen.tell(&mut session);
        let cursor = database.run_raw_cursor_command(command).session(&mut session);
        let mut cursor = cursor.await?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while bytes < self.bytes_max && cursor.advance(&mut session).await? {
            bytes += cursor.current().as_bytes().len();
            rows.push(read(cursor.current()));
        }
        link.seen.learn(&session);
        Ok(rows)
    }

    fn concern(&self, link: &Link) -> RawDocumentBuf {
        let level = match self.moment {
            Moment::Any => "majority",
            Moment::One => "snapshot",
            Moment::At(time) => return rawdoc! { "level": "snapshot", "atClusterTime": time },
        };
        let mut concern = rawdoc! { "level": level };
        if let Some(time) = link.seen.operation() {
            concern.append(cstr!("afterClusterTime"), time);
        }
        concern
    }
}

/// How often a read is tried where the way to the server breaks.
const ATTEMPTS: u32 = 3;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// A document in the form it is sent in.
pub(crate) fn raw(operation: &'static str, document: &Document) -> Result<RawDocumentBuf, StoreError> {
    RawDocumentBuf::try_from(document).map_err(|error| {
        let detail = "a command cannot be written";
        StoreError::new(StoreErrorKind::Internal, NAME, operation, detail).caused_by(error)
    })
}
