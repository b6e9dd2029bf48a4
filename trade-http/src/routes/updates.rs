//! `/updates`: the events, by polling and as a stream.

use crate::access::tickets::TicketText;
use crate::app::App;
use crate::feed::Feed;
use crate::input::position;
use crate::operation::{MakeSchema, Operation, of_read};
use crate::page::{PageOf, Rows};
use crate::problem::Problem;
use crate::query::{After, Asked, Limit, Listed, Text, parameters};
use crate::reply::Reply;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::IntoResponse;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use std::borrow::Cow;
use trade_core::event::{Event, EventFilter, EventType, Topic};
use trade_core::resource::Sequence;
use trade_core::service::{EventPage, EventQuery, Session};
use trade_core::values::{InvalidValue, Scope, StationId};

/// The operations on events.
pub(super) fn operations() -> Vec<Operation> {
    const TAG: &str = "updates";
    let stream: MakeSchema = |_| {
        json_schema!({
            "type": "string",
            "description": "Server-Sent Events. The first is a greeting of type `message`, whose `id` is the position \
                that the stream goes on from. Then comes each event, with its sequence as `id`, its type as `event` and \
                itself as `data`: see `/asyncapi.json`. `resync` says that the log ends before the position that was \
                asked for; `bye` that the server ends, or that the login of its \
                reader has.",
            "examples": ["retry: 2000\nid: 41\ndata: Connection established\n\n"],
        })
    };
    let poll = Operation::new(TAG, "Events by polling, oldest first", poll)
        .at(Method::GET, "/api/updates", "listUpdates")
        .answers::<PageOf<Event, Position>>(StatusCode::OK, "The events after a position.", &[]);
    let stream = Operation::new(TAG, "Events as a stream", self::stream)
        .at(Method::GET, "/api/updates/real-time", "streamUpdates")
        .reads(&["Last-Event-ID"])
        .answers_with(
            StatusCode::OK,
            "The stream.",
            Some(("text/event-stream", stream)),
            &["X-Accel-Buffering"],
        )
        .refuses(&["invalid-request", "invalid-last-event-id"]);
    vec![of_read(poll), stream]
}

/// Events that one poll examines at most, and how many reads of the log it takes for it at most.
const EXAMINED_MAX: u64 = 5_000;
const READS_MAX: usize = 16;

/// Events after a position.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Poll")]
struct Position {
    /// The last sequence that was examined: the `after` of the next poll.
    next_after: Sequence,
    /// Where `after` is beyond the log, because a backup was restored: what it holds. Load everything anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    resync: Option<Restart>,
}

/// What the log holds, told to whoever was further than that.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Resync")]
pub(crate) struct Restart {
    /// The first sequence.
    oldest: Sequence,
    /// The last sequence.
    newest: Sequence,
}

parameters! {
    /// Which events.
    pub(crate) struct WhichEvents {
        /// Only those after this sequence.
        "after" => after: After,
        /// The most events.
        "limit" => limit: Limit<500, 50>,
        /// Only those about these.
        "topics" => topics: Listed<StreamTopic>,
        /// Only those that concern one of these stations.
        "station" => stations: Listed<StationId>,
        /// Only those of these types.
        "type" => types: Listed<EventType>,
    }

    /// Which events of the stream.
    pub(crate) struct WhichStream {
        /// The sequence to go on from, for who cannot set `Last-Event-ID`, which wins. 0 is everything that is stored;
        /// nothing is from now on.
        "lastEventId" => last_event_id: Text,
        /// Who reads, for who cannot set `Authorization`: a ticket of `POST /api/updates/ticket`, which is usable once.
        "ticket" => _ticket: Option<TicketText>,
        /// Only those about these.
        "topics" => topics: Listed<StreamTopic>,
        /// Only those that concern one of these stations.
        "station" => stations: Listed<StationId>,
        /// Only those of these types.
        "type" => types: Listed<EventType>,
    }
}

/// The events after a position. `nextAfter` is the last sequence that was examined. A position beyond the end of the log
/// (a backup was restored, say) is answered with `resync`, and goes on from the end: what comes next must not be passed
/// by.
pub(crate) async fn poll(State(app): State<App>, asked: Asked<WhichEvents>) -> Reply {
    let WhichEvents { after: After(after), limit: Limit(limit), topics, stations, types } = asked.parameters;
    let filter = filter(topics, stations, types);
    let _turn = app.lists.acquire().await;
    let mut rows = Rows::of::<Event>();
    let position = read(&app.session(&asked.call), &mut rows, after, limit, &filter).await?;
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

/// A topic of the stream; none for that of ticks, which are no events of the log.
#[derive(Debug)]
pub(crate) struct StreamTopic(Option<Topic>);

const ANALYTICS: &str = "analytics";

impl TryFrom<&str> for StreamTopic {
    type Error = InvalidValue;

    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        let topic = Topic::ALL.into_iter().find(|topic| topic.as_str() == text);
        if topic.is_none() && text != ANALYTICS {
            return Err(InvalidValue::new("must list trade, cargo, inventory or analytics"));
        }
        Ok(Self(topic))
    }
}

impl JsonSchema for StreamTopic {
    fn schema_name() -> Cow<'static, str> {
        "StreamTopic".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<_> = Topic::ALL.into_iter().map(Topic::as_str).chain([ANALYTICS]).collect();
        json_schema!({ "description": "What an event is about.", "type": "string", "enum": words })
    }
}

/// What a poll or a stream is narrowed to.
fn filter(
    Listed(topics): Listed<StreamTopic>,
    Listed(stations): Listed<StationId>,
    Listed(types): Listed<EventType>,
) -> EventFilter {
    let filter = EventFilter { topics: Vec::new(), types, stations, scope: Scope::All };
    let nothing_of_the_log = !topics.is_empty() && topics.iter().all(|topic| topic.0.is_none());
    if nothing_of_the_log {
        // An empty list of topics would narrow nothing; no event is of this topic and this kind.
        return EventFilter { topics: vec![Topic::Trade], types: vec![EventType::CargoCreated], ..filter };
    }
    EventFilter { topics: topics.into_iter().filter_map(|topic| topic.0).collect(), ..filter }
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(crate) async fn stream(State(app): State<App>, asked: Asked<WhichStream>) -> Reply {
    let Asked { call, parameters } = asked;
    let WhichStream { last_event_id: Text(query_id), topics, stations, types, .. } = parameters;
    let filter = filter(topics, stations, types);
    // A client that has no id yet may send an empty one, and one that has several means the last.
    let headers = call.headers.get_all(LAST_EVENT_ID).iter().rev().map(HeaderValue::as_bytes);
    let query_id = query_id.as_deref().map(str::as_bytes);
    let given = headers.chain(query_id).find(|id| !id.is_empty());
    let after = given.map(last_event_id).transpose()?;
    let room = app.streams.clone().try_acquire_owned();
    let room = room.map_err(|_| Problem::new("overloaded", "there are too many open streams: try again"))?;
    let subscription = app.session(&call).subscribe(after, filter);
    let open = app.metrics.stream_opened(room);
    let feed = Feed::new(subscription, call.lease, app.feeds.clone(), call.context, open);
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store, no-transform"),
        (ACCEL_BUFFERING, "no"),
    ];
    Ok((headers, app.writers(), feed).into_response())
}

/// The position a client goes on from.
fn last_event_id(id: &[u8]) -> Result<Sequence, Problem> {
    std::str::from_utf8(id).ok().and_then(position).ok_or_else(|| {
        Problem::new("invalid-last-event-id", "the last event id must be an integer of 0 or more")
    })
}
