//! How a store learns at once of what other processes wrote, and are about to write: by LISTEN and NOTIFY.
//!
//! A hint, and no more: whoever waits looks at the end of the log at every interval as well, so a notification that is
//! lost costs that long. It is sent after the commit and outside its transaction, where it would make all commits of the
//! database wait for each other once more; and many commits share one. What is about to be written is sent beside it
//! (see [`ahead`](super::ahead)). One connection a store listens and tells; where it is cut, it is made again, and where
//! the server has no room for it, readers give up one of theirs, but for the last: nobody can read without that one, and
//! for that one this connection is given up as well. A server that does not know LISTEN is not asked twice.

use super::ahead::{Ahead, RECORDS_MIN};
use super::seal::Seal;
use super::session::PostgresOptions;
use super::told::{Hearing, Stretch};
use super::{Postgres, PostgresStore, classify};
use crate::places::Places;
use crate::read::log;
use sqlx::postgres::{PgListener, PgNotification, PgPoolOptions, PgQueryResult};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use trade_core::resource::Sequence;
use trade_core::store::{LogRecord, StoreError};

/// The pause after a connection that was cut; it doubles with each that fails.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The least time between two notifications.
const TELL_PAUSE: Duration = Duration::from_millis(2);
/// After so long without a notification, whether the connection still works is found out.
const SILENCE_MAX: Duration = Duration::from_secs(15);
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Commits whose content waits to be told ahead.
const PLANS_MAX: usize = 2;

/// What a store knows of the commits of others.
#[derive(Debug)]
pub(super) struct Wake {
    /// The newest sequence that this store wrote.
    own: watch::Sender<Sequence>,
    /// What this store is about to write.
    planned: mpsc::Sender<Vec<LogRecord>>,
    /// The newest that another told of, since the connection was made.
    pub(super) heard: watch::Receiver<Sequence>,
    /// What was told ahead.
    pub(super) ahead: Arc<Ahead>,
    poll_interval: Duration,
    task: JoinHandle<()>,
}

impl Drop for Wake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wake {
    /// Begins to listen, beside these readers.
    pub(super) fn start(
        options: PostgresOptions,
        readers: Arc<Places<Postgres>>,
        seal: Option<Seal>,
        poll_interval: Duration,
    ) -> Self {
        let (own, written) = watch::channel(0);
        let (planned, plans) = mpsc::channel(PLANS_MAX);
        let (newest, heard) = watch::channel(0);
        let ahead = Arc::new(Ahead::default());
        let ear = Ear { newest, ahead: ahead.clone(), hearing: Hearing::default(), seal: seal.clone() };
        let task = tokio::spawn(listen(options, readers, Mouth { written, plans, seal }, ear));
        Self { own, planned, heard, ahead, poll_interval, task }
    }

    /// Tells the others what is about to be written, while they wait for it.
    pub(super) fn tell_ahead(&self, log: &[LogRecord]) {
        if log.len() >= RECORDS_MIN {
            // Where nobody sends it, it is not sent.
            let _ = self.planned.try_send(log.to_vec());
        }
    }

    /// Tells the others, soon.
    pub(super) fn tell(&self, sequence: Sequence) {
        raise(&self.own, sequence);
    }

    /// Ends listening.
    pub(super) fn stop(&self) {
        self.task.abort();
    }
}

/// Waits until the log ends behind `after`.
pub(super) async fn changed(store: &PostgresStore, after: Sequence) -> Result<(), StoreError> {
    let mut heard = store.state.wake.heard.clone();
    while log::head(&store.lanes.watcher, "watch the log").await?.sequence <= after {
        let told = async {
            loop {
                if heard.changed().await.is_err() {
                    // Nobody listens any more.
                    std::future::pending::<()>().await;
                }
                // What the log does not have, though it was told of, is no reason to look again at once.
                if *heard.borrow_and_update() > after {
                    return;
                }
            }
        };
        let _ = timeout(store.state.wake.poll_interval, told).await;
    }
    Ok(())
}

/// What a store has to tell.
struct Mouth {
    written: watch::Receiver<Sequence>,
    plans: mpsc::Receiver<Vec<LogRecord>>,
    seal: Option<Seal>,
}

impl Mouth {
    /// What is about to be written, as notifications.
    fn sealed(&self, log: &[LogRecord]) -> Option<Vec<String>> {
        Stretch::of(log)?.notifications(self.seal.as_ref()?)
    }
}

/// What a store hears.
struct Ear {
    newest: watch::Sender<Sequence>,
    ahead: Arc<Ahead>,
    hearing: Hearing,
    seal: Option<Seal>,
}

impl Ear {
    fn hear(&mut self, notification: &PgNotification) {
        let text = notification.payload();
        if let Ok(sequence) = text.parse() {
            raise(&self.newest, sequence);
        } else if let Some(seal) = &self.seal
            && let Some(told) = self.hearing.hear(text, seal)
        {
            self.ahead.hear(told);
        }
    }
}

/// Why a connection no longer listens.
enum End {
    /// The store is gone.
    Store,
    /// The server does not know how.
    Unknown,
    /// It was cut, after it had listened or before.
    Cut { listened: bool },
    /// The server has no room for it.
    NoRoom,
    /// Readers have none, and need it more.
    GivenUp,
}

async fn listen(options: PostgresOptions, readers: Arc<Places<Postgres>>, mut mouth: Mouth, mut ear: Ear) {
    let mut pause = RETRY_FIRST;
    let mut lack = readers.lack();
    let mut is_told = false;
    loop {
        lack.mark_unchanged();
        let end = match is_full(&options).await {
            true => End::NoRoom,
            false => listen_once(&options, &mut mouth, &mut ear, &mut lack).await,
        };
        let has_room = match end {
            End::Store | End::Unknown => return,
            End::Cut { listened: true } => {
                (pause, is_told) = (RETRY_FIRST, false);
                true
            }
            End::Cut { listened: false } => {
                pause = (pause * 2).min(RETRY_MAX);
                true
            }
            End::NoRoom => {
                pause = (pause * 2).min(RETRY_MAX);
                readers.make_room(1).await
            }
            End::GivenUp => {
                pause = RETRY_MAX;
                false
            }
        };
        if !has_room && !is_told {
            is_told = true;
            tracing::warn!(
                "the server has no connection left for LISTEN: what other servers write is found by looking, until it has"
            );
        }
        sleep(pause).await;
    }
}

/// Whether the server has no room for a connection. The pool in which listeners come does not tell, and tries on.
async fn is_full(options: &PostgresOptions) -> bool {
    let opened = timeout(ANSWER_MAX, options.open()).await;
    matches!(opened, Ok(Err(error)) if classify::is_full(&error))
}

async fn listen_once(
    options: &PostgresOptions,
    mouth: &mut Mouth,
    ear: &mut Ear,
    lack: &mut watch::Receiver<()>,
) -> End {
    let opened = timeout(ANSWER_MAX, open(options)).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    let (mut listener, channel, pid) = match opened {
        Ok(opened) => opened,
        Err(sqlx::Error::Database(error)) if is_unknown(error.code().as_deref()) => return End::Unknown,
        Err(_) => return End::Cut { listened: false },
    };
    // What was told before may be of a log that a backup has replaced.
    ear.newest.send_replace(0);
    ear.ahead.forget();
    let mut tell_at = Instant::now();
    loop {
        let told = tokio::select! {
            notification = timeout(SILENCE_MAX, listener.try_recv()) => match notification {
                Ok(Ok(Some(notification))) => {
                    // Our own commits are no news.
                    if notification.process_id() != pid {
                        ear.hear(&notification);
                    }
                    continue;
                }
                Ok(_) => return End::Cut { listened: true },
                Err(_) => timeout(ANSWER_MAX, sqlx::query("SELECT 1").execute(&mut listener)).await,
            },
            Ok(()) = lack.changed() => return End::GivenUp,
            Some(log) = mouth.plans.recv() => {
                let Some(parts) = mouth.sealed(&log) else { continue };
                notify(&mut listener, &channel, parts).await
            }
            changed = async { sleep_until(tell_at).await; mouth.written.changed().await } => {
                if changed.is_err() {
                    return End::Store;
                }
                let newest = mouth.written.borrow_and_update().to_string();
                tell_at = Instant::now() + TELL_PAUSE;
                notify(&mut listener, &channel, vec![newest]).await
            }
        };
        if !matches!(told, Ok(Ok(_))) {
            return End::Cut { listened: true };
        }
    }
}

async fn notify(
    listener: &mut PgListener,
    channel: &str,
    texts: Vec<String>,
) -> Result<Result<PgQueryResult, sqlx::Error>, Elapsed> {
    let notify = sqlx::query("SELECT pg_notify($1, text) FROM unnest(CAST($2 AS text[])) text");
    timeout(ANSWER_MAX, notify.bind(channel).bind(texts).execute(listener)).await
}

/// Notes a sequence, where it is newer.
fn raise(newest: &watch::Sender<Sequence>, sequence: Sequence) {
    newest.send_if_modified(|newest| {
        let newer = sequence > *newest;
        *newest = sequence.max(*newest);
        newer
    });
}

/// A connection that listens, its channel, and the number by which the server knows it.
async fn open(options: &PostgresOptions) -> Result<(PgListener, String, u32), sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(ANSWER_MAX);
    let pool = pool.connect_lazy_with(options.driver_options().await?);
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    // A notification need not be durable. Not every server knows the setting.
    let volatile = sqlx::raw_sql("SET synchronous_commit = off").execute(&mut listener).await;
    if let Err(error @ sqlx::Error::Io(_)) = volatile {
        return Err(error);
    }
    // Channels are of one database; a database may hold a network in each of its schemas.
    let place = "SELECT pg_backend_pid(), CAST(current_schema() AS text)";
    let (pid, schema): (i32, Option<String>) = sqlx::query_as(place).fetch_one(&mut listener).await?;
    let channel = channel(&schema.unwrap_or_default());
    listener.listen(&channel).await?;
    Ok((listener, channel, pid.unsigned_abs()))
}

/// A name that fits the server's 63 bytes: schemas whose names begin alike hear more than they need.
fn channel(schema: &str) -> String {
    format!("tn_{schema}")
        .chars()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes < 64).then_some(c)
        })
        .collect()
}

/// Whether an error says that there is no LISTEN: a feature not supported, or a word not understood.
fn is_unknown(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.starts_with("0A") || code.starts_with("42"))
}
