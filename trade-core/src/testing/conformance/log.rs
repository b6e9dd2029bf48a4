//! The log: every step in commit order, and who waits for it.

use super::harness::{Harness, taken};
use crate::cause::{Cause, TraceParent};
use crate::command::{CreateStation, Request};
use crate::event::{Actor, Event, EventFilter};
use crate::resource::CargoStatus;
use crate::testing::fixtures::*;
use crate::testing::snapshot::{self, Snapshot};
use std::time::Duration;

/// How long an event of another server may take at most.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// Two stations, then trades of four events each.
async fn trades(h: &Harness, count: usize) {
    h.write(&[open_station("a", &[("tea", 1_000)]), open_station("b", &[])]).await;
    for n in 0..count {
        h.write(&[initiate(sale(&format!("T-{n}"), "a", "b", &[("tea", 1)]))]).await;
    }
}

/// Reading after the end gives nothing, however far after.
pub async fn the_log_ends_where_it_ends(h: Harness) {
    trades(&h, 2).await;
    let head = h.store().head().await.unwrap();
    assert_eq!(head.sequence, 10);
    assert!(h.store().read(10, 100, 1 << 20).await.unwrap().is_empty());
    assert!(h.store().read(11, 100, 1 << 20).await.unwrap().is_empty());
    assert!(h.store().read(1 << 50, 100, 1 << 20).await.unwrap().is_empty());
    let all = h.store().read(0, 100, 1 << 20).await.unwrap();
    assert_eq!(all.iter().map(|record| record.last).collect::<Vec<_>>(), [1, 2, 6, 10]);
}

/// A position between two events of one step gives the record of that step first.
pub async fn a_position_inside_a_record_gives_that_record(h: Harness) {
    trades(&h, 2).await;
    for (after, first, last) in
        [(0, 1, 1), (1, 2, 2), (2, 3, 6), (3, 3, 6), (5, 3, 6), (6, 7, 10), (9, 7, 10)]
    {
        let found = h.store().read(after, 100, 1 << 20).await.unwrap();
        assert_eq!((found[0].first(), found[0].last), (first, last), "after {after}");
        assert_eq!(found.last().unwrap().last, 10);
    }
}

/// `records_max` bounds a read, and the next one goes on from there.
pub async fn no_more_records_are_read_than_asked_for(h: Harness) {
    trades(&h, 5).await;
    for records_max in [1, 2, 3, 7, 8] {
        let found = h.store().read(0, records_max, 1 << 20).await.unwrap();
        assert_eq!(found.len(), records_max.min(7));
        assert_eq!(found[0].first(), 1);
    }
}

/// `bytes_max` ends a read, but never before the first record.
pub async fn bytes_end_a_read_after_at_least_one_record(h: Harness) {
    trades(&h, 20).await;
    for bytes_max in [0, 1] {
        let found = h.store().read(0, 100, bytes_max).await.unwrap();
        assert_eq!(found.len(), 1, "at least one record, and none after {bytes_max} bytes");
    }
    let all = h.store().read(0, 100, 1 << 20).await.unwrap();
    let some = h.store().read(0, 100, 400).await.unwrap();
    assert!(!some.is_empty() && some.len() < all.len(), "400 bytes do not hold {} records", all.len());
    assert_eq!(some[..], all[..some.len()]);
}

/// What was committed is what is read: who, when, what, in every part of the step.
pub async fn a_step_is_read_back_as_it_was_committed(h: Harness) {
    trades(&h, 0).await;
    let mut asked = order("T-1", "a", "b", &[("tea", 3)]);
    asked.eta = Some(time("2031-03-04T05:06:07.089Z"));
    asked.expires_at = Some(time("2030-01-01T00:00:00Z"));
    asked.items =
        crate::resource::Lines::new(vec![priced("tea", 3, "2.50"), priced("tea", 1, "2.5"), line("tea", 2)])
            .unwrap();
    let commands = [
        initiate(asked),
        move_cargo(shipment_of("T-1"), CargoStatus::InTransit),
        move_cargo(shipment_of("T-1"), CargoStatus::Lost),
        adjust("b", &[("rice", 5), ("rice", -5), ("tea", 1)]),
    ];
    for command in commands {
        let commit = h.prepare(&[command]).await;
        h.store().commit(&commit).await.unwrap();
        let found = h.store().read(commit.base.sequence, 1, 1 << 20).await.unwrap();
        assert_eq!(found, commit.log);
    }
}

/// A server whose clock is behind writes at the time of the head.
pub async fn time_never_runs_backwards_along_the_log(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", 100)])).await;
    for (n, clock) in
        ["2026-11-22T12:00:00Z", "2026-11-22T11:00:00Z", "2020-01-01T00:00:00Z", "2026-11-22T12:00:01Z"]
            .into_iter()
            .enumerate()
    {
        h.clock.set(time(clock));
        taken(&service, open_station(&format!("s-{n}"), &[])).await;
    }
    let times: Vec<_> =
        snapshot::events(h.store()).await.iter().map(|event| event.time.to_string()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(
        times[1..],
        [
            "2026-11-22T12:00:00.000Z",
            "2026-11-22T12:00:00.000Z",
            "2026-11-22T12:00:00.000Z",
            "2026-11-22T12:00:01.000Z"
        ]
    );
    assert_eq!(h.store().head().await.unwrap().time, time("2026-11-22T12:00:01Z"));
    service.shutdown().await;
}

/// Events of another server of the same store arrive as well.
pub async fn a_subscriber_of_one_service_hears_of_another(h: Harness) {
    let (here, there) = (h.service().await, h.service_on(h.reopened().await).await);
    let mut heard = here.bus().subscribe(Some(0), EventFilter::default());
    for n in 0..10 {
        let service = if n % 3 == 0 { &here } else { &there };
        taken(service, open_station(&format!("s-{n}"), &[])).await;
        let event = tokio::time::timeout(HEARD_WITHIN, heard.next()).await.expect("it is heard of in time");
        let event = event.unwrap().expect("the bus is open");
        assert_eq!((event.event().sequence, event.event().subject()), (n + 1, format!("inventory/s-{n}")));
    }
    here.shutdown().await;
    there.shutdown().await;
}

/// `changed` returns within a bounded time after another handle wrote.
pub async fn a_waiting_reader_hears_of_another_handle(h: Harness) {
    let other = h.reopened().await;
    let after = h.store().head().await.unwrap().sequence;
    let waiting = {
        let store = h.shared();
        tokio::spawn(async move {
            while store.head().await.unwrap().sequence == after {
                store.changed(after).await.unwrap();
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    let commit = super::harness::prepare(&*other, &[open_station("a", &[])], start_time()).await;
    other.commit(&commit).await.unwrap();
    tokio::time::timeout(HEARD_WITHIN, waiting).await.expect("it is heard of in time").unwrap();
    let late = tokio::time::timeout(HEARD_WITHIN, h.store().changed(after)).await;
    late.expect("what was written before need not be waited for").unwrap();
}

/// Whoever comes late gets the stored part and the live part without a seam.
pub async fn a_late_subscriber_misses_nothing(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", 100)])).await;
    taken(&service, open_station("b", &[])).await;
    for n in 0..10 {
        let request = Request::new(initiate(sale(&format!("T-{n}"), "a", "b", &[("tea", 1)])));
        service.submit(request.by(Actor::Key("early".into()))).await.unwrap();
    }
    let restarted = h.service_on(h.reopened().await).await;
    let mut heard = restarted.bus().subscribe(Some(4), EventFilter::default());
    let writer = tokio::spawn({
        let service = service.clone();
        async move {
            for n in 10..20 {
                taken(&service, initiate(sale(&format!("T-{n}"), "a", "b", &[("tea", 1)]))).await;
            }
        }
    });
    let mut events: Vec<Event> = Vec::new();
    while events.last().is_none_or(|event| event.sequence < 2 + 20 * 4) {
        let event = tokio::time::timeout(HEARD_WITHIN, heard.next()).await.expect("it is heard of in time");
        events.push(event.unwrap().expect("the bus is open").event().clone());
    }
    writer.await.unwrap();
    assert_eq!(events, Snapshot::of(h.store()).await.events()[4..]);
    service.shutdown().await;
    restarted.shutdown().await;
}

/// What is known of the request that caused a step lasts as long as the step.
pub async fn what_caused_a_step_lasts(h: Harness) {
    let service = h.service().await;
    let cause = Cause {
        trace_parent: Some(TraceParent::new([0xab; 16], [0xcd; 8], 1).unwrap()),
        request_id: Some("7".repeat(128).into()),
        address: Some("2001:db8::7".parse().unwrap()),
    };
    for (id, caused_by) in [("a", cause.clone()), ("b", Cause::default())] {
        let station = CreateStation::new(station(id));
        service.submit(Request::new(station).caused_by(caused_by)).await.unwrap();
    }
    let store = h.reopened().await;
    let records = store.read(0, 9, usize::MAX).await.unwrap();
    let causes: Vec<_> = records.iter().map(|record| record.step.cause.as_deref()).collect();
    assert_eq!(causes, [Some(&cause), None]);
    let told = records.iter().map(|record| record.step.events(record.first())[0].trace_parent);
    assert_eq!(told.collect::<Vec<_>>(), [cause.trace_parent, None]);
    service.shutdown().await;
}

/// A clock that a store has of its own goes forward.
pub async fn a_clock_of_the_stores_own_goes_forward(h: Harness) {
    let Some(first) = h.store().clock().await.unwrap() else { return };
    let second = h.store().clock().await.unwrap().expect("it still has one");
    assert!(first <= second && first > time("2020-01-01T00:00:00Z"), "{first} {second}");
}
