//! A store of one's own: a journal file, and the memory store as the fold of it.
//!
//! A commit is one line of JSON, on disk before it is acknowledged or seen: its steps, as the library encodes them, and
//! its receipts. Everything else — rows, levels, ledger — follows from the steps, so opening the file means folding it
//! again. What is read is read from memory; that makes the store quick, and its size that of the machine's.
//!
//! ```text
//! cargo run --example custom_store            # run it twice: the second time the station is there
//! cargo test --example custom_store           # the conformance suite over it
//! ```

#![allow(clippy::print_stdout)]

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Mutex;
use trade_core::command::{Command, CreateStation, Fingerprint, Request, RequestId};
use trade_core::memory::MemoryStore;
use trade_core::resource::{Sequence, Version};
use trade_core::service::TradeService;
use trade_core::step::Step;
use trade_core::store::{
    Commit, EventLog, Head, Held, Keys, LogRecord, Receipt, Span, Store, StoreError, StoreErrorKind,
    StoreWrapper, Write,
};
use trade_core::values::{Quantity, Timestamp};
use trade_core::view::View;

/// A line of the journal: one commit.
#[derive(Serialize, Deserialize)]
struct Entry {
    time: i64,
    steps: Vec<Vec<u8>>,
    receipts: Vec<KeptReceipt>,
}

#[derive(Serialize, Deserialize)]
struct KeptReceipt {
    request: [u8; 16],
    fingerprint: [u8; 16],
    time: i64,
    /// Its first and its last sequence, counted from the end of the log before the commit.
    steps: Option<[Sequence; 2]>,
    answer: Option<Vec<u8>>,
}

/// Keeps a network in a journal file. One process at a time may have it open; it needs a runtime of several threads.
#[derive(Debug)]
pub struct JournalStore {
    memory: MemoryStore,
    /// Held from the check of a commit to its end, so that nothing changes in between.
    journal: Mutex<Journal>,
}

#[derive(Debug)]
struct Journal {
    file: File,
    /// Where the last whole line ends.
    end: u64,
    /// Not once it is closed, or may end in something that is no whole line.
    usable: bool,
}

impl JournalStore {
    /// Opens a journal, or makes an empty one. A last line that was cut off, by a crash in the middle of a commit that
    /// nobody was told of, is removed.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be had, or holds something else.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(unavailable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(error(StoreErrorKind::Unavailable, "another has it open"));
            }
            Err(TryLockError::Error(cause)) => return Err(unavailable(cause)),
        }
        let (memory, mut end) = (MemoryStore::new(), 0);
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(unavailable)? > 0 && line.ends_with(b"\n") {
            let commit = read_commit(&memory, &line).await?;
            memory.commit(&commit).await.map_err(corrupt)?;
            end += line.len() as u64;
            line.clear();
        }
        file.set_len(end).map_err(unavailable)?;
        Ok(Self { memory, journal: Mutex::new(Journal { file, end, usable: true }) })
    }

    /// Lets another open the file, whoever still reads from this store.
    pub async fn close(&self) {
        let mut journal = self.journal.lock().await;
        journal.usable = journal.file.unlock().is_err();
    }

    /// Finds everything as a commit expects it, or not.
    async fn check(&self, commit: &Commit) -> Result<(), StoreError> {
        let keys = Keys {
            trades: keys(&commit.trades),
            cargo: keys(&commit.cargo),
            stations: keys(&commit.stations),
            requests: commit.receipts.iter().map(|receipt| receipt.request).collect(),
            ..Keys::default()
        };
        let view = View::new(&keys, self.memory.load(&keys).await?);
        let as_expected = versions(&commit.trades, |id| view.trade(id).map(|trade| trade.version))
            && versions(&commit.cargo, |id| view.cargo(id).map(|cargo| cargo.version))
            && versions(&commit.stations, |id| view.station(id).map(|station| station.version))
            && keys.requests.iter().all(|request| view.receipt(request).is_none())
            && commit.time_first() >= view.head().time;
        as_expected
            .then_some(())
            .ok_or_else(|| error(StoreErrorKind::Conflict, "something changed since it was loaded"))
    }
}

impl Journal {
    /// Adds a line, and returns once it is on disk.
    fn append(&mut self, line: &[u8]) -> Result<(), StoreError> {
        if !self.usable {
            return Err(error(
                StoreErrorKind::Unavailable,
                "the journal is closed, or a write failed; open it again",
            ));
        }
        let written = self.file.write_all(line).and_then(|()| self.file.sync_data());
        if let Err(cause) = written {
            // Whatever is there of the line must not stay: the next one would stand behind it.
            let undone = self.file.set_len(self.end).and_then(|()| self.file.sync_data());
            self.usable = undone.is_ok();
            let kind = if self.usable { StoreErrorKind::Unavailable } else { StoreErrorKind::OutcomeUnknown };
            return Err(error(kind, "the journal cannot be written").caused_by(cause));
        }
        self.end = self.file.seek(SeekFrom::End(0)).map_err(unavailable)?;
        Ok(())
    }
}

fn keys<K: Ord + Clone, T>(writes: &[Write<K, T>]) -> BTreeSet<K> {
    writes.iter().map(|write| write.key.clone()).collect()
}

fn versions<K, T>(writes: &[Write<K, T>], stored: impl Fn(&K) -> Option<Version>) -> bool {
    writes.iter().all(|write| stored(&write.key) == write.expected)
}

fn write_commit(commit: &Commit) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let receipt = |receipt: &Receipt| KeptReceipt {
        request: receipt.request.0,
        fingerprint: receipt.fingerprint.0,
        time: receipt.time.millis(),
        steps: receipt
            .steps
            .map(|Span { first, last }| [first, last].map(|place| place - commit.base.sequence)),
        answer: receipt.answer.clone(),
    };
    let mut line = serde_json::to_vec(&Entry {
        time: commit.time.millis(),
        steps: commit.log.iter().map(|record| record.step.encode()).collect::<Result<_, _>>()?,
        receipts: commit.receipts.iter().map(receipt).collect(),
    })?;
    line.push(b'\n');
    Ok(line)
}

/// Makes the commit again that a line tells of: its rows are the fold of its events over what is there.
async fn read_commit(memory: &MemoryStore, line: &[u8]) -> Result<Commit, StoreError> {
    let entry: Entry = serde_json::from_slice(line).map_err(corrupt)?;
    let base = memory.head().await?.sequence;
    let mut last = base;
    let (mut log, mut keys): (Vec<LogRecord>, _) = (Vec::new(), Keys::default());
    for bytes in &entry.steps {
        let step = Step::decode(bytes).map_err(|error| error.in_store("journal", "open", last + 1))?;
        keys.trades.extend(step.trade.iter().map(|trade| trade.transaction_id.clone()));
        keys.cargo.extend(step.cargo.iter().map(|cargo| cargo.shipment_id.clone()));
        for station in &step.stations {
            keys.stations.insert(station.station_id.clone());
            keys.stock
                .extend(station.items.iter().map(|item| (station.station_id.clone(), item.item_id.clone())));
        }
        last += step.event_count();
        log.push(LogRecord { last, step: Arc::new(step) });
    }
    let receipt = |kept: KeptReceipt| -> Result<Receipt, StoreError> {
        let time = Timestamp::from_millis(kept.time).map_err(corrupt)?;
        let (request, fingerprint) = (RequestId(kept.request), Fingerprint(kept.fingerprint));
        let steps = kept.steps.map(|[first, last]| Span { first, last }.shifted(base));
        Ok(Receipt { request, fingerprint, time, steps, answer: kept.answer })
    };
    let receipts = entry.receipts.into_iter().map(receipt).collect::<Result<_, _>>()?;
    let mut view = View::new(&keys, memory.load(&keys).await?);
    for record in &log {
        view.evolve_step(&record.step, record.first());
    }
    Ok(view.commit(Timestamp::from_millis(entry.time).map_err(corrupt)?, log, receipts))
}

fn error(kind: StoreErrorKind, detail: &str) -> StoreError {
    StoreError::new(kind, "journal", "journal", detail)
}

fn unavailable(cause: std::io::Error) -> StoreError {
    error(StoreErrorKind::Unavailable, "the journal cannot be opened").caused_by(cause)
}

fn corrupt(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    error(StoreErrorKind::Corrupt, "a line of the journal cannot be read").caused_by(cause)
}

/// What is not written here is the memory's. Receipts that it prunes stay in the journal, and are pruned again after it is
/// opened.
impl StoreWrapper for JournalStore {
    fn inner(&self) -> &dyn Store {
        &self.memory
    }

    fn name(&self) -> &'static str {
        "journal"
    }

    async fn commit(&self, commit: &Commit) -> Result<Head, StoreError> {
        StoreWrapper::hold(self).await?.commit(commit).await
    }

    async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
        Ok(Box::new(HeldJournal { store: self, journal: self.journal.lock().await }))
    }
}

/// The journal, held for one commit: nobody else appends to it.
#[derive(Debug)]
struct HeldJournal<'s> {
    store: &'s JournalStore,
    journal: tokio::sync::MutexGuard<'s, Journal>,
}

#[async_trait]
impl Held for HeldJournal<'_> {
    fn head(&self) -> Option<Head> {
        None
    }

    async fn commit(mut self: Box<Self>, commit: &Commit) -> Result<Head, StoreError> {
        self.store.check(commit).await?;
        let line = write_commit(commit)
            .map_err(|cause| error(StoreErrorKind::Internal, "no JSON").caused_by(cause))?;
        // A commit waits for the disk; the other tasks of this thread need not.
        tokio::task::block_in_place(|| self.journal.append(&line))?;
        self.store.memory.commit(commit).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join("trade-network-journal.jsonl");
    let store = Arc::new(JournalStore::open(&path).await?);
    let network = TradeService::start(store.clone()).await?;
    let items = vec![("water-ice".try_into()?, Quantity::new(500)?)];
    let station = CreateStation { items, ..CreateStation::new("ceres".try_into()?) };
    match network.submit(Request::new(Command::CreateStation(station))).await {
        Ok(_) => println!("station ceres was opened, and stands in {}", path.display()),
        Err(refused) => println!("{refused}: it was read back from {}", path.display()),
    }
    println!("the log ends at event {}", network.bus().newest());
    network.shutdown().await;
    store.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::OnceLock;
    use trade_core::testing::conformance::StoreFactory;

    #[derive(Debug)]
    struct Journals {
        folder: tempfile::TempDir,
        opened: OnceLock<Arc<JournalStore>>,
    }

    #[async_trait]
    impl StoreFactory for Journals {
        async fn open(&self) -> Arc<dyn Store> {
            let path = self.folder.path().join("journal");
            let store = Arc::new(JournalStore::open(&path).await.expect("a journal"));
            self.opened.get_or_init(|| store).clone()
        }

        // Another process cannot have it open meanwhile.
        async fn reopen(&self) -> Arc<dyn Store> {
            self.opened.get().expect("it was opened").clone()
        }
    }

    trade_core::conformance_suite!(
        journal,
        Journals { folder: tempfile::tempdir().expect("a folder"), opened: OnceLock::new() }
    );

    fn station(id: &str) -> Request {
        let items = vec![("tea".try_into().expect("an id"), Quantity::ONE)];
        let station_id = id.try_into().expect("an id");
        Request::new(Command::CreateStation(CreateStation { items, ..CreateStation::new(station_id) }))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_committed_is_there_after_opening_again_and_half_a_line_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let store = Arc::new(JournalStore::open(&path).await.expect("a journal"));
        let network = TradeService::start(store.clone()).await.expect("a service");
        network.submit(station("a")).await.expect("it is new");
        network.shutdown().await;
        store.close().await;
        // A crash in the middle of a commit.
        let mut file = OpenOptions::new().append(true).open(&path).expect("the journal");
        file.write_all(br#"{"time":17,"ste"#).expect("it is written");
        drop(file);

        let store = Arc::new(JournalStore::open(&path).await.expect("the journal"));
        assert_eq!(store.head().await.expect("a head").sequence, 1);
        let network = TradeService::start(store.clone()).await.expect("a service");
        network.submit(station("a")).await.expect_err("it exists");
        network.submit(station("b")).await.expect("it is new");
        assert!(JournalStore::open(&path).await.is_err(), "it is open already");
        trade_core::verify::verify(&*store).await.expect("log and tables agree");
    }
}
