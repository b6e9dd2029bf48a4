//! Receipts, held against the steps that they name.

use super::{VerifyError, difference};
use crate::resource::Sequence;
use crate::store::{LogRecord, Span, Store};
use crate::values::Timestamp;
use std::iter::Peekable;
use std::vec::IntoIter;

const PAGE: usize = 2_000;

/// Where the steps of receipts begin and end, ascending, as far as the log has not been read yet.
#[derive(Debug)]
pub(super) struct Receipts {
    starts: Peekable<IntoIter<Sequence>>,
    ends: Peekable<IntoIter<(Sequence, Timestamp)>>,
    pub(super) count: u64,
}

impl Receipts {
    pub(super) async fn of(store: &dyn Store) -> Result<Self, VerifyError> {
        let (mut starts, mut ends, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let page = store.receipts(after, PAGE).await?;
            for receipt in &page {
                let Some(Span { first, last }) = receipt.steps else { continue };
                if first > last {
                    return difference(format!("a receipt names steps from {first} to {last}"));
                }
                starts.push(first);
                ends.push((last, receipt.time));
            }
            match page.last() {
                Some(last) => after = Some(last.request),
                None => break,
            }
        }
        starts.sort_unstable();
        ends.sort_unstable();
        let count = ends.len() as u64;
        Ok(Self { starts: starts.into_iter().peekable(), ends: ends.into_iter().peekable(), count })
    }

    /// The log goes on with this record.
    pub(super) fn pass(&mut self, record: &LogRecord) -> Result<(), VerifyError> {
        while let Some(start) = self.starts.next_if(|start| *start <= record.last) {
            if start != record.first() {
                return difference(format!("a receipt names steps from {start} on, where none begins"));
            }
        }
        while let Some((end, time)) = self.ends.next_if(|(end, _)| *end <= record.last) {
            if (end, time) != (record.last, record.step.time) {
                return difference(format!(
                    "a receipt names a step of {time} that ends at {end}: there is none"
                ));
            }
        }
        Ok(())
    }

    /// There are no further records.
    pub(super) fn end(&mut self) -> Result<(), VerifyError> {
        match self.ends.next() {
            None => Ok(()),
            Some((end, time)) => {
                difference(format!("a receipt names a step of {time} that ends at {end}, after the log"))
            }
        }
    }
}
