use crate::command::Outcome;
use crate::rejection::{Rejection, Shortage};
use crate::values::{ItemId, StationId};
use std::collections::BTreeSet;

/// What becomes of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken. Whether it changed anything shows in the versions.
    Taken,
    /// It is refused, for the reason with this code.
    Refused(&'static str),
    /// It is refused for these lines: station, item, requested, and what is available, where that is told.
    Short(BTreeSet<(StationId, ItemId, u64, Option<u64>)>),
    /// It is refused because of the status: the words for from, to, and what is allowed.
    Illegal(&'static str, &'static str, Vec<&'static str>),
    /// A batch was refused because of the trade at this place.
    InBatch(usize, Box<Verdict>),
    /// A batch was taken; so its trades fared.
    Each(Vec<Verdict>),
}

impl Verdict {
    /// What an answer of [`rules`](crate::rules) amounts to.
    pub fn of(answer: &Result<Outcome, Rejection>) -> Self {
        match answer {
            Ok(Outcome::Trades(trades)) => Self::Each(
                trades
                    .iter()
                    .map(|answer| answer.as_ref().map_or_else(Self::of_rejection, |_| Self::Taken))
                    .collect(),
            ),
            Ok(_) => Self::Taken,
            Err(rejection) => Self::of_rejection(rejection),
        }
    }

    fn of_rejection(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::InsufficientStock(lines) => {
                let line = |s: &Shortage| (s.station_id.clone(), s.item_id.clone(), s.requested, s.available);
                Self::Short(lines.listed().iter().map(line).collect())
            }
            Rejection::IllegalCargoTransition { from, to, allowed, .. } => Self::Illegal(
                from.as_str(),
                to.as_str(),
                allowed.iter().map(|status| status.as_str()).collect(),
            ),
            Rejection::IllegalTradeTransition { from, to, allowed, .. } => Self::Illegal(
                from.as_str(),
                to.as_str(),
                allowed.iter().map(|status| status.as_str()).collect(),
            ),
            Rejection::InBatch { index, rejection } => {
                Self::InBatch(*index, Box::new(Self::of_rejection(rejection)))
            }
            other => Self::Refused(other.code()),
        }
    }
}
