//! Files that are deleted, renamed, replaced or cut short beneath a store, and copies of some of them.

#![cfg(all(feature = "sqlite", unix))]
// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use sqlx::Executor;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use trade_core::store::{Commit, EventLog, Store, StoreErrorKind};
use trade_store_sql::SqliteStore;

const PATIENCE: Duration = Duration::from_secs(20);

fn beside(folder: &Folder, suffix: &str) -> PathBuf {
    format!("{}{suffix}", folder.file().display()).into()
}

/// The next commit: a station of a name of its own.
async fn next(store: &SqliteStore, n: i64) -> Commit {
    opened(store, at(n), &[&format!("station-{n}")], &["tea"]).await
}

async fn network() -> (Folder, SqliteStore) {
    let folder = Folder::new();
    let store = folder.open().await;
    for n in 1..4 {
        store.commit(&next(&store, n).await).await.unwrap();
    }
    (folder, store)
}

/// Nothing is written, nor is the store taken for one that could be.
async fn is_of_no_use(store: &SqliteStore, commit: &Commit, kind: StoreErrorKind, told: &str) {
    let errors = [
        store.commit(commit).await.map(drop).unwrap_err(),
        store.hold().await.map(drop).unwrap_err(),
        store.head().await.map(drop).unwrap_err(),
        store.load(&keys_of(&[])).await.map(drop).unwrap_err(),
        store.prune_receipts(at(9), 9).await.map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, kind, "{error:?}");
        assert!(error.detail.contains(told), "{error:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_where_it_was_takes_nothing_more_until_it_is_back() {
    let (folder, store) = network().await;
    let elsewhere = folder.file().with_extension("elsewhere");
    let backup = folder.file().with_extension("backup");
    let vacuumed = format!("VACUUM INTO '{}'", backup.display());
    folder.connection().await.execute(sqlx::AssertSqlSafe(vacuumed)).await.unwrap();
    let commit = next(&store, 4).await;
    // Deleted is renamed to nothing.
    for replaced_by in [None, Some(&backup)] {
        fs::rename(folder.file(), &elsewhere).unwrap();
        if let Some(backup) = replaced_by {
            fs::copy(backup, folder.file()).unwrap();
        }
        is_of_no_use(
            &store,
            &commit,
            StoreErrorKind::Unavailable,
            "the file was deleted, renamed or replaced",
        )
        .await;
        assert_eq!(folder.file().exists(), replaced_by.is_some(), "no other is made");
        fs::rename(&elsewhere, folder.file()).unwrap();
        assert_eq!(store.head().await.unwrap().sequence, 3);
    }
    // While the head is held.
    let held = store.hold().await.unwrap();
    fs::rename(folder.file(), &elsewhere).unwrap();
    assert_eq!(held.commit(&commit).await.unwrap_err().kind, StoreErrorKind::Unavailable);
    fs::rename(&elsewhere, folder.file()).unwrap();
    assert_eq!(store.commit(&commit).await.unwrap().sequence, 4);
}

#[tokio::test]
async fn a_log_that_is_not_where_it_was_takes_nothing_more_and_loses_nothing() {
    for is_replaced in [false, true] {
        let (folder, store) = network().await;
        let commit = next(&store, 4).await;
        fs::remove_file(beside(&folder, "-wal")).unwrap();
        if is_replaced {
            fs::write(beside(&folder, "-wal"), "").unwrap();
        }
        is_of_no_use(&store, &commit, StoreErrorKind::Unavailable, "(-wal) was deleted, renamed or replaced")
            .await;
        store.close().await;
        let store = folder.open().await;
        assert_eq!(store.head().await.unwrap().sequence, 3);
        assert_eq!(store.commit(&commit).await.unwrap().sequence, 4);
    }
}

#[tokio::test]
async fn an_index_that_is_not_where_it_was_takes_nothing_more_for_others_would_not_wait() {
    let (folder, store) = network().await;
    let commit = next(&store, 4).await;
    fs::remove_file(beside(&folder, "-shm")).unwrap();
    is_of_no_use(&store, &commit, StoreErrorKind::Unavailable, "(-shm) was deleted, renamed or replaced")
        .await;
    store.close().await;
    let store = folder.open().await;
    assert_eq!(store.head().await.unwrap().sequence, 3);
    assert_eq!(store.commit(&commit).await.unwrap().sequence, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_another_program_empties_in_order_is_not_one_that_was_cut() {
    let (folder, store) = network().await;
    let store = std::sync::Arc::new(store);
    let emptying = tokio::spawn({
        let mut connection = folder.connection().await;
        async move {
            loop {
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
            }
        }
    });
    let looking = tokio::spawn({
        let store = store.clone();
        async move {
            loop {
                store.head().await.unwrap();
            }
        }
    });
    for n in 4..400 {
        let error = match store.commit(&next(&store, n).await).await {
            Ok(_) => continue,
            Err(error) => error,
        };
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
        assert!(error.detail.contains("locked"), "{error:?}");
    }
    emptying.abort();
    looking.abort();
    assert!(emptying.await.unwrap_err().is_cancelled() && looking.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_log_that_was_cut_short_takes_nothing_more() {
    for kept in [0, 40, 1_000] {
        let (folder, store) = network().await;
        let commit = next(&store, 4).await;
        let log = OpenOptions::new().write(true).open(beside(&folder, "-wal")).unwrap();
        log.set_len(kept).unwrap();
        is_of_no_use(&store, &commit, StoreErrorKind::Corrupt, "(-wal) was cut short").await;
    }
}

#[tokio::test]
async fn a_log_that_was_cut_short_and_written_on_is_not_taken_for_whole() {
    // All of it, and its newer pages alone.
    for (kept, is_closed_first) in [(0, false), (0, true), (5_000, false), (5_000, true)] {
        let folder = Folder::new();
        let store = folder.open().await;
        store.commit(&next(&store, 1).await).await.unwrap();
        is_soon_in_the_file_alone(&folder, 1).await;
        // Whoever reads on what is there keeps the rest from being moved.
        let mut reader = folder.connection().await;
        reader.execute("BEGIN").await.unwrap();
        reader.execute("SELECT * FROM tn_head").await.unwrap();
        for n in 2..5 {
            store.commit(&next(&store, n).await).await.unwrap();
        }
        let log = OpenOptions::new().write(true).open(beside(&folder, "-wal")).unwrap();
        let bytes = log.metadata().unwrap().len();
        log.set_len(kept).unwrap();
        log.set_len(bytes).unwrap();
        let begun = Instant::now();
        if is_closed_first {
            drop(reader);
        } else {
            while store.head().await.is_ok_and(|head| head.sequence == 4) {
                assert!(begun.elapsed() < PATIENCE, "it is not noticed");
            }
            let error = store.head().await.unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error:?}");
            drop(reader);
        }
        store.close().await;
        // What was moved before stands in the file, and nothing else.
        let copy = folder.file().with_extension("copy");
        fs::copy(folder.file(), &copy).unwrap();
        assert_eq!(end_of(&copy).await, Some(1));
        if kept == 0 {
            let error = SqliteStore::open(&folder.url()).await.unwrap_err();
            assert!(error.detail.contains("(-wal) beside the file was cut short"), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_log_that_another_program_emptied_in_order_is_written_on() {
    let (folder, store) = network().await;
    for n in 4..8 {
        let mut other = folder.connection().await;
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
        assert_eq!(fs::metadata(beside(&folder, "-wal")).unwrap().len(), 0);
        store.commit(&next(&store, n).await).await.unwrap();
    }
    assert_eq!(store.head().await.unwrap().sequence, 7);
}

/// Where the log of a copy ends; None where it was copied while the file was written.
async fn end_of(copy: &Path) -> Option<u64> {
    let store = SqliteStore::open(&format!("sqlite://{}", copy.display())).await.ok()?;
    let head = store.head().await;
    store.close().await;
    Some(head.ok()?.sequence)
}

async fn is_soon_in_the_file_alone(folder: &Folder, sequence: u64) {
    let begun = Instant::now();
    for n in 0.. {
        let copy = folder.file().with_extension(format!("copy-{sequence}-{n}"));
        fs::copy(folder.file(), &copy).unwrap();
        if end_of(&copy).await == Some(sequence) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the file alone does not hold it");
    }
}

#[tokio::test]
async fn a_copy_of_the_file_alone_holds_what_was_committed_a_moment_ago() {
    let folder = Folder::new();
    let store = folder.open().await;
    for n in 1..4 {
        let commit = next(&store, n).await;
        let sequence = store.commit(&commit).await.unwrap().sequence;
        is_soon_in_the_file_alone(&folder, sequence).await;
    }
}

#[tokio::test]
async fn a_part_of_what_a_process_left_that_was_killed_is_refused() {
    let (folder, store) = network().await;
    for (name, suffixes, told) in [
        ("all", &["", "-wal", "-shm"][..], None),
        ("no-index", &["", "-wal"], None),
        ("no-log", &["", "-shm"], Some("a write-ahead log (-wal) that is not there")),
        ("no-file", &["-wal", "-shm"], Some("not the file that it belongs to")),
        ("log-alone", &["-wal"], Some("not the file that it belongs to")),
    ] {
        let copy = folder.file().with_file_name(name);
        for suffix in suffixes {
            fs::copy(beside(&folder, suffix), format!("{}{suffix}", copy.display())).unwrap();
        }
        match told {
            None => assert_eq!(end_of(&copy).await, Some(3), "{name}"),
            Some(told) => {
                let error = SqliteStore::open(&format!("sqlite://{}", copy.display())).await.unwrap_err();
                assert_eq!(error.kind, StoreErrorKind::Corrupt, "{name}: {error:?}");
                assert!(error.detail.contains(told), "{name}: {error:?}");
                for suffix in ["", "-wal", "-shm"] {
                    let is_there = Path::new(&format!("{}{suffix}", copy.display())).exists();
                    assert_eq!(is_there, suffixes.contains(&suffix), "{name}{suffix} was left as it was");
                }
            }
        }
    }
    drop(store);
}
