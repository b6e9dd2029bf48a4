//! What the stores of a server share: how they connect, how long they wait, how they learn what others wrote.

use crate::driver::Driver;
use crate::errors::Errors;
use crate::lane::{Lane, Lease, Order, Patience, Rank};
use crate::parts::Lanes;
use crate::places::Places;
use crate::replica::Replica;
use crate::rights;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use trade_core::store::{Access, StoreError, StoreErrorKind};
#[cfg(feature = "mysql")]
use {crate::read::log, trade_core::resource::Sequence};

/// How a store of a server connects, and how long it waits.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The most connections that serve reads, from 1; fewer where the server has no room for as many. One more writes,
    /// one loads what commands touch, one watches the log: these are made first, and kept. A replica has as many readers
    /// again, and one that looks how far it is.
    pub readers_max: usize,
    /// After so long without use a reader's connection is closed.
    pub idle_timeout: Duration,
    /// How long an operation waits for a connection that is free, and for a new one to be made.
    pub connect_timeout: Duration,
    /// How long a statement may run. The server ends it, and where the server is silent, the client stops waiting
    /// a little later.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock that another server process holds.
    pub lock_timeout: Duration,
    /// How often the end of the log is looked at for what other processes wrote.
    pub poll_interval: Duration,
    /// The address of a replica, at which lists are read: never single resources, the feed, or what commands are decided
    /// on. Where it cannot be asked, or is too far behind, lists are read at the primary as well.
    pub read_url: Option<String>,
    /// How far the replica may be behind and still serve, to about a second: what the primary had so long ago, it must
    /// have.
    pub read_lag: Duration,
    /// What the store is opened for.
    pub access: Access,
}

/// Without the replica's address, which may hold a password.
impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            readers_max,
            idle_timeout,
            connect_timeout,
            statement_timeout,
            lock_timeout,
            poll_interval,
            read_url,
            read_lag,
            access,
        } = self;
        f.debug_struct("ServerOptions")
            .field("readers_max", readers_max)
            .field("idle_timeout", idle_timeout)
            .field("connect_timeout", connect_timeout)
            .field("statement_timeout", statement_timeout)
            .field("lock_timeout", lock_timeout)
            .field("poll_interval", poll_interval)
            .field("reads_elsewhere", &read_url.is_some())
            .field("read_lag", read_lag)
            .field("access", access)
            .finish()
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            readers_max: 8,
            idle_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            poll_interval: Duration::from_millis(100),
            read_url: None,
            read_lag: Duration::from_secs(10),
            access: Access::default(),
        }
    }
}

const CUT_SHORT: &str = "a character in it ends the address early: a password (or a user name) must be percent-encoded, \
                         as %25 for %, %23 for #, %2F for /, %3F for ? and %40 for @";

/// Refuses an address that its driver would take for another: one with a parameter that is not known, and would be passed
/// over (one that is misspelt may be one that TLS depends on); one whose password has a character in it that ends it.
///
/// # Errors
/// `Unsupported`, with the parameter's name.
pub(crate) fn refuse_misread<E: Errors>(url: &str, known: &[&str]) -> Result<(), StoreError> {
    let refused = |detail| Err(StoreError::new(StoreErrorKind::Unsupported, E::NAME, "connect", detail));
    let address = url.split_once("://").map_or(url, |(_, address)| address);
    let (server, query) = address.split_once('?').unwrap_or((address, ""));
    let path = server.split_once('/').map_or("", |(_, path)| path);
    let names =
        query.split('&').filter(|part| !part.is_empty()).map(|part| part.split('=').next().unwrap_or(part));
    // What follows such a character is no name, and not to be told.
    if url.contains('#') || path.contains('@') || names.clone().any(|name| name.contains('@')) {
        return refused(CUT_SHORT.to_owned());
    }
    for name in names {
        let name_known = if name.starts_with("options[") { "options" } else { name };
        if !known.contains(&name_known) {
            return refused(format!("the address has a parameter that is not known: {name}"));
        }
    }
    Ok(())
}

/// Refuses a replica that will never serve, by what trying it came to; one that cannot be reached, or has not all tables
/// yet, may come later.
///
/// # Errors
/// That of the trial, but `Unavailable` and `Corrupt`.
pub(crate) fn judge_replica(tried: Result<(), StoreError>) -> Result<(), StoreError> {
    match tried {
        Err(error) if matches!(error.kind, StoreErrorKind::Unavailable | StoreErrorKind::Corrupt) => Ok(()),
        tried => tried,
    }
}

/// Shows that a replica is there, and that its tables may be read.
///
/// # Errors
/// As [`rights::prove`].
async fn prove_readable<E: Driver>(replica: &Lane<E>) -> Result<(), StoreError> {
    let mut lease = replica.lease("connect to the replica").await?;
    rights::prove(&mut lease, Access::ReadOnly).await?;
    lease.give_back();
    Ok(())
}

pub(crate) const NO_TLS: &str =
    "the server was reached, but no TLS connection could be made: is its certificate the right one?";

/// Whether an error is that of a TLS connection. What a handshake refuses comes as the reading of invalid data.
pub(crate) fn is_tls(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// By how much the client outwaits the server, which tells more exactly what happened.
const OUTWAIT: Duration = Duration::from_secs(2);

impl ServerOptions {
    /// The connections of a store to its server. The one that writes may be opened in another way.
    pub(crate) fn lanes<E: Driver>(&self, primary: &E::Options, to_write: E::Options) -> Lanes<E> {
        let patience = self.patience();
        let readers_max = self.readers_max.max(1);
        let [writer, loader, watcher] = std::array::from_fn(|_| Places::new(1));
        let readers = Places::new(readers_max);
        let order = Order::new([&writer, &loader, &watcher].map(Arc::clone), readers.clone());
        let first = |options, places| Lane::new(options, patience, places, Rank::First(order.clone()));
        Lanes {
            writer: first(to_write, writer),
            loader: first(primary.clone(), loader),
            watcher: Arc::new(first(primary.clone(), watcher)),
            readers: Lane::new(primary.clone(), patience, readers, Rank::Later(order.clone())),
            replica: None,
        }
    }

    /// Follows the replica at an address, beside the primary, whose log `watcher` looks at.
    ///
    /// # Errors
    /// As [`judge_replica`].
    pub(crate) async fn replica<E: Driver>(
        &self,
        address: E::Options,
        watcher: Arc<Lane<E>>,
    ) -> Result<Replica<E>, StoreError> {
        let lane = |count| Lane::new(address.clone(), self.patience(), Places::new(count), Rank::Elsewhere);
        let (lists, looks) = (lane(self.readers_max.max(1)), lane(1));
        judge_replica(prove_readable(&looks).await)?;
        Ok(Replica::start(lists, looks, watcher, self.read_lag).await)
    }

    fn patience(&self) -> Patience {
        Patience {
            connection: self.connect_timeout,
            answer: self.statement_timeout.saturating_add(OUTWAIT),
            idle: self.idle_timeout,
        }
    }
}

/// Makes the connections without which a store is of no use, and one for readers: the first are kept from then on.
///
/// # Errors
/// Those of a connection. Where the server has no room for all of them, how many those are.
pub(crate) async fn open_first<E: Driver>(lanes: &Lanes<E>) -> Result<(), StoreError> {
    // The writer's is there.
    for lane in [&lanes.loader, &lanes.watcher, &lanes.readers] {
        next_lease(lane, "connect").await?.give_back();
    }
    Ok(())
}

/// A connection beside one that was made a moment ago.
///
/// # Errors
/// Those of a connection. Where it is one too many, how many a store needs.
pub(crate) async fn next_lease<'l, E: Driver>(
    lane: &'l Lane<E>,
    operation: &'static str,
) -> Result<Lease<'l, E>, StoreError> {
    lane.lease(operation).await.map_err(|mut error| {
        let source = error.source.as_deref().and_then(|source| source.downcast_ref());
        // A pooler has whoever is one too many wait.
        let has_waited = error.kind == StoreErrorKind::Unavailable && error.source.is_none();
        if has_waited || source.is_some_and(E::is_full) {
            error.detail = "there is no connection left, of the server, the user, or a pooler in front: a store needs 4 \
                            at least, 3 of which only it uses"
                .into();
        }
        error
    })
}

/// Looks at the end of the log, again and again, until it lies behind `after`.
#[cfg(feature = "mysql")]
pub(crate) async fn poll<D: Driver>(
    watcher: &Lane<D>,
    after: Sequence,
    interval: Duration,
) -> Result<(), StoreError> {
    while log::head(watcher, "watch the log").await?.sequence <= after {
        tokio::time::sleep(interval).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_tell_no_password() {
        let options =
            ServerOptions { read_url: Some("postgres://u:s3cret@h/d".into()), ..ServerOptions::default() };
        let shown = format!("{options:?}");
        assert!(shown.contains("reads_elsewhere: true") && !shown.contains("s3cret"), "{shown}");
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_parameter_that_is_not_known_is_refused_by_its_name() {
        use crate::postgres::Postgres;
        let refused = |url| refuse_misread::<Postgres>(url, &["sslmode", "options"]);
        refused("postgres://h/d?sslmode=require&options[a]=b@c").unwrap();
        refused("postgres://u:p%23%2F%3F%40@h/d").unwrap();
        refused("postgres://h").unwrap();
        let detail = refused("postgres://h/d?sslmod=require").unwrap_err().detail;
        assert!(detail.contains("sslmod") && !detail.contains("require"), "{detail}");
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_password_that_ends_its_address_is_told_how_to_be_written() {
        use crate::postgres::Postgres;
        // With digits before that character, the rest of it is a port, and the user the server.
        for password in
            ["s3cret#", "#s3cret", "12#s3cret", "s3c/ret", "12/s3cret", "a?s3cret", "12?s3cret", "a@b/s3cret"]
        {
            let url = format!("postgres://ada:{password}@h/d?sslmode=require");
            let detail = refuse_misread::<Postgres>(&url, &["sslmode"]).unwrap_err().detail;
            assert!(detail.contains("percent-encoded") && !detail.contains("s3c"), "{password}: {detail}");
        }
    }
}
