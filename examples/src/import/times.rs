//! The times of a document: in which forms they are read, and which the network cannot hold. Pure.

use super::finding::{Odd, Oddity};
use super::items::{given, shown};
use super::source::Joined;
use mongodb::bson::{Bson, Document, doc};
use trade_core::values::Timestamp;

/// RFC 3339 in parts: date, time of day, milliseconds, offset. Finer fractions are cut off, as [`Timestamp`] does.
const RFC_3339: &str =
    r"^(\d{4}-\d\d-\d\d)[ -~]([01]\d|2[0-3])(:[0-5]\d:[0-5]\d)(?:(\.\d{1,3})\d*)?([Zz]|[+-]\d\d:\d\d)\z";

/// A date, or RFC 3339 as text.
pub(crate) fn read(value: &Bson) -> Option<Timestamp> {
    match value {
        Bson::DateTime(time) => Timestamp::from_millis(time.timestamp_millis()).ok(),
        Bson::String(text) => Timestamp::try_from(text.as_str()).ok(),
        _ => None,
    }
}

/// [`read`] as the source's server does it, so that it can sort by it: a date, or null.
pub(crate) fn read_by_server(field: &str) -> Document {
    let is = |name: &str| doc! { "$eq": [{ "$type": field }, name] };
    let part = |number: i32| doc! { "$arrayElemAt": ["$$found.captures", number] };
    let written = doc! { "$concat": [part(0), "T", part(1), part(2), { "$ifNull": [part(3), ""] }, part(4)] };
    let text = doc! { "$let": {
        "vars": { "found": { "$regexFind": { "input": field, "regex": RFC_3339 } } },
        "in": { "$dateFromString": { "dateString": written, "onError": null, "onNull": null } },
    } };
    doc! { "$switch": {
        "branches": [{ "case": is("date"), "then": field }, { "case": is("string"), "then": text }],
        "default": null,
    } }
}

/// A time of the source as one of the network's: none before the year 0, and none that is yet to come.
pub(crate) fn network_time(millis: i64, now: Timestamp) -> Timestamp {
    match Timestamp::from_millis(millis) {
        Ok(time) => time.min(now),
        Err(_) if millis < 0 => Timestamp::EPOCH,
        Err(_) => now,
    }
}

/// Notes which times of a document could not be read, and which are taken as another.
pub(crate) fn note(joined: &Joined, now: Timestamp, odd: &mut Vec<Oddity>) {
    let Joined { document, made, changed, .. } = joined;
    for (field, time, instead) in [
        ("createdAt", made, "the time in its _id was taken, if any"),
        ("updatedAt", changed, "the time of creation was taken"),
    ] {
        if let Some(value) = given(document, field).filter(|_| time.is_none()) {
            odd.push(Oddity::new(Odd::TimeUnreadable, format!("{field} {}: {instead}", shown(value))));
        }
    }
    let by_id = if made.is_none() { Some(joined.by_id) } else { None };
    for (field, time) in [("_id", by_id), ("createdAt", *made), ("updatedAt", *changed)] {
        let Some(time) = time else { continue };
        let kind = match network_time(time, now).millis() {
            taken if taken < time => Odd::TimeAhead,
            taken if taken > time => Odd::TimeBeforeYear0,
            _ => continue,
        };
        odd.push(Oddity::new(kind, told(document, field)));
    }
    let begin = made.unwrap_or(joined.by_id);
    if changed.is_some_and(|changed| changed < begin) {
        odd.push(Oddity::new(Odd::ChangedBeforeMade, told(document, "updatedAt")));
    }
}

fn told(document: &Document, field: &str) -> String {
    format!("{field} {}", document.get(field).map_or_else(String::new, shown))
}
