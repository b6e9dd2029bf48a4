//! The third form: the second, and what caused the step.

use super::{InvalidRecord, v2};
use crate::cause::{Cause, TraceParent};
use crate::step::Step;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

#[derive(Serialize, Deserialize)]
pub(super) struct StepRecord<'a> {
    #[serde(borrow)]
    second: v2::StepRecord<'a>,
    cause: Option<CauseRecord<'a>>,
}

#[derive(Serialize, Deserialize)]
struct CauseRecord<'a> {
    /// Trace, parent and flags.
    trace_parent: Option<([u8; 16], [u8; 8], u8)>,
    #[serde(borrow)]
    request_id: Option<RequestIdRecord<'a>>,
    address: Option<IpAddr>,
}

#[derive(Serialize, Deserialize)]
enum RequestIdRecord<'a> {
    /// As the network makes them.
    Uuid([u8; 16]),
    #[serde(borrow)]
    Text(Cow<'a, str>),
}

impl<'a> StepRecord<'a> {
    pub(super) fn of(step: &'a Step) -> Self {
        Self { second: v2::StepRecord::of(step), cause: step.cause.as_deref().map(record) }
    }

    pub(super) fn read(self) -> Result<Step, InvalidRecord> {
        let cause = self.cause.map(read).transpose()?;
        Ok(Step { cause: cause.map(Arc::new), ..self.second.read()? })
    }
}

fn record(cause: &Cause) -> CauseRecord<'_> {
    let parent = |parent: TraceParent| (parent.trace(), parent.parent(), parent.flags());
    CauseRecord {
        trace_parent: cause.trace_parent.map(parent),
        request_id: cause.request_id.as_deref().map(request_id),
        address: cause.address,
    }
}

/// A UUID that is written as they usually are takes less than half of its text.
fn request_id(id: &str) -> RequestIdRecord<'_> {
    match Uuid::try_parse(id) {
        Ok(uuid) if uuid.to_string() == id => RequestIdRecord::Uuid(uuid.into_bytes()),
        _ => RequestIdRecord::Text(id.into()),
    }
}

fn read(record: CauseRecord<'_>) -> Result<Cause, InvalidRecord> {
    let parent = record.trace_parent.map(|(trace, parent, flags)| TraceParent::new(trace, parent, flags));
    let request_id = record.request_id.map(|id| match id {
        RequestIdRecord::Uuid(bytes) => Uuid::from_bytes(bytes).to_string().into(),
        RequestIdRecord::Text(text) => text.into(),
    });
    Ok(Cause { trace_parent: parent.transpose()?, request_id, address: record.address })
}
