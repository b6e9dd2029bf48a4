//! How a store learns at once of what other processes wrote: by a change stream on the head of the log.
//!
//! A hint, and no more: whoever waits looks at the end of the log now and then as well, so a stream that is cut costs
//! that long. One stream a store listens, and goes on from its token where it is cut; where it cannot (the collection was
//! dropped, or the server's oplog no longer reaches back so far) it starts anew, and those who wait look at the log.

use crate::classify::is_passing;
use crate::link::Link;
use crate::read::log;
use crate::schema::HEAD;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use mongodb::change_stream::event::ResumeToken;
use mongodb::error::Error;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use trade_core::resource::Sequence;
use trade_core::store::StoreError;

/// The pause after a stream that was cut; it doubles with each that did not last.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How often the log is looked at while a stream tells of what is new.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What a store knows of new commits.
#[derive(Debug)]
pub(crate) struct Wake {
    heard: watch::Receiver<Heard>,
    poll_interval: Duration,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Heard {
    /// The newest sequence that a stream told of.
    newest: Sequence,
    /// How many streams were begun, and how many of them ended: those who wait look again at each.
    streams: u64,
    is_listening: bool,
}

impl Drop for Wake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wake {
    /// Begins to listen.
    pub(crate) fn start(database: Database, poll_interval: Duration) -> Self {
        let (tell, heard) = watch::channel(Heard::default());
        let task = tokio::spawn(listen(database, tell));
        Self { heard, poll_interval, task }
    }

    /// Ends listening.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }

    /// Waits until the log ends behind `after`.
    pub(crate) async fn changed(&self, link: &Link, after: Sequence) -> Result<(), StoreError> {
        let mut heard = self.heard.clone();
        loop {
            let known = *heard.borrow_and_update();
            if log::head(link).await?.sequence > after {
                return Ok(());
            }
            let told = async {
                loop {
                    if heard.changed().await.is_err() {
                        // Nobody listens any more.
                        std::future::pending::<()>().await;
                    }
                    // What the log does not have, though it was told of, is no reason to look again at once.
                    let now = *heard.borrow_and_update();
                    if now.newest > after || now.streams != known.streams {
                        return;
                    }
                }
            };
            let pause = match known.is_listening {
                true => self.poll_interval.max(LOOK_INTERVAL),
                false => self.poll_interval,
            };
            let _ = timeout(pause, told).await;
        }
    }
}

async fn listen(database: Database, tell: watch::Sender<Heard>) {
    let (mut token, mut pause) = (None, RETRY_FIRST);
    while !tell.is_closed() {
        let begun = Instant::now();
        let ended = listen_once(&database, &mut token, &tell).await;
        if tell.borrow().is_listening && begun.elapsed() > RETRY_MAX {
            pause = RETRY_FIRST;
        }
        if !ended.is_err_and(|error| is_passing(&error)) {
            // It was invalidated, or cannot go on from where it was.
            token = None;
        }
        tell.send_modify(|heard| {
            heard.streams += u64::from(heard.is_listening);
            heard.is_listening = false;
        });
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Where the log ends after a change of its head.
fn sequence_of(event: &Document) -> Option<Sequence> {
    let update = event.get_document("updateDescription").ok()?;
    let sequence = update.get_document("updatedFields").ok()?.get_i64("sequence").ok()?;
    Sequence::try_from(sequence).ok()
}

/// Listens until the stream ends.
async fn listen_once(
    database: &Database,
    token: &mut Option<ResumeToken>,
    tell: &watch::Sender<Heard>,
) -> Result<(), Error> {
    // The driver's own type of an event demands more than is asked for here.
    let told = doc! { "$project": { "updateDescription.updatedFields.sequence": 1 } };
    let head = database.collection::<Document>(HEAD);
    let watch = head.watch().pipeline([told]);
    let watch = match token.clone() {
        Some(token) => watch.resume_after(token),
        None => watch,
    };
    let mut stream = watch.await?.with_type::<Document>();
    tell.send_modify(|heard| {
        // What was told before may be of a log that a backup has replaced.
        heard.newest = 0;
        heard.streams += 1;
        heard.is_listening = true;
    });
    while stream.is_alive() {
        if let Some(event) = stream.next_if_any().await? {
            let sequence = sequence_of(&event).unwrap_or(0);
            tell.send_if_modified(|heard| {
                let newer = sequence > heard.newest;
                heard.newest = sequence.max(heard.newest);
                newer
            });
        }
        *token = stream.resume_token();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::database::Database;
    use crate::testing::world::{decided, open_stations, sales};
    use crate::{MongoOptions, MongoStore};
    use std::time::Duration;
    use tokio::time::{sleep, timeout};
    use trade_core::store::{EventLog, Store};

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "TRADE_TEST_MONGODB_URL"]
    async fn a_stream_outlives_what_it_tells_and_tells_all_of_it() {
        let database = Database::new();
        // Nobody looks by itself while the test goes on.
        let options = MongoOptions { poll_interval: Duration::from_secs(600), ..MongoOptions::default() };
        let listener = MongoStore::connect_with(&database.url(), &options).await.unwrap();
        let writer = MongoStore::connect(&database.url()).await.unwrap();
        open_stations(&writer, 2).await;
        while !listener.wake.heard.borrow().is_listening {
            sleep(Duration::from_millis(10)).await;
        }
        let streams = listener.wake.heard.borrow().streams;
        for name in ["T", "U", "V"] {
            let after = writer.head().await.unwrap().sequence;
            let commit = decided(&writer, &sales(name, 1, 2)).await;
            let told = timeout(Duration::from_secs(20), listener.changed(after));
            let (told, written) = tokio::join!(told, writer.commit(&commit));
            told.expect("it is told of it").unwrap();
            assert!(written.unwrap().sequence > after);
        }
        assert_eq!(listener.wake.heard.borrow().streams, streams);
    }
}
