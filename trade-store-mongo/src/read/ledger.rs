//! The stock ledger.

use super::walk::{EXAMINED_MAX, one_more};
use super::{Moment, Query};
use crate::documents::{Fields, ledger, stored};
use crate::link::Link;
use crate::schema::LEDGER;
use mongodb::bson::{Bson, Document, RawDocument, doc, rawdoc};
use trade_core::resource::LedgerEntry;
use trade_core::store::{LedgerPosition, LedgerQuery, Page, StoreError};
use trade_core::values::StationId;

fn key(position: LedgerPosition) -> Document {
    doc! { "sequence": stored(position.sequence), "index": i64::from(position.index) }
}

/// The entries listed at a station, newest first; where only one item's are wanted, those among the next so many, and the
/// last of these where there are as many.
pub(crate) fn station_query(station: &StationId, query: &LedgerQuery) -> Result<Query, StoreError> {
    let before = query.before.map_or(Bson::MaxKey, |position| key(position).into());
    let examined_max = match query.item {
        Some(_) => EXAMINED_MAX.max(one_more(query.limit)),
        None => one_more(query.limit),
    };
    let walk = [
        doc! { "$match": { "stations": station.as_str(), "_id": { "$lt": before, "$gt": Bson::MinKey } } },
        doc! { "$sort": { "_id": -1 } },
        doc! { "$limit": stored(examined_max as u64) },
    ];
    let mut stages = walk.to_vec();
    if let Some(item) = &query.item {
        stages.push(doc! { "$match": { "itemId": item.as_str() } });
        stages.push(doc! { "$limit": stored(one_more(query.limit) as u64) });
        let mut last = walk.to_vec();
        last.push(doc! { "$skip": stored(examined_max as u64 - 1) });
        last.push(doc! { "$project": { "_id": 1, "examined": true } });
        stages.push(doc! { "$unionWith": { "coll": LEDGER, "pipeline": last } });
    }
    let query = Query::aggregate("list the ledger", LEDGER, &stages, Moment::One)?;
    Ok(query.by_index("by_station"))
}

pub(crate) async fn of_station(
    link: &Link,
    station: &StationId,
    query: &LedgerQuery,
) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
    let row = |document: &RawDocument| match document.maybe("examined")? {
        Some(_) => Ok((ledger::position(document)?, None)),
        None => ledger::read(document).map(|(position, entry)| (position, Some(entry))),
    };
    let (mut rows, mut examined) = (Vec::new(), None);
    for (position, entry) in station_query(station, query)?.fetch(link, row).await? {
        match entry {
            Some(entry) => rows.push((position, entry)),
            None => examined = Some(position),
        }
    }
    Ok(Page::of_one_more(rows, query.limit, examined))
}

pub(crate) async fn after(
    link: &Link,
    after: LedgerPosition,
    limit: usize,
) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
    let filter = rawdoc! { "_id": { "$gt": ledger::key(after) } };
    let query = Query::find("walk the ledger", LEDGER, filter, rawdoc! { "_id": 1 }, one_more(limit));
    Ok(Page::of_one_more(query.fetch(link, ledger::read).await?, limit, None))
}
