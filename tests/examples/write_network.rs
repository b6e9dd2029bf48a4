//! Makes the network of the dumps of a version in an empty store: see `tests/stored`.
//!
//! `cargo run -p tests --example write_network -- VERSION URL [FOLDER]`

// It is run by hand, and ends with what fails.
#![allow(clippy::expect_used)]

use std::path::Path;
use tests::stored;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let version = arguments.next().and_then(|version| version.parse().ok()).expect("a version");
    let url = arguments.next().expect("the URL of an empty store");
    let opened = tests::engine::open(&url).await;
    let (events, answers) = stored::fill(opened.store(), version).await;
    opened.close().await;
    let Some(folder) = arguments.next() else { return };
    let folder = Path::new(&folder);
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("a file");
    write("events.jsonl", (events.join("\n") + "\n").as_bytes());
    write("answers.jsonl", (answers.join("\n") + "\n").as_bytes());
    if url.starts_with("mongodb") {
        write("mongodb.bson", &stored::dump_mongo(&url).await);
    }
}
