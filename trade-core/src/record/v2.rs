//! The second form: the first, and the metadata of what is in it.

use super::{InvalidRecord, v1};
use crate::step::Step;
use crate::values::Metadata;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Serialize, Deserialize)]
pub(super) struct StepRecord<'a> {
    #[serde(borrow)]
    first: v1::StepRecord<'a>,
    trade: MetadataRecord<'a>,
    cargo: MetadataRecord<'a>,
    /// Where that is something else by now.
    requested: Option<MetadataRecord<'a>>,
    /// In the order of the stations; none at all where none of them has any.
    stations: Vec<MetadataRecord<'a>>,
}

/// Names and texts.
type MetadataRecord<'a> = Option<Vec<(&'a str, &'a str)>>;

impl<'a> StepRecord<'a> {
    pub(super) fn of(step: &'a Step) -> Self {
        let any = step.stations.iter().any(|station| station.metadata.is_some());
        let stations = step.stations.iter().filter(|_| any);
        Self {
            first: v1::StepRecord::of(step),
            trade: step.trade.as_ref().and_then(|trade| record(trade.metadata.as_ref())),
            cargo: step.cargo.as_ref().and_then(|cargo| record(cargo.metadata.as_ref())),
            requested: step.cargo.as_ref().and_then(|cargo| {
                cargo.requested_metadata.as_ref().map(|requested| record(requested.as_ref()))
            }),
            stations: stations.map(|station| record(station.metadata.as_ref())).collect(),
        }
    }

    pub(super) fn read(self) -> Result<Step, InvalidRecord> {
        let mut step = self.first.read()?;
        match (read(self.trade)?, &mut step.trade) {
            (metadata, Some(trade)) => Arc::make_mut(trade).metadata = metadata,
            (None, None) => {}
            (Some(_), None) => return Err(InvalidRecord::damaged("metadata of no trade")),
        }
        let requested = self.requested.map(read).transpose()?;
        match (read(self.cargo)?, requested, &mut step.cargo) {
            (metadata, requested, Some(cargo)) => {
                let cargo = Arc::make_mut(cargo);
                (cargo.metadata, cargo.requested_metadata) = (metadata, requested);
            }
            (None, None, None) => {}
            _ => return Err(InvalidRecord::damaged("metadata of no shipment")),
        }
        if ![0, step.stations.len()].contains(&self.stations.len()) {
            return Err(InvalidRecord::damaged("metadata of other stations"));
        }
        for (station, metadata) in step.stations.iter_mut().zip(self.stations) {
            station.metadata = read(metadata)?;
        }
        Ok(step)
    }
}

fn record(metadata: Option<&Metadata>) -> MetadataRecord<'_> {
    metadata.map(|metadata| metadata.iter().collect())
}

fn read(record: MetadataRecord<'_>) -> Result<Option<Metadata>, InvalidRecord> {
    Ok(record.map(Metadata::new).transpose()?)
}
