//! `clock`: tells of a log that a wrong clock dated ahead, and copies it into one that is right.

use crate::{Ended, Failure, open, say};
use trade_core::clock::{Clock, SystemClock};
use trade_core::copy::{CopyError, copy, copy_keys};
use trade_core::store::{Access, Store, StoreError};
use trade_core::values::Timestamp;
use trade_core::verify::verify;
use trade_network::store::{Opened, StoreOptions, causes};

/// How far apart two times may be, as the server has it.
const APART_MAX_SECONDS: i64 = 60;

/// Compares the clocks and the newest step, and copies into another store where one is named.
pub(crate) async fn run(url: String, into: Option<String>) -> Ended {
    if url == "memory:" || into.as_deref() == Some("memory:") {
        return Err(Failure::Usage(
            "memory: holds nothing once its process has ended; name another store".into(),
        ));
    }
    if into.as_ref() == Some(&url) {
        return Err(Failure::Usage("--into: is the store that is copied; name another, empty one".into()));
    }
    let opened = open(&url, Access::ReadOnly, &StoreOptions::default()).await?;
    let ended = match into {
        None => look(&*opened.store()).await,
        Some(into) => {
            let target = open(&into, Access::Migrate, &StoreOptions::default()).await?;
            let ended = mend(&opened, &target).await;
            target.close().await;
            ended
        }
    };
    opened.close().await;
    ended
}

fn unreadable(error: StoreError) -> Failure {
    Failure::Failed(format!("the store cannot be read: {}", causes(&error)))
}

/// Now, by the store's clock where it has one.
async fn right_time(store: &dyn Store) -> Result<Timestamp, Failure> {
    let ours = SystemClock::new().now();
    let Some(theirs) = store.clock().await.map_err(unreadable)? else {
        say(&format!("this machine's clock: {ours}"));
        return Ok(ours);
    };
    let apart = (ours.millis() - theirs.millis()) / 1_000;
    say(&format!("this machine's clock: {ours}; the store's: {theirs}, {apart} s behind this one"));
    Ok(theirs)
}

async fn look(store: &dyn Store) -> Ended {
    let now = right_time(store).await?;
    let head = store.head().await.map_err(unreadable)?;
    let ahead = (head.time.millis() - now.millis()) / 1_000;
    say(&format!("the newest step: {}, of sequence {}", head.time, head.sequence));
    if ahead <= APART_MAX_SECONDS {
        say("it is not dated ahead");
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "the newest step is dated {ahead} s ahead, and so is each new one: with --into the network is copied to an empty \
         store, in which nothing is dated later than now (stop its servers first)"
    )))
}

async fn mend(from: &Opened, into: &Opened) -> Ended {
    let keys = [from.keys(), into.keys()];
    let (from, into) = (from.store(), into.store());
    let now = right_time(&*from).await?;
    let copied = copy(&*from, &*into, now).await;
    let copied = copied.map_err(|error| {
        let reason = match &error {
            CopyError::Store(error) => causes(error),
            other => other.to_string(),
        };
        Failure::Failed(format!("not copied: {reason}"))
    })?;
    let keys = copy_keys(&*keys[0], &*keys[1]).await;
    let keys =
        keys.map_err(|error| Failure::Failed(format!("the API keys are not copied: {}", causes(&error))))?;
    let verified = verify(&*into).await;
    verified.map_err(|error| Failure::Failed(format!("the copy is not verified: {error}")))?;
    say(&format!(
        "copied and verified: {} events of {} steps, {} of which are dated anew; {keys} API keys",
        copied.events, copied.steps, copied.redated
    ));
    Ok(())
}
