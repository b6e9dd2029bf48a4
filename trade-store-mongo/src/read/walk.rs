//! Lists of trades and shipments: which index a list is read by, and how far.
//!
//! Every filter has a walk: an index that lists what it lets through, newest first. A list takes the walk of its most
//! telling filter and checks the others document by document. So that a page costs the same whatever the size of the
//! collection, it then examines [`EXAMINED_MAX`] documents at most; what it found by then is the page, and the last
//! document examined is where the next one goes on.
//!
//! Time never runs backwards along the log, so that a span of creation times is a span of sequences: the log's index of
//! times tells which.

use super::{Moment, Query};
use crate::documents::{Decoded, Fields, date, log, stored};
use crate::link::Link;
use crate::schema::LOG;
use mongodb::bson::{Document, RawDocument, doc, rawdoc};
use trade_core::resource::Sequence;
use trade_core::store::{Page, StoreError, TimeRange};
use trade_core::values::{StationId, Timestamp};

/// How many documents a page examines where not every one of its walk belongs to it.
pub(crate) const EXAMINED_MAX: usize = 2_000;

/// A filter that has a walk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Narrowing {
    /// The index that is walked. None where two are, merged by sequence: a command can name only one, and each of them
    /// is so much the better that the server finds it by itself.
    pub(crate) index: Option<&'static str>,
    /// What passes is what passes one of the conditions of one of these parts. Nothing passes none.
    pub(crate) parts: Vec<Vec<Document>>,
}

/// How many stations a part of a walk names. For each value of both fields the server walks their indexes and merges what
/// it finds, up to 200 of them (`internalQueryMaxScansToExplode`); of more it would sort everything.
const STATIONS_OF_A_PART: usize = 100;

impl Narrowing {
    /// What has one of some values in a field.
    pub(crate) fn by(index: &'static str, condition: Document) -> Self {
        Self { index: Some(index), parts: vec![vec![condition]] }
    }

    /// What has one of some stations at one of two ends.
    pub(crate) fn by_ends(ends: [&str; 2], stations: &[StationId]) -> Self {
        let part = |stations: &[StationId]| Vec::from(ends.map(|end| doc! { end: { "$in": ids(stations) } }));
        Self { index: None, parts: stations.chunks(STATIONS_OF_A_PART).map(part).collect() }
    }
}

/// Ids as a list in a condition.
pub(crate) fn ids(stations: &[StationId]) -> Vec<&str> {
    stations.iter().map(StationId::as_str).collect()
}

/// What passes one of some conditions.
fn any_of(conditions: Vec<Document>) -> Document {
    match <[Document; 1]>::try_from(conditions) {
        Ok([only]) => only,
        Err(conditions) => doc! { "$or": conditions },
    }
}

/// How a list is read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Walk {
    pub(crate) collection: &'static str,
    /// What is walked.
    pub(crate) narrowing: Narrowing,
    /// What is checked on each document.
    pub(crate) checks: Vec<Document>,
}

impl Walk {
    /// The first narrowing present is walked, the whole collection where there is none; they come most telling first.
    pub(crate) fn of(
        collection: &'static str,
        narrowings: impl IntoIterator<Item = Option<Narrowing>>,
    ) -> Self {
        let mut present = narrowings.into_iter().flatten();
        let narrowing = present.next().unwrap_or_else(|| Narrowing::by("by_sequence", Document::new()));
        let checks = present.map(|narrowing| any_of(narrowing.parts.concat())).collect();
        Self { collection, narrowing, checks }
    }

    fn examined_max(&self, limit: usize) -> usize {
        if self.checks.is_empty() { one_more(limit) } else { EXAMINED_MAX.max(one_more(limit)) }
    }

    /// The stages of a walk: the sequences of the newest documents, each once; where it has one part, the documents.
    fn stages(&self, span: Span, examined_max: usize) -> Vec<Document> {
        let newest =
            |field: &str| [doc! { "$sort": { field: -1 } }, doc! { "$limit": stored(examined_max as u64) }];
        let part = |conditions: &Vec<Document>| {
            let within = conditions.iter().map(|condition| {
                let mut condition = condition.clone();
                condition.insert("sequence", doc! { "$gte": span.first, "$lt": span.before });
                condition
            });
            let mut stages = vec![doc! { "$match": any_of(within.collect()) }];
            stages.extend(newest("sequence"));
            stages
        };
        let mut parts = self.narrowing.parts.iter().map(part);
        let mut stages = parts.next().unwrap_or_default();
        if self.narrowing.parts.len() > 1 {
            let sequence = doc! { "$project": { "_id": 0, "sequence": 1 } };
            stages.push(sequence.clone());
            for mut part in parts {
                part.push(sequence.clone());
                stages.push(doc! { "$unionWith": { "coll": self.collection, "pipeline": part } });
            }
            // One of two stations is in several parts.
            stages.push(doc! { "$group": { "_id": "$sequence" } });
            stages.extend(newest("_id"));
            stages.push(doc! { "$project": { "_id": 0, "sequence": "$_id" } });
        }
        stages
    }

    /// The stages of a page: its rows, and, where it may be short, the place of the last document examined.
    pub(crate) fn pipeline(&self, span: Span, limit: usize) -> Vec<Document> {
        let examined_max = self.examined_max(limit);
        let walk = self.stages(span, examined_max);
        let mut stages = walk.clone();
        if self.narrowing.parts.len() > 1 {
            stages.push(doc! { "$lookup": {
                "from": self.collection, "localField": "sequence", "foreignField": "sequence", "as": "rows",
            } });
            stages.push(doc! { "$replaceRoot": { "newRoot": { "$first": "$rows" } } });
        }
        if self.checks.is_empty() {
            return stages;
        }
        stages.push(doc! { "$match": { "$and": &self.checks } });
        stages.push(doc! { "$limit": stored(one_more(limit) as u64) });
        let mut last = walk;
        last.push(doc! { "$skip": stored(examined_max as u64 - 1) });
        last.push(doc! { "$project": { "_id": 0, "examined": "$sequence" } });
        stages.push(doc! { "$unionWith": { "coll": self.collection, "pipeline": last } });
        stages
    }

    /// Reads a page.
    pub(crate) async fn page<T>(
        &self,
        link: &Link,
        operation: &'static str,
        (created, before, limit): (TimeRange, Option<Sequence>, usize),
        read: impl Fn(&RawDocument) -> Decoded<T>,
    ) -> Result<Page<T, Sequence>, StoreError> {
        if self.narrowing.parts.is_empty() {
            return Ok(Page::of_one_more(Vec::new(), limit, None));
        }
        let span = Span::of(link, operation, created, before).await?;
        let pipeline = self.pipeline(span, limit);
        let mut query = Query::aggregate(operation, self.collection, &pipeline, Moment::One)?;
        if let Some(index) = self.narrowing.index {
            query = query.by_index(index);
        }
        let row = |document: &RawDocument| {
            if document.maybe("examined")?.is_some() {
                return Ok((document.count("examined")?, None));
            }
            Ok((document.count("sequence")?, Some(read(document)?)))
        };
        let mut rows = Vec::new();
        let mut examined = None;
        for (sequence, row) in query.fetch(link, row).await? {
            match row {
                Some(row) => rows.push((sequence, row)),
                None => examined = Some(sequence),
            }
        }
        Ok(Page::of_one_more(rows, limit, examined))
    }
}

/// A page asks for one document more than it lists, to know whether there is a next one.
pub(crate) fn one_more(limit: usize) -> usize {
    limit.saturating_add(1)
}

/// The sequences that a list is cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first.
    pub(crate) first: i64,
    /// The first after it.
    pub(crate) before: i64,
}

impl Span {
    /// That of some creation times, before the position of the page before.
    async fn of(
        link: &Link,
        operation: &'static str,
        created: TimeRange,
        before: Option<Sequence>,
    ) -> Result<Self, StoreError> {
        let mut span = Self { first: 0, before: before.map_or(i64::MAX, stored) };
        if let Some(since) = created.since {
            span.first = first_at(link, operation, since).await?;
        }
        if let Some(until) = created.until {
            span.before = span.before.min(first_at(link, operation, until).await?);
        }
        Ok(span)
    }
}

/// The first sequence of a time or after it; one past all others where there is none.
async fn first_at(link: &Link, operation: &'static str, time: Timestamp) -> Result<i64, StoreError> {
    let filter = rawdoc! { "time": { "$gte": date(time) } };
    let query = Query::find(operation, LOG, filter, rawdoc! { "time": 1, "_id": 1 }, 1).by_index("by_time");
    let first = |document: &RawDocument| {
        let steps = log::read(document, 0)?;
        let first = steps.iter().find(|(record, _)| record.step.time >= time);
        Ok(first.map_or(i64::MAX, |(record, _)| stored(record.first())))
    };
    Ok(query.fetch(link, first).await?.pop().unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_filter_is_walked_and_leaves_nothing_to_check() {
        let walk = Walk::of("trades", [None, Some(Narrowing::by("by_buyer", doc! { "buyer": "b" })), None]);
        assert_eq!(
            (walk.narrowing.index, walk.checks.len(), walk.examined_max(50)),
            (Some("by_buyer"), 0, 51)
        );
    }

    #[test]
    fn the_first_of_several_filters_is_walked_and_the_others_are_checked() {
        let by = |field: &'static str| Some(Narrowing::by(field, doc! { field: "x" }));
        let walk = Walk::of("trades", [by("seller"), None, by("status")]);
        assert_eq!((walk.narrowing.index, &walk.checks[..]), (Some("seller"), &[doc! { "status": "x" }][..]));
        assert_eq!(walk.examined_max(50), EXAMINED_MAX);
    }
}
