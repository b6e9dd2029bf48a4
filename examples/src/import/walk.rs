//! The history that the source tells: every deal twice, when it was made and when it came to what it is, in the order of
//! time. A deal's first moment comes before its second.

use super::deal::{self, Deal};
use super::finding::{Collection, Odd, Oddity, Read, Refusal, Refused};
use super::items::{given, shown};
use super::source::{Joined, Keepers, Lane, Order, Source};
use super::times;
use crate::Failure;
use mongodb::bson::{Bson, Document};
use trade_core::clock::{Clock, SystemClock};

/// The documents that count where several share an id.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) trades: Keepers,
    pub(crate) cargos: Keepers,
}

/// A document at one of its moments.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) kind: MomentKind,
    /// Milliseconds since 1970.
    pub(crate) time: i64,
    pub(crate) collection: Collection,
    /// The document's `_id`.
    pub(crate) id: String,
    /// That of the cargo which goes with a trade.
    pub(crate) cargo: Option<String>,
    pub(crate) deal: Read<Deal>,
}

/// Which of its moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum MomentKind {
    Made,
    Ended,
}

/// Reads the moments.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    made: Lane<'a>,
    changed: Lane<'a>,
    cargos: Lane<'a>,
    shared: &'a Shared,
    /// A cargo without a trade has one time for both of its moments.
    ending: Option<Joined>,
}

impl<'a> Walk<'a> {
    pub(crate) async fn begin(source: &'a Source, shared: &'a Shared) -> Result<Self, Failure> {
        Ok(Self {
            made: source.lane(Order::TradesMade).await?,
            changed: source.lane(Order::TradesChanged).await?,
            cargos: source.lane(Order::Cargos).await?,
            shared,
            ending: None,
        })
    }

    /// The next moment, none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Moment>, Failure> {
        if let Some(joined) = self.ending.take() {
            return Ok(Some(self.cargo_moment(&joined, MomentKind::Ended)));
        }
        loop {
            let time = |lane: &Lane<'_>| lane.peek().map(|joined| joined.time);
            let (made, cargo, changed) = (time(&self.made), time(&self.cargos), time(&self.changed));
            let Some(first) = [made, cargo, changed].into_iter().flatten().min() else { return Ok(None) };
            // At one time all that is made comes before what ends, so that nothing ends before it is made.
            if made == Some(first) {
                let joined = self.made.take().await?;
                return Ok(joined.map(|joined| self.trade_moment(&joined, MomentKind::Made)));
            }
            if cargo == Some(first) {
                let Some(joined) = self.cargos.take().await? else { continue };
                // One that goes with a trade is accounted for with it.
                if joined.partners.is_empty() || self.is_double(&joined.document) {
                    let moment = self.cargo_moment(&joined, MomentKind::Made);
                    self.ending = Some(joined);
                    return Ok(Some(moment));
                }
                continue;
            }
            let joined = self.changed.take().await?;
            return Ok(joined.map(|joined| self.trade_moment(&joined, MomentKind::Ended)));
        }
    }

    fn is_double(&self, cargo: &Document) -> bool {
        double(cargo, "shipmentId", &self.shared.cargos).is_some()
    }

    fn trade_moment(&self, joined: &Joined, kind: MomentKind) -> Moment {
        let (document, now) = (&joined.document, SystemClock::new().now());
        let (deal, cargo) = match double(document, "transactionId", &self.shared.trades) {
            Some(refusal) => (Read { value: Err(refusal), odd: Vec::new() }, None),
            None => {
                let counts = |cargo: &&Document| !self.is_double(cargo);
                let cargo = joined.partners.iter().find(counts);
                let mut deal = deal::trade(document, cargo);
                times::note(joined, now, &mut deal.odd);
                if given(document, "createdAt").is_none() {
                    deal.odd.push(Oddity::new(Odd::TimeMissing, "the time in its _id was taken, if any"));
                }
                (deal, cargo.map(document_id))
            }
        };
        let id = document_id(document);
        Moment { kind, time: joined.time, collection: Collection::Trades, id, cargo, deal }
    }

    fn cargo_moment(&self, joined: &Joined, kind: MomentKind) -> Moment {
        let document = &joined.document;
        let deal = match double(document, "shipmentId", &self.shared.cargos) {
            Some(refusal) => Read { value: Err(refusal), odd: Vec::new() },
            None => {
                let mut deal = deal::cargo_alone(document);
                times::note(joined, SystemClock::new().now(), &mut deal.odd);
                deal
            }
        };
        let id = document_id(document);
        Moment { kind, time: joined.time, collection: Collection::Cargos, id, cargo: None, deal }
    }
}

/// Why a document does not count beside another one of its id.
pub(crate) fn double(document: &Document, key: &str, keepers: &Keepers) -> Option<Refusal> {
    let id = document.get_str(key).ok()?;
    let keeper = keepers.get(id)?;
    let is_other = document.get("_id") != Some(keeper);
    is_other.then(|| {
        Refusal::new(Refused::Duplicate, format!("{key} {id:?}: the document {} was taken", id_text(keeper)))
    })
}

/// The `_id` of a document as text.
pub(crate) fn document_id(document: &Document) -> String {
    document.get("_id").map_or_else(|| "?".into(), id_text)
}

fn id_text(id: &Bson) -> String {
    match id {
        Bson::ObjectId(id) => id.to_hex(),
        other => shown(other),
    }
}
