// What holds for Server-Sent Events over TCP, whoever writes them. Included where `serve` says who does.

use crate::common::broken::{AWAY, Broken};
use crate::common::guarded::Guarded;
use crate::common::sse::{Place, Stream};
use crate::common::{Network, trade};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use trade_core::access::{NewKey, Role};
use trade_core::service::TradeService;
use trade_core::values::Scope;
use trade_http::HttpOptions;

const PATH: &str = "/api/updates/real-time";

async fn served() -> (Network, Place) {
    let network = Network::stocked().await;
    let address = serve(network.router.clone()).await;
    (network, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_greeting_comes_at_once_and_in_order() {
    let (network, address) = served().await;
    let mut stream = Stream::open(address, "/api/updates/real-time/", None).await;
    assert_eq!(stream.status, 200);
    for header in [
        "content-type: text/event-stream",
        "cache-control: no-store, no-transform",
        "x-accel-buffering: no",
        "x-request-id: ",
    ] {
        assert!(stream.head.contains(header), "{header}: {}", stream.head);
    }
    let greeting = stream.next().await.unwrap();
    assert_eq!(greeting.lines, ["retry: 2000", "id: 2", "data: Connection established"]);

    network.post("/api/trades", trade("T-1")).await.expect(201);
    for (sequence, kind) in
        [(3, "tradeInitiated"), (4, "cargoCreated"), (5, "inventoryUpdated"), (6, "inventoryUpdated")]
    {
        let frame = stream.next().await.unwrap();
        assert_eq!((frame.sequence(), frame.kind()), (sequence, kind));
        let order: Vec<_> = frame.lines.iter().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(order, ["id", "event", "data"]);
        let stored = network.get(&format!("/api/updates?after={}&limit=1", sequence - 1)).await.expect(200);
        assert_eq!(frame.json(), stored["events"][0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_resumed_by_header_or_query_and_the_header_wins() {
    let (network, address) = served().await;
    network.post("/api/trades", trade("T-1")).await.expect(201);
    let with_query = format!("{PATH}?lastEventId=0");
    let cases = [
        (PATH, Some("3"), 3),
        (&with_query, None, 0),
        (&with_query, Some("4"), 4),
        (PATH, Some(""), 6),
        (PATH, Some("6"), 6),
    ];
    for (path, header, position) in cases {
        let (mut stream, greeting) = Stream::greeted(address, path, header).await;
        assert_eq!(greeting.sequence(), position, "{path} {header:?}");
        for sequence in position + 1..=6 {
            assert_eq!(stream.next().await.unwrap().sequence(), sequence);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_positions_the_last_counts_and_an_empty_one_is_none() {
    let (network, address) = served().await;
    network.post("/api/trades", trade("T-1")).await.expect(201);
    for (query, header, position) in [
        ("lastEventId=3&lastEventId=4", None, 4),
        ("lastEventId=x&topics=trade&lastEventId=4", None, 4),
        ("lastEventId=", None, 6),
        ("lastEventId=3&lastEventId=", None, 3),
        ("lastEventId=3&lastEventId=&lastEventId=4&lastEventId=", None, 4),
        ("lastEventId=&lastEventId=", None, 6),
        ("lastEventId=3", Some(""), 3),
        ("lastEventId=3", Some("4\r\nLast-Event-ID: 5"), 5),
        ("lastEventId=3", Some("4\r\nLast-Event-ID:"), 4),
        ("lastEventId=3", Some("\r\nLast-Event-ID:"), 3),
    ] {
        let (_, greeting) = Stream::greeted(address, &format!("{PATH}?{query}"), header).await;
        assert_eq!(greeting.sequence(), position, "{query} {header:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_only_the_store_knows_is_decided_once_it_is_back() {
    static END: AtomicU64 = AtomicU64::new(10);
    let options = HttpOptions { heartbeat: Duration::from_millis(100), ..HttpOptions::default() };
    let network = Network::of(TradeService::start(Arc::new(Broken::Ending(&END))).await.unwrap(), options);
    let address = serve(network.router.clone()).await;
    END.store(AWAY, Ordering::Relaxed);
    let mut within = Stream::open(address, PATH, Some("15")).await;
    let mut beyond = Stream::open(address, PATH, Some("50")).await;
    for stream in [&mut within, &mut beyond] {
        assert_eq!(stream.status, 200, "{}", stream.head);
        assert!(stream.next().await.unwrap().comment, "it shows that it lives");
    }
    END.store(20, Ordering::Relaxed);
    for (mut stream, position, resync) in [(within, 15, None), (beyond, 20, Some(json!({"oldest": 1, "newest": 20})))] {
        let mut greeting = stream.next().await.unwrap();
        while greeting.comment {
            greeting = stream.next().await.unwrap();
        }
        assert_eq!((greeting.data.as_deref(), greeting.sequence()), (Some("Connection established"), position));
        let next = stream.next().await.unwrap();
        assert_eq!(next.comment, resync.is_none(), "{next:?}");
        if let Some(resync) = resync {
            assert_eq!((next.kind(), next.json()), ("resync", resync));
        }
    }
    END.store(AWAY, Ordering::Relaxed);
    let mut undecided = Stream::open(address, PATH, Some("50")).await;
    network.shutdown.begin();
    while undecided.next().await.unwrap().kind() != "bye" {}
    assert_eq!(undecided.next().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_and_no_answer_is_cut_where_somebody_sees_a_line_end() {
    let (network, address) = served().await;
    let (mut stream, _) = Stream::greeted(address, PATH, None).await;
    let name = "a\u{2028}b\u{2029}c";
    let made = network.post("/api/inventory", json!({"stationId": "pallas", "name": name})).await;
    assert_eq!(made.expect(201)["inventory"]["name"], name);
    let event = stream.next().await.unwrap();
    assert_eq!(event.json()["data"]["inventory"]["name"], name);
    let refused = network.post("/api/inventory", json!({"stationId": "x", "\u{85}\u{2028}": 1})).await;
    assert_eq!(refused.faults(), ["\u{85}\u{2028}"]);
    for text in [made.text, event.data.unwrap(), network.get("/api/updates?after=2").await.text, refused.text] {
        assert!(text.contains("\\u2028") && !text.contains(['\u{85}', '\u{2028}', '\u{2029}']), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_beyond_the_newest_is_told() {
    let (network, address) = served().await;
    for beyond in ["3", "1000", "99999999999999999999999999"] {
        let (mut stream, greeting) = Stream::greeted(address, PATH, Some(beyond)).await;
        assert_eq!(greeting.sequence(), 2);
        let resync = stream.next().await.unwrap();
        assert_eq!((resync.kind(), resync.sequence()), ("resync", 2));
        assert_eq!(resync.json(), json!({"oldest": 1, "newest": 2}));
    }
    let (mut stream, _) = Stream::greeted(address, PATH, Some("1000")).await;
    stream.next().await.unwrap();
    network.post("/api/trades", trade("T-1")).await.expect(201);
    assert_eq!(stream.next().await.unwrap().sequence(), 3);
    let empty = Network::new().await;
    let address = serve(empty.router.clone()).await;
    let (mut stream, greeting) = Stream::greeted(address, PATH, Some("1")).await;
    assert_eq!(greeting.sequence(), 0);
    assert_eq!(stream.next().await.unwrap().json(), json!({"oldest": 0, "newest": 0}));
}

#[tokio::test]
async fn a_position_that_is_no_number_is_refused() {
    let network = Network::new().await;
    for bad in ["x", "-1", "1.0", "+1", "1 2", "0x1", "é"] {
        network.ask("GET", PATH, &[("last-event-id", bad)], None).await.problem(422, "invalid-last-event-id");
    }
    for bad in ["x", "-1", "1&lastEventId=x"] {
        let got = network.get(&format!("{PATH}?lastEventId={bad}")).await;
        got.problem(422, "invalid-last-event-id");
        assert!(!got.header("x-request-id").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_narrowed_to_topics_stations_and_types() {
    let (network, address) = served().await;
    network.post("/api/inventory", json!({"stationId": "pallas", "items": ["fuel"]})).await.expect(201);
    network.post("/api/trades", trade("T-1")).await.expect(201);
    let body = json!({"transactionId": "T-2", "buyer": "vesta", "seller": "pallas", "items": ["fuel"]});
    network.post("/api/trades", body).await.expect(201);
    network.patch("/api/cargo/shipment-T-2", json!({"location": "belt"})).await.expect(200);
    // 1 2 3 stations, 4 5 6 7 the first trade, 8 9 10 11 the second, 12 its cargo.
    for (filter, expected) in [
        ("topics=trade", &[4, 8][..]),
        ("topics=cargo,trade", &[4, 5, 8, 9, 12]),
        ("type=cargoUpdated,tradeInitiated", &[4, 8, 12]),
        ("station=pallas", &[3, 8, 9, 10, 12]),
        ("station=pallas,ceres&topics=inventory", &[1, 3, 6, 10]),
        ("topics=inventory,analytics&station=pallas", &[3, 10]),
    ] {
        let path = format!("{PATH}?{filter}&lastEventId=0");
        let (mut stream, _) = Stream::greeted(address, &path, None).await;
        for sequence in expected {
            assert_eq!(stream.next().await.unwrap().sequence(), *sequence, "{filter}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticks_alone_bring_no_event_of_the_log() {
    let network =
        Network::with(HttpOptions { heartbeat: Duration::from_millis(200), ..HttpOptions::default() }).await;
    network.stock().await;
    let address = serve(network.router.clone()).await;
    let (mut stream, _) =
        Stream::greeted(address, &format!("{PATH}?topics=analytics&lastEventId=0"), None).await;
    assert!(stream.next().await.unwrap().comment);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_event_after_an_idle_while_arrives_at_once() {
    let (network, address) = served().await;
    let (mut stream, _) = Stream::greeted(address, PATH, None).await;
    for round in 0..2 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let emitted = Instant::now();
        network.post("/api/trades", trade(&format!("T-{round}"))).await.expect(201);
        for _ in 0..4 {
            stream.next().await.unwrap();
        }
        assert!(emitted.elapsed() < Duration::from_millis(900), "{:?}", emitted.elapsed());
    }
}

#[test]
fn a_stream_shows_that_it_lives_well_before_it_must() {
    // At least every 15 s, and what is sent then is late already.
    assert_eq!(HttpOptions::default().heartbeat, Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_stream_shows_that_it_lives() {
    let network =
        Network::with(HttpOptions { heartbeat: Duration::from_millis(50), ..HttpOptions::default() }).await;
    network.stock().await;
    let address = serve(network.router.clone()).await;
    let (mut stream, _) = Stream::greeted(address, PATH, None).await;
    for _ in 0..3 {
        let frame = stream.next().await.unwrap();
        assert!(frame.comment && frame.id.is_none() && frame.lines.len() == 1, "{frame:?}");
    }
    network.post("/api/trades", trade("T-1")).await.expect(201);
    while stream.next().await.unwrap().kind() != "tradeInitiated" {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_come_and_go_miss_nothing_while_others_write() {
    let (network, address) = served().await;
    let service = network.service.clone();
    let writer = tokio::spawn(async move {
        let network = Network::of(service, HttpOptions::default());
        for index in 0..150 {
            let (buyer, seller) = if index % 2 == 0 { ("ceres", "vesta") } else { ("vesta", "ceres") };
            let body = json!({"transactionId": format!("T-{index}"), "buyer": buyer, "seller": seller, "items": ["fuel"]});
            network.post("/api/trades", body).await.expect(201);
        }
    });
    let (mut position, mut reconnects) = (0, 0);
    while position < 602 {
        let (mut stream, greeting) = Stream::greeted(address, PATH, Some(&position.to_string())).await;
        assert_eq!(greeting.sequence(), position);
        for _ in 0..37 {
            if position < 602 {
                position += 1;
                assert_eq!(stream.next().await.unwrap().sequence(), position);
            }
        }
        reconnects += 1;
    }
    assert!(reconnects > 10);
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stands_still_holds_nobody_up_and_misses_nothing() {
    // More than both ends of a connection hold by themselves.
    const STATIONS: u64 = 120;
    let (network, address) = served().await;
    let (mut stalled, _) = Stream::greeted(address, PATH, None).await;
    let (mut lively, _) = Stream::greeted(address, PATH, None).await;
    let items: Vec<_> = (0..700).map(|n| format!("{n:060}")).collect();
    for n in 0..STATIONS {
        let body = json!({"stationId": format!("s-{n}"), "items": &items});
        network.post("/api/inventory", body).await.expect(201);
        assert_eq!(lively.next().await.unwrap().sequence(), 3 + n);
    }
    for n in 0..STATIONS {
        assert_eq!(stalled.next().await.unwrap().sequence(), 3 + n);
    }
    // It has caught up, and is told what comes next as everyone is.
    network.post("/api/trades", trade("T-1")).await.expect(201);
    for stream in [&mut stalled, &mut lively] {
        assert_eq!(stream.next().await.unwrap().sequence(), 3 + STATIONS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_says_goodbye_when_the_application_ends() {
    for begin in [true, false] {
        let (network, address) = served().await;
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(Stream::greeted(address, PATH, None).await.0);
        }
        assert!(network.get("/metrics").await.text.contains("trade_http_open_streams 3"));
        if begin {
            network.shutdown.begin();
        } else {
            network.service.shutdown().await;
        }
        for stream in &mut streams {
            let bye = stream.next().await.unwrap();
            assert_eq!(
                (bye.kind(), bye.json(), bye.id.as_ref()),
                ("bye", json!({"reason": "shutdown"}), None)
            );
            assert_eq!(stream.next().await, None);
        }
        let (mut late, _) = Stream::greeted(address, PATH, None).await;
        assert_eq!(late.next().await.unwrap().kind(), "bye");
        drop((streams, late));
        let patience = Instant::now();
        while !network.get("/metrics").await.text.contains("trade_http_open_streams 0") {
            assert!(patience.elapsed() < Duration::from_secs(10));
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_outlives_a_log_that_cannot_be_read() {
    let how = Broken::Failing(trade_core::store::StoreErrorKind::Unavailable);
    let options = HttpOptions { heartbeat: Duration::from_millis(400), ..HttpOptions::default() };
    let network = Network::of(TradeService::start(Arc::new(how)).await.unwrap(), options);
    let address = serve(network.router.clone()).await;
    let (mut stream, greeting) = Stream::greeted(address, PATH, Some("3")).await;
    assert_eq!(greeting.sequence(), 3);
    network.shutdown.begin();
    while stream.next().await.unwrap().kind() != "bye" {}
}

#[tokio::test]
async fn a_stream_whose_log_hangs_says_goodbye_at_once() {
    let service = TradeService::start(Arc::new(Broken::Hanging)).await.unwrap();
    let network = Network::of(service, HttpOptions::default());
    let address = serve(network.router.clone()).await;
    let (mut stream, _) = Stream::greeted(address, PATH, Some("3")).await;
    network.shutdown.begin();
    // Long before the next heartbeat is due.
    let last = tokio::time::timeout(Duration::from_secs(3), stream.next()).await.expect("it does not wait for the log");
    assert_eq!(last.unwrap().kind(), "bye");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_once_its_key_is_revoked_or_expires_and_no_other_does() {
    let guarded = Guarded::new().await;
    let address = serve(guarded.network.router.clone()).await;
    let (kept, revoked) = (guarded.key(Role::Auditor).await, guarded.key(Role::Auditor).await);
    let mut expiring = NewKey::new([Role::Auditor], Scope::All);
    expiring.expires_at = Some(guarded.network.service.now().plus(Duration::from_secs(2)));
    let expiring = guarded.keys.create(expiring, guarded.network.service.now()).await.unwrap().1;
    let mut streams = Vec::new();
    for token in [&kept, &revoked, &expiring] {
        let path = format!("{PATH}?ticket={}", guarded.ticket(token).await);
        streams.push(Stream::greeted(address, &path, None).await.0);
    }
    guarded.service_owner().post("/api/trades", trade("T-1")).await.expect(201);
    for stream in &mut streams {
        assert_eq!(stream.next().await.unwrap().sequence(), 3);
    }
    let began = Instant::now();
    guarded.keys.revoke(revoked.id(), guarded.network.service.now()).await.unwrap();
    for (place, reason) in [(1, "revoked"), (2, "token_expired")] {
        let stream = &mut streams[place];
        let mut last = stream.next().await.unwrap();
        while last.kind() != "bye" {
            assert!(last.comment || last.sequence() < 7, "{last:?}");
            last = stream.next().await.unwrap();
        }
        assert_eq!((last.json(), last.id.as_ref()), (json!({"reason": reason}), None));
        assert_eq!(stream.next().await, None);
        assert!(began.elapsed() < Duration::from_secs(5), "{reason}: {:?}", began.elapsed());
    }
    guarded.service_owner().post("/api/trades", trade("T-2")).await.expect(201);
    while streams[0].next().await.unwrap().kind() != "tradeInitiated" {}
}
