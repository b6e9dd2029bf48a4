//! How a store learns at once of what other processes wrote: by LISTEN and NOTIFY.
//!
//! A hint, and no more: whoever waits looks at the end of the log at every interval as well, so a notification that is
//! lost costs that long. It is sent after the commit and outside its transaction, where it would make all commits of the
//! database wait for each other once more; and many commits share one. One connection a store listens and tells; where
//! it is cut, it is made again, and where the server has no room for it, readers give up one of theirs, but for the last:
//! nobody can read without that one, and for that one this connection is given up as well. A server that does not know
//! LISTEN is not asked twice.

use super::classify::Postgres;
use super::session::PostgresOptions;
use crate::errors::Errors;
use crate::lane::Lane;
use crate::places::Places;
use crate::read::log;
use sqlx::postgres::{PgListener, PgPoolOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use trade_core::resource::Sequence;
use trade_core::store::StoreError;

/// The pause after a connection that was cut; it doubles with each that fails.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// The least time between two notifications.
const TELL_PAUSE: Duration = Duration::from_millis(2);
/// After so long without a notification, whether the connection still works is found out.
const SILENCE_MAX: Duration = Duration::from_secs(15);
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What a store knows of the commits of others.
#[derive(Debug)]
pub(super) struct Wake {
    /// The newest sequence that this store wrote.
    own: watch::Sender<Sequence>,
    /// The newest that another told of, since the connection was made.
    heard: watch::Receiver<Sequence>,
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
        poll_interval: Duration,
    ) -> Self {
        let (own, to_tell) = watch::channel(0);
        let (tell, heard) = watch::channel(0);
        let task = tokio::spawn(listen(options, readers, to_tell, tell));
        Self { own, heard, poll_interval, task }
    }

    /// Waits until the log ends behind `after`.
    pub(super) async fn changed(&self, watcher: &Lane<Postgres>, after: Sequence) -> Result<(), StoreError> {
        let mut heard = self.heard.clone();
        while log::head(watcher, "watch the log").await?.sequence <= after {
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
            let _ = timeout(self.poll_interval, told).await;
        }
        Ok(())
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

async fn listen(
    options: PostgresOptions,
    readers: Arc<Places<Postgres>>,
    mut to_tell: watch::Receiver<Sequence>,
    heard: watch::Sender<Sequence>,
) {
    let mut pause = RETRY_FIRST;
    let mut lack = readers.lack();
    let mut is_told = false;
    loop {
        lack.mark_unchanged();
        let end = match is_full(&options).await {
            true => End::NoRoom,
            false => listen_once(&options, &mut to_tell, &heard, &mut lack).await,
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
    matches!(opened, Ok(Err(error)) if Postgres::is_full(&error))
}

async fn listen_once(
    options: &PostgresOptions,
    to_tell: &mut watch::Receiver<Sequence>,
    heard: &watch::Sender<Sequence>,
    lack: &mut watch::Receiver<()>,
) -> End {
    let opened = timeout(ANSWER_MAX, open(options)).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    let (mut listener, channel, pid) = match opened {
        Ok(opened) => opened,
        Err(sqlx::Error::Database(error)) if is_unknown(error.code().as_deref()) => return End::Unknown,
        Err(_) => return End::Cut { listened: false },
    };
    // What was told before may be of a log that a backup has replaced.
    heard.send_replace(0);
    let mut tell_at = Instant::now();
    loop {
        let told = tokio::select! {
            notification = timeout(SILENCE_MAX, listener.try_recv()) => match notification {
                Ok(Ok(Some(notification))) => {
                    // Our own commits are no news.
                    if notification.process_id() != pid {
                        raise(heard, notification.payload().parse().unwrap_or(0));
                    }
                    continue;
                }
                Ok(_) => return End::Cut { listened: true },
                Err(_) => timeout(ANSWER_MAX, sqlx::query("SELECT 1").execute(&mut listener)).await,
            },
            Ok(()) = lack.changed() => return End::GivenUp,
            changed = async { sleep_until(tell_at).await; to_tell.changed().await } => {
                if changed.is_err() {
                    return End::Store;
                }
                let newest = to_tell.borrow_and_update().to_string();
                tell_at = Instant::now() + TELL_PAUSE;
                let notify = sqlx::query("SELECT pg_notify($1, $2)").bind(&channel).bind(newest);
                timeout(ANSWER_MAX, notify.execute(&mut listener)).await
            }
        };
        if !matches!(told, Ok(Ok(_))) {
            return End::Cut { listened: true };
        }
    }
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
