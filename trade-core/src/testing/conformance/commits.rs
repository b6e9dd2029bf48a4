//! Commits: all of it or nothing, and only over what was loaded.

use super::harness::{Harness, prepare, prepare_in_turn, prepare_unseen, receipt};
use crate::command::{Command, RequestId};
use crate::resource::{CargoStatus, TradeStatus};
use crate::store::{Commit, Head, Keys, StoreErrorKind, TimeRange, TradeFilter, TradeQuery, Write};
use crate::testing::audit::audit;
use crate::testing::fixtures::*;
use crate::testing::snapshot::Snapshot;
use std::sync::Arc;
use std::time::Duration;

/// Three stations and two orders, each of version 1 or more.
async fn world(h: &Harness) {
    let commands = [
        open_station("a", &[("tea", 50), ("rice", 20)]),
        open_station("b", &[]),
        open_station("c", &[("tea", 5)]),
        initiate(order("T-1", "a", "b", &[("tea", 3)])),
        initiate(order("T-2", "a", "b", &[("rice", 4)])),
    ];
    h.write(&commands).await;
}

/// Asserts that a commit, with a receipt in it, is a conflict, and that nothing of it landed.
async fn assert_conflict(h: &Harness, commit: Commit) {
    assert_refused(h, commit, false).await;
}

/// The same, by who holds the head or by who does not.
async fn assert_refused(h: &Harness, mut commit: Commit, is_held: bool) {
    commit.receipts.push(receipt(200, commit.time));
    let before = Snapshot::of(h.store()).await;
    let committed = if is_held {
        h.store().hold().await.unwrap().commit(&commit).await
    } else {
        h.store().commit(&commit).await
    };
    let error = committed.expect_err("something is not as the commit expects it");
    assert_eq!(error.kind, StoreErrorKind::Conflict, "{error}");
    assert_eq!(Snapshot::of(h.store()).await, before, "nothing landed");
    assert!(!has_receipt(h, 200).await, "nor the receipt");
}

async fn has_receipt(h: &Harness, request: u8) -> bool {
    let keys = Keys { requests: [RequestId([request; 16])].into(), ..Keys::default() };
    !h.store().load(&keys).await.unwrap().receipts.is_empty()
}

/// Moves the head on, so that a store cannot tell from it alone that nothing changed.
async fn move_head(h: &Harness) {
    h.write(&[open_station("elsewhere", &[("gold", 1)])]).await;
}

fn find<K: PartialEq + std::fmt::Debug, T>(writes: &mut [Write<K, T>], key: K) -> &mut Write<K, T> {
    writes.iter_mut().find(|write| write.key == key).expect("the commit names the row")
}

fn depart(trade: &str) -> Command {
    move_cargo(shipment_of(trade), CargoStatus::InTransit)
}

/// Changes T-1 and its shipment while a commit over their old versions waits.
async fn overtaken(h: &Harness, waiting: &[Command], overtaking: &[Command]) -> Commit {
    world(h).await;
    let commit = h.prepare(waiting).await;
    h.write(overtaking).await;
    commit
}

/// A trade changed since it was loaded.
pub async fn a_stale_trade_version_lands_nothing(h: Harness) {
    let cancel = end_trade("T-1", TradeStatus::Cancelled);
    let mut commit = overtaken(&h, std::slice::from_ref(&cancel), std::slice::from_ref(&cancel)).await;
    // Only the trade is stale: the others stand as they are now.
    commit.cargo.clear();
    commit.stations.clear();
    commit.stock.clear();
    assert_conflict(&h, commit).await;
}

/// A shipment changed since it was loaded.
pub async fn a_stale_cargo_version_lands_nothing(h: Harness) {
    let mut seen = crate::command::UpdateCargo { location: Some(label("here")), ..track(shipment_of("T-1")) };
    let first = Command::UpdateCargo(seen.clone());
    seen.location = Some(label("there"));
    let mut commit = overtaken(&h, &[Command::UpdateCargo(seen)], &[first]).await;
    commit.trades.clear();
    commit.stations.clear();
    assert_conflict(&h, commit).await;
}

/// A station changed since it was loaded.
pub async fn a_stale_station_version_lands_nothing(h: Harness) {
    let commit = overtaken(&h, &[adjust("c", &[("tea", 1)])], &[adjust("c", &[("rice", 1)])]).await;
    assert_conflict(&h, commit).await;
}

/// A commit that changes station c and has also read something else.
async fn reading(h: &Harness) -> Commit {
    world(h).await;
    let mut commit = h.prepare(&[adjust("c", &[("tea", 1)])]).await;
    let read = h.prepare(&[depart("T-1")]).await;
    commit.trades = read.trades.into_iter().map(|w| Write { value: None, ..w }).collect();
    commit.cargo = read.cargo.into_iter().map(|w| Write { value: None, ..w }).collect();
    commit.stations.extend(read.stations.into_iter().map(|w| Write { value: None, ..w }));
    commit.stations.sort_by(|a, b| a.key.cmp(&b.key));
    commit
}

/// What was read decided what is written: a trade.
pub async fn a_stale_version_of_a_trade_that_is_only_read_lands_nothing(h: Harness) {
    let mut commit = reading(&h).await;
    commit.cargo.clear();
    commit.stations.retain(|write| write.value.is_some());
    h.write(&[end_trade("T-1", TradeStatus::Cancelled)]).await;
    assert_conflict(&h, commit).await;
}

/// What was read decided what is written: a shipment.
pub async fn a_stale_version_of_cargo_that_is_only_read_lands_nothing(h: Harness) {
    let mut commit = reading(&h).await;
    commit.trades.clear();
    commit.stations.retain(|write| write.value.is_some());
    h.write(&[depart("T-1")]).await;
    assert_conflict(&h, commit).await;
}

/// What was read decided what is written: a station.
pub async fn a_stale_version_of_a_station_that_is_only_read_lands_nothing(h: Harness) {
    let mut commit = reading(&h).await;
    commit.trades.clear();
    commit.cargo.clear();
    h.write(&[adjust("a", &[("tea", 1)])]).await;
    assert_conflict(&h, commit).await;
}

/// A trade was made since it was found absent.
pub async fn a_trade_that_should_be_absent_lands_nothing(h: Harness) {
    let one = initiate(order("T-3", "a", "b", &[("tea", 1)]));
    let mut commit = overtaken(&h, std::slice::from_ref(&one), std::slice::from_ref(&one)).await;
    commit.cargo.clear();
    commit.stations.clear();
    commit.stock.clear();
    assert_conflict(&h, commit).await;
}

/// A shipment was made since it was found absent.
pub async fn cargo_that_should_be_absent_lands_nothing(h: Harness) {
    let one = Command::CreateTransfer(transfer("X-1", "a", "b", &[("tea", 1)]));
    let mut commit = overtaken(&h, std::slice::from_ref(&one), std::slice::from_ref(&one)).await;
    commit.stations.clear();
    commit.stock.clear();
    assert_conflict(&h, commit).await;
}

/// A station was made since it was found absent.
pub async fn a_station_that_should_be_absent_lands_nothing(h: Harness) {
    let commit = overtaken(&h, &[open_station("d", &[("tea", 9)])], &[open_station("d", &[])]).await;
    assert_conflict(&h, commit).await;
}

/// An id that was never looked up is found taken although nobody wrote since the commit was loaded.
pub async fn an_id_that_is_taken_lands_nothing_wherever_the_head_is(h: Harness) {
    world(&h).await;
    let transfer = |id: &str| Command::CreateTransfer(transfer(id, "a", "b", &[("tea", 1)]));
    let sale = |id: &str| initiate(sale(id, "a", "b", &[("tea", 2)]));
    h.write(&[transfer("X-1"), sale("T-3")]).await;
    for taken in [sale("T-1"), sale("T-3"), transfer("X-1")] {
        let others = (10..30).map(|n| sale(&format!("T-{n}")));
        let many: Vec<_> = others.chain([transfer("X-2"), taken.clone()]).collect();
        for commands in [&[taken][..], &many] {
            for is_held in [false, true] {
                assert_refused(&h, prepare_unseen(h.store(), commands).await, is_held).await;
            }
        }
    }
    let free = prepare_unseen(h.store(), &[sale("T-4"), transfer("X-2")]).await;
    h.store().commit(&free).await.expect("these are free");
    h.assert_levels(&[("a", "tea", 46, 5, 0)]).await;
    audit(h.store()).await;
}

/// A commit that changes station c and found something absent that it does not write.
async fn reading_absent(h: &Harness) -> Commit {
    world(h).await;
    h.prepare(&[adjust("c", &[("tea", 1)])]).await
}

/// The absence that was read no longer holds: a trade.
pub async fn a_trade_that_is_only_read_as_absent_lands_nothing_where_it_exists(h: Harness) {
    let mut commit = reading_absent(&h).await;
    commit.trades.push(Write { key: trade_id("T-3"), expected: None, value: None, created: 0 });
    h.write(&[initiate(order("T-3", "a", "b", &[("tea", 1)]))]).await;
    assert_conflict(&h, commit).await;
}

/// The absence that was read no longer holds: a shipment.
pub async fn cargo_that_is_only_read_as_absent_lands_nothing_where_it_exists(h: Harness) {
    let mut commit = reading_absent(&h).await;
    commit.cargo.push(Write { key: shipment_of("T-3"), expected: None, value: None, created: 0 });
    h.write(&[initiate(order("T-3", "a", "b", &[("tea", 1)]))]).await;
    assert_conflict(&h, commit).await;
}

/// The absence that was read no longer holds: a station.
pub async fn a_station_that_is_only_read_as_absent_lands_nothing_where_it_exists(h: Harness) {
    let mut commit = reading_absent(&h).await;
    commit.stations.push(Write { key: station("d"), expected: None, value: None, created: 0 });
    h.write(&[open_station("d", &[])]).await;
    assert_conflict(&h, commit).await;
}

/// Rows that are expected and are not there.
pub async fn a_row_that_should_exist_lands_nothing_where_it_is_absent(h: Harness) {
    let commit = reading_absent(&h).await;
    move_head(&h).await;
    let mut trades = commit.clone();
    trades.trades.push(Write { key: trade_id("T-9"), expected: Some(1), value: None, created: 0 });
    assert_conflict(&h, trades).await;
    let mut cargo = commit.clone();
    cargo.cargo.push(Write { key: shipment_of("T-9"), expected: Some(1), value: None, created: 0 });
    assert_conflict(&h, cargo).await;
    let mut stations = commit;
    stations.stations.push(Write { key: station("z"), expected: Some(1), value: None, created: 0 });
    assert_conflict(&h, stations).await;
}

/// Everything fits but one station of many, and it is not the first that is looked at.
pub async fn one_stale_row_among_many_lands_nothing(h: Harness) {
    world(&h).await;
    let trades: Vec<_> =
        (10..40).map(|n| initiate(sale(&format!("T-{n}"), "a", "b", &[("tea", 1)]))).collect();
    let others = [adjust("c", &[("tea", 1)]), depart("T-2")];
    let mut commit = h.prepare(&[trades, others.to_vec()].concat()).await;
    move_head(&h).await;
    find(&mut commit.stations, station("c")).expected = Some(77);
    assert_conflict(&h, commit).await;
}

/// Two commits over different rows, decided at the same head: the second lands behind the first.
pub async fn matching_versions_over_a_stale_head_shift_the_sequences(h: Harness) {
    world(&h).await;
    let first = h.prepare(&[adjust("a", &[("tea", 1)])]).await;
    let second = h.prepare(&[adjust("c", &[("tea", 2)])]).await;
    assert_eq!(first.base, second.base);
    let head = h.store().commit(&first).await.unwrap();
    let after = h.store().commit(&second).await.unwrap();
    assert_eq!(after.sequence, head.sequence + 1);
    let stored = audit(h.store()).await;
    let last = stored.log.last().unwrap();
    assert_eq!((last.last, last.step.stations[0].station_id.as_str()), (after.sequence, "c"));
    assert_eq!(stored.ledger.last().unwrap().sequence, after.sequence, "its ledger rows move too");
}

/// Steps with trades, shipments, history and ledger rows all move by as much.
pub async fn a_shifted_commit_of_several_steps_keeps_every_place(h: Harness) {
    world(&h).await;
    let transfers =
        |id: &str, from: &str, to: &str| Command::CreateTransfer(transfer(id, from, to, &[("tea", 1)]));
    let steps = [
        open_station("d", &[("tea", 9)]),
        open_station("e", &[]),
        initiate(sale("T-8", "d", "e", &[("tea", 2)])),
        initiate(order("T-9", "d", "e", &[("tea", 3)])),
        depart("T-9"),
        move_cargo(shipment_of("T-9"), CargoStatus::Delivered),
        transfers("X-8", "d", "e"),
    ];
    let waiting = h.prepare(&steps).await;
    h.write(&[depart("T-1"), transfers("X-1", "c", "b"), open_station("f", &[("tea", 1)])]).await;
    let head = h.store().head().await.unwrap();
    let after = h.store().commit(&waiting).await.unwrap();
    assert_eq!(after.sequence, head.sequence + waiting.event_count());
    let stored = audit(h.store()).await;
    assert_eq!(
        stored.trades.iter().map(|t| t.transaction_id.as_str()).collect::<Vec<_>>(),
        ["T-9", "T-8", "T-2", "T-1"]
    );
    let stations: Vec<_> = stored.inventories.iter().map(|s| s.station_id.as_str()).collect();
    assert_eq!(stations, ["e", "d", "f", "c", "b", "a"], "newest first");
    let shift = head.sequence - waiting.base.sequence;
    let created = find(&mut waiting.cargo.clone(), shipment_of("T-9")).created;
    let mut expected = vec![created + shift];
    expected
        .extend(waiting.history.iter().filter(|(id, _)| *id == shipment_of("T-9")).map(|(_, at)| at + shift));
    assert_eq!(stored.history[&shipment_of("T-9")], expected);
}

/// A request that has landed cannot land again, even where every version fits.
pub async fn a_known_receipt_is_a_conflict(h: Harness) {
    world(&h).await;
    let mut commit = h.prepare(&[adjust("c", &[("tea", 1)])]).await;
    commit.receipts = vec![receipt(1, start_time())];
    h.store().commit(&commit).await.unwrap();
    let mut again = h.prepare(&[adjust("c", &[("tea", 1)])]).await;
    again.receipts = vec![receipt(1, start_time())];
    assert_conflict(&h, again.clone()).await;
    again.receipts = vec![receipt(2, start_time()), receipt(1, start_time()), receipt(3, start_time())];
    assert_conflict(&h, again).await;
    assert!(!has_receipt(&h, 2).await && !has_receipt(&h, 3).await);
}

/// A request that changes nothing may leave a receipt, and takes no sequence.
pub async fn receipts_land_without_a_step(h: Harness) {
    world(&h).await;
    let head = h.store().head().await.unwrap();
    let mut commit = h.prepare(&[]).await;
    commit.receipts = vec![receipt(9, start_time())];
    let after = h.store().commit(&commit).await.unwrap();
    assert_eq!(after.sequence, head.sequence);
    assert!(has_receipt(&h, 9).await);
    audit(h.store()).await;
    let again = h.store().commit(&commit).await.expect_err("the receipt is known");
    assert_eq!(again.kind, StoreErrorKind::Conflict);
}

/// The log's time never runs backwards, whatever the clock of a server says.
pub async fn a_time_before_the_head_is_a_conflict(h: Harness) {
    world(&h).await;
    let mut commit = h.prepare(&[adjust("c", &[("tea", 1)])]).await;
    let earlier = start_time().minus(Duration::from_millis(1));
    commit.time = earlier;
    for record in &mut commit.log {
        record.step = Arc::new(crate::step::Step { time: earlier, ..crate::step::Step::clone(&record.step) });
    }
    assert_conflict(&h, commit.clone()).await;
    commit.base = Head { time: earlier, ..commit.base };
    assert_conflict(&h, commit).await;
}

/// Many steps may share a millisecond.
pub async fn a_time_equal_to_the_head_lands(h: Harness) {
    world(&h).await;
    for _ in 0..3 {
        h.write(&[adjust("c", &[("tea", 1)])]).await;
    }
    assert_eq!(h.store().head().await.unwrap().time, start_time());
}

/// The steps of one commit may have several times, in order. The head must not be newer than the first; and a span of
/// time may begin or end between them.
pub async fn steps_of_several_times_land_in_one_commit(h: Harness) {
    world(&h).await;
    let at = |seconds| start_time().plus(Duration::from_secs(seconds));
    let trade = |id, seconds| (initiate(order(id, "a", "b", &[("tea", 1)])), at(seconds));
    let commit =
        prepare_in_turn(h.store(), &[trade("T-3", 10), trade("T-4", 20), trade("T-5", 20), trade("T-6", 30)])
            .await;
    let head = h.store().commit(&commit).await.unwrap();
    assert_eq!(head.time, at(30));
    for (since, until, expected) in [
        (10, 20, 1),
        (11, 20, 0),
        (10, 21, 3),
        (20, 30, 2),
        (21, 31, 1),
        (30, 40, 1),
        (0, 10, 2),
        (31, 40, 0),
    ] {
        let created = TimeRange { since: Some(at(since)), until: Some(at(until)) };
        let query =
            TradeQuery { filter: TradeFilter { created, ..TradeFilter::default() }, before: None, limit: 9 };
        let found = h.store().trades(&query).await.unwrap().rows;
        assert_eq!(found.len(), expected, "from {since} to {until}");
    }
    // Its last step would not be too old, its first one is.
    let mut commit = prepare_in_turn(h.store(), &[trade("T-7", 40), trade("T-8", 50)]).await;
    h.store().commit(&prepare(h.store(), &[adjust("c", &[("tea", 1)])], at(45)).await).await.unwrap();
    assert_conflict(&h, commit.clone()).await;
    commit.log.iter_mut().for_each(|record| Arc::make_mut(&mut record.step).time = at(45));
    h.store().commit(&commit).await.expect("now its first step is as new as the head");
}

/// The head that a commit answers is the one that is read afterwards, time included.
pub async fn the_head_is_answered_and_read_back(h: Harness) {
    world(&h).await;
    let later = start_time().plus(Duration::from_secs(5));
    let commit = prepare(h.store(), &[adjust("c", &[("tea", 1)])], later).await;
    let head = h.store().commit(&commit).await.unwrap();
    assert_eq!(head, Head { sequence: commit.base.sequence + 1, time: later });
    assert_eq!(h.store().head().await.unwrap(), head);
    assert_eq!(h.store().load(&Keys::default()).await.unwrap().head, head);
}

/// A conflict leaves no lock and no trace: the next attempt lands.
pub async fn what_conflicted_can_be_decided_again(h: Harness) {
    let commit = overtaken(&h, &[adjust("c", &[("tea", 1)])], &[adjust("c", &[("tea", 1)])]).await;
    for _ in 0..20 {
        assert_eq!(h.store().commit(&commit).await.expect_err("it is stale").kind, StoreErrorKind::Conflict);
    }
    h.write(&[adjust("c", &[("tea", 1)])]).await;
    h.assert_levels(&[("c", "tea", 7, 0, 0)]).await;
    audit(h.store()).await;
}

/// A group of hundreds of commands is one commit.
pub async fn many_steps_land_in_one_commit(h: Harness) {
    world(&h).await;
    let restock = adjust("a", &[("tea", 10_000)]);
    let trades =
        (0..400).map(|n| initiate(order(&format!("N-{n:03}"), "a", "b", &[("tea", 1), ("rice", 1)])));
    let more = adjust("a", &[("rice", 1_000)]);
    let commands: Vec<_> = [restock, more].into_iter().chain(trades).collect();
    h.write(&commands).await;
    let stored = audit(h.store()).await;
    assert_eq!(stored.trades.len(), 402);
    assert_eq!(stored.trades[0].transaction_id, trade_id("N-399"));
    h.assert_levels(&[("a", "tea", 10_050, 403, 0), ("b", "rice", 0, 0, 404)]).await;
}

/// Another process finds everything: rows, log, ledger and receipts.
pub async fn everything_is_there_after_reopening(h: Harness) {
    world(&h).await;
    let mut commit = h.prepare(&[depart("T-1")]).await;
    commit.receipts = vec![receipt(5, start_time())];
    h.store().commit(&commit).await.unwrap();
    let before = audit(h.store()).await;
    let again = h.reopened().await;
    assert_eq!(audit(&*again).await, before);
    let keys = Keys { requests: [RequestId([5; 16])].into(), ..Keys::default() };
    assert_eq!(again.load(&keys).await.unwrap().receipts, [receipt(5, start_time())]);
    let next = prepare(&*again, &[adjust("c", &[("tea", 1)])], start_time()).await;
    again.commit(&next).await.unwrap();
    assert_eq!(
        Snapshot::of(h.store()).await,
        audit(&*again).await,
        "and the first handle sees what the second wrote"
    );
}

/// Another handle waits until the holder has committed, and then finds what it did not expect.
pub async fn who_holds_the_head_is_not_overtaken(h: Harness) {
    world(&h).await;
    let other = h.reopened().await;
    let held = h.store().hold().await.unwrap();
    let head = h.store().head().await.unwrap();
    assert!(held.head().is_none_or(|held| held == head), "{:?} is held, {head:?} is stored", held.head());
    let mine = h.prepare(&[depart("T-1")]).await;
    let theirs = h.prepare(&[initiate(order("T-3", "a", "b", &[("tea", 1)]))]).await;
    let mut overtaking = tokio::spawn(async move { other.commit(&theirs).await });
    let waited = tokio::time::timeout(Duration::from_millis(200), &mut overtaking).await;
    assert!(waited.is_err(), "nobody commits while the head is held: {waited:?}");
    held.commit(&mine).await.expect("what was loaded under the head is as it was");
    let error = overtaking.await.unwrap().expect_err("the stations have another version now");
    assert_eq!(error.kind, StoreErrorKind::Conflict, "{error}");
    audit(h.store()).await;
}

/// Dropping it is enough.
pub async fn a_held_head_that_is_let_go_keeps_nobody(h: Harness) {
    world(&h).await;
    drop(h.store().hold().await.unwrap());
    h.write(&[depart("T-1")]).await;
    audit(h.store()).await;
}

/// No step, no newer time.
pub async fn a_commit_of_receipts_alone_leaves_the_head(h: Harness) {
    world(&h).await;
    let before = h.store().head().await.unwrap();
    let mut commit = h.prepare(&[]).await;
    commit.time = before.time.plus(Duration::from_secs(60));
    commit.receipts.push(receipt(7, commit.time));
    assert_eq!(h.store().commit(&commit).await.unwrap(), before);
    assert_eq!(h.store().head().await.unwrap(), before);
    assert!(has_receipt(&h, 7).await);
}
