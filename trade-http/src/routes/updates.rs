//! `/updates`: the events, by polling and as a stream.

use crate::app::App;
use crate::call::Call;
use crate::feed::Feed;
use crate::input::{Input, position};
use crate::page::Rows;
use crate::problem::Problem;
use crate::reply::Reply;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use serde::Serialize;
use trade_core::event::{EventFilter, EventType, Topic};
use trade_core::resource::Sequence;
use trade_core::service::{EventPage, EventQuery, Session};
use trade_core::values::{InvalidValue, Scope, StationId};

/// Events that one poll examines at most, and how many reads of the log it takes for it at most.
const EXAMINED_MAX: u64 = 5_000;
const READS_MAX: usize = 16;

/// What follows the events.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    next_after: Sequence,
    #[serde(skip_serializing_if = "Option::is_none")]
    resync: Option<Restart>,
}

/// What the log holds, told to whoever was further than that.
#[derive(Serialize)]
struct Restart {
    oldest: Sequence,
    newest: Sequence,
}

/// The events after a position. `nextAfter` is the last sequence that was examined. A position beyond the end of the log
/// (a backup was restored, say) is answered with `resync`, and goes on from the end: what comes next must not be passed
/// by.
pub(crate) async fn poll(State(app): State<App>, call: Call) -> Reply {
    let (after, limit, filter) = call.read(&["after", "limit", "topics", "station", "type"], |input| {
        let after = input.parameter("after", |text| {
            position(text).ok_or_else(|| InvalidValue::new("must be an integer of 0 or more"))
        });
        Some((after.unwrap_or(0), input.limit(), filter(input)))
    })?;
    let _turn = app.lists.acquire().await;
    let mut rows = Rows::of("events");
    let position = read(&app.session(&call), &mut rows, after, limit, &filter).await?;
    rows.reply(&position)
}

async fn read(
    session: &Session,
    rows: &mut Rows,
    after: Sequence,
    limit: usize,
    filter: &EventFilter,
) -> Result<Position, Problem> {
    let mut position = Position { next_after: after, resync: None };
    for _ in 0..READS_MAX {
        let query = EventQuery {
            filter: filter.clone(),
            after: position.next_after,
            limit: limit - rows.count(),
            examined_max: EXAMINED_MAX + after - position.next_after,
        };
        let EventPage { events, last, is_end, .. } = session.events(&query).await?;
        if is_end {
            let newest = session.newest().await?;
            if after > newest {
                position.next_after = newest;
                position.resync = Some(Restart { oldest: newest.min(1), newest });
            }
            break;
        }
        for event in &events {
            if rows.add(std::slice::from_ref(event))? == 0 {
                // The next page begins with it.
                position.next_after = event.sequence - 1;
                return Ok(position);
            }
        }
        position.next_after = last;
        if rows.count() == limit || last - after >= EXAMINED_MAX {
            break;
        }
    }
    Ok(position)
}

/// What a poll or a stream is narrowed to.
fn filter(input: &Input<'_>) -> EventFilter {
    let topics = input.list("topics", |text| match text {
        // Its ticks are no events of the log.
        "analytics" => Ok(None),
        _ => Topic::ALL
            .into_iter()
            .find(|topic| topic.as_str() == text)
            .map(Some)
            .ok_or_else(|| InvalidValue::new("must list trade, cargo, inventory or analytics")),
    });
    let types = input.list("type", |text| {
        EventType::try_from(text).map_err(|_| {
            let kinds: Vec<_> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
            InvalidValue(format!("must list {}", kinds.join(", ")))
        })
    });
    let stations = input.list("station", |text| StationId::try_from(text));
    let filter = EventFilter { topics: Vec::new(), types, stations, scope: Scope::All };
    let nothing_of_the_log = !topics.is_empty() && topics.iter().all(Option::is_none);
    if nothing_of_the_log {
        // An empty list of topics would narrow nothing; no event is of this topic and this kind.
        return EventFilter { topics: vec![Topic::Trade], types: vec![EventType::CargoCreated], ..filter };
    }
    EventFilter { topics: topics.into_iter().flatten().collect(), ..filter }
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(crate) async fn stream(State(app): State<App>, call: Call) -> Reply {
    let (query_id, filter) = call.read(&["lastEventId", "topics", "station", "type"], |input| {
        let query_id = input.parameter("lastEventId", |text| Ok(text.to_owned()));
        Some((query_id, filter(input)))
    })?;
    // A client that has no id yet may send an empty one, and one that has several means the last.
    let headers = call.headers.get_all(LAST_EVENT_ID).iter().rev().map(HeaderValue::as_bytes);
    let query_id = query_id.as_deref().map(str::as_bytes);
    let given = headers.chain(query_id).find(|id| !id.is_empty());
    let after = given.map(last_event_id).transpose()?;
    let room = app.streams.clone().try_acquire_owned();
    let room = room.map_err(|_| Problem::new("overloaded", "there are too many open streams: try again"))?;
    let subscription = app.session(&call).subscribe(after, filter);
    let open = app.metrics.stream_opened(room);
    let feed = Feed::new(subscription, app.feeds.clone(), call.context.clone(), open);
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store, no-transform"),
        (ACCEL_BUFFERING, "no"),
    ];
    Ok((headers, feed).into_response())
}

/// The position a client goes on from.
fn last_event_id(id: &[u8]) -> Result<Sequence, Problem> {
    std::str::from_utf8(id).ok().and_then(position).ok_or_else(|| {
        Problem::new("invalid-last-event-id", "the last event id must be an integer of 0 or more")
    })
}
