//! Makes the replica set of a URL, and the user that it names, of servers of MongoDB that have just been made.

// What fails, fails the tests that need it.
#![allow(clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

const READY_MAX: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).expect("the URL of a replica set");
    let begin = Instant::now();
    while !tests::replica_set::make(&url).await {
        assert!(begin.elapsed() < READY_MAX, "the replica set is not ready within {READY_MAX:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
