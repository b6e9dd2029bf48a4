//! A replica set that loses its primary, again and again, under two servers that are not restarted: nothing that was
//! acknowledged is lost, nothing is there twice, and every reader sees one order without a gap.

use std::time::Duration;
use tests::replica_set::{ReplicaSet, STEP_DOWN};
use tests::scene::{Scene, alone, strikes};

const MEMBERS: usize = 3;
const WRITERS: u64 = 8;
const STRIKES: u64 = 3;
/// How long a primary stands still: longer than the others take to elect another one, and to catch up with that.
const STILL: Duration = Duration::from_secs(20);

async fn begin(set: &ReplicaSet) -> Scene {
    Scene::begin([set.url(), set.url()], WRITERS).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MongoDB"]
async fn nothing_is_lost_or_twice_or_out_of_order_when_primaries_are_killed() {
    let _alone = alone().await;
    let mut set = ReplicaSet::start(MEMBERS);
    let mut scene = begin(&set).await;
    for strike in 0..strikes(STRIKES) {
        let primary = set.primary().await;
        // With what only it has, or most likely with what another has as well.
        let alone = Duration::from_millis(300) * u32::from(strike % 2 == 0);
        set.kill_alone(primary, alone).await;
        scene.recovered(strike).await;
        // A set that has lost two of three takes no writes.
        set.restart(primary);
    }
    scene.tell(&format!("MongoDB, {MEMBERS} members, the primary killed {} times", strikes(STRIKES)));
    scene.end(&[set.url().to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MongoDB"]
async fn nothing_is_lost_or_twice_or_out_of_order_when_primaries_step_down() {
    let _alone = alone().await;
    let set = ReplicaSet::start(MEMBERS);
    let mut scene = begin(&set).await;
    for strike in 0..strikes(STRIKES) {
        // Who made place before may be elected again by then; until it is, the others are too few.
        tokio::time::sleep(STEP_DOWN).await;
        let primary = set.primary().await;
        scene.told().take_longest_pause();
        set.step_down(primary).await;
        scene.recovered(strike).await;
        assert_ne!(set.primary().await, primary, "another member took over");
    }
    scene.tell(&format!("MongoDB, {MEMBERS} members, stepped down {} times", strikes(STRIKES)));
    scene.end(&[set.url().to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MongoDB"]
async fn nothing_is_lost_or_twice_or_out_of_order_when_every_member_is_restarted_in_turn() {
    let _alone = alone().await;
    let mut set = ReplicaSet::start(MEMBERS);
    let mut scene = begin(&set).await;
    let primary = set.primary().await;
    // As is usual, the primary is the last.
    let order = (0..MEMBERS).filter(|member| *member != primary).chain([primary]);
    for (strike, member) in (0..).zip(order) {
        set.stop(member);
        set.restart(member);
        scene.recovered(strike).await;
    }
    assert_ne!(set.primary().await, primary, "another member took over");
    assert!(!set.has_rolled_back(), "whoever ends orderly has nothing that the others have not");
    scene.tell(&format!("MongoDB, {MEMBERS} members, each restarted in turn"));
    scene.end(&[set.url().to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MongoDB"]
async fn nothing_is_lost_or_twice_or_out_of_order_when_a_primary_stands_still() {
    let _alone = alone().await;
    let set = ReplicaSet::start(MEMBERS);
    let mut scene = begin(&set).await;
    let primary = set.primary().await;
    set.pause(primary);
    let still = tokio::time::Instant::now() + STILL;
    scene.recovered(0).await;
    tokio::time::sleep_until(still).await;
    set.resume(primary);
    scene.recovered(1).await;
    scene.tell(&format!("MongoDB, {MEMBERS} members, the primary stopped for {STILL:?}"));
    scene.end(&[set.url().to_owned()]).await;
}
