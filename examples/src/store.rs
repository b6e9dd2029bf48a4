//! Opening a store by its address, the one place that knows every adapter.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use trade_core::access::KeyStore;
use trade_core::memory::MemoryStore;
use trade_core::service::StartError;
use trade_core::store::{Access, Store, StoreError};
#[cfg(feature = "mongodb")]
use trade_store_mongo::{MongoOptions, MongoStore};
#[cfg(feature = "mysql")]
use trade_store_sql::MySqlStore;
#[cfg(feature = "postgres")]
use trade_store_sql::PostgresStore;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use trade_store_sql::ServerOptions;
use trade_store_sql::SqliteStore;

/// An open store, to be closed once nobody uses it any more.
#[derive(Debug, Clone)]
pub enum Opened {
    /// In memory: gone with the process.
    Memory(Arc<MemoryStore>),
    /// In an SQLite file.
    Sqlite(Arc<SqliteStore>),
    /// In a PostgreSQL database.
    #[cfg(feature = "postgres")]
    Postgres(Arc<PostgresStore>),
    /// In a MySQL or MariaDB database.
    #[cfg(feature = "mysql")]
    MySql(Arc<MySqlStore>),
    /// In a database of a MongoDB replica set or sharded cluster.
    #[cfg(feature = "mongodb")]
    Mongo(Arc<MongoStore>),
}

/// How a store of a server connects. A store in a file or in memory has no use for it.
#[derive(Clone)]
pub struct StoreOptions {
    /// The most connections that serve reads, from 1. Some more write, load what commands touch, and watch the log.
    pub connections_max: usize,
    /// How long an operation waits for a connection.
    pub connect_timeout: Duration,
    /// How often the end of the log is looked at for what other processes wrote.
    pub poll_interval: Duration,
    /// The address of a replica that lists are read from; for PostgreSQL and MySQL.
    pub read_url: Option<String>,
    /// How far that replica may be behind.
    pub read_lag: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            connections_max: 8,
            connect_timeout: Duration::from_secs(5),
            poll_interval: Duration::from_millis(100),
            read_url: None,
            read_lag: Duration::from_secs(10),
        }
    }
}

/// Without the replica's address, which may hold a password.
impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { connections_max, connect_timeout, poll_interval, read_url, read_lag } = self;
        f.debug_struct("StoreOptions")
            .field("connections_max", connections_max)
            .field("connect_timeout", connect_timeout)
            .field("poll_interval", poll_interval)
            .field("reads_elsewhere", &read_url.is_some())
            .field("read_lag", read_lag)
            .finish()
    }
}

impl StoreOptions {
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    fn sql(&self, access: Access) -> ServerOptions {
        let mut options = ServerOptions::default();
        options.readers_max = self.connections_max;
        options.connect_timeout = self.connect_timeout;
        options.poll_interval = self.poll_interval;
        options.read_url.clone_from(&self.read_url);
        options.read_lag = self.read_lag;
        options.access = access;
        options
    }

    #[cfg(feature = "mongodb")]
    fn mongo(&self, access: Access) -> MongoOptions {
        let mut options = MongoOptions::default();
        options.connections_max = u32::try_from(self.connections_max).unwrap_or(u32::MAX);
        options.connect_timeout = self.connect_timeout;
        options.poll_interval = self.poll_interval;
        options.access = access;
        options
    }
}

/// The kinds of stores, as their addresses begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Memory,
    Sqlite,
    Postgres,
    MySql,
    Mongo,
}

impl Kind {
    fn of(url: &str) -> Option<Self> {
        match url.split_once(':')?.0 {
            "memory" if url == "memory:" => Some(Self::Memory),
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            "mysql" | "mariadb" => Some(Self::MySql),
            "mongodb" => Some(Self::Mongo),
            _ => None,
        }
    }

    fn is_embedded(self) -> bool {
        matches!(self, Self::Memory | Self::Sqlite)
    }
}

/// Whether this is the address of a store without a server, which has no use for [`StoreOptions`].
pub fn names_no_server(url: &str) -> bool {
    Kind::of(url).is_some_and(Kind::is_embedded)
}

/// Why the lists of a store cannot be read at another address; `None` where they can.
pub fn why_no_replica(url: &str, read_url: &str) -> Option<&'static str> {
    match Kind::of(url) {
        Some(kind) if kind.is_embedded() => Some("a store in a file or in memory has no replica"),
        Some(Kind::Mongo) => Some("an address of mongodb:// has its replicas in itself"),
        Some(kind) if Kind::of(read_url) == Some(kind) => None,
        Some(Kind::MySql) => Some("must be an address of mysql://, as that of the store is"),
        _ => Some("must be an address of postgres://, as that of the store is"),
    }
}

/// Why there is no store. Each displays as one line, without the password of the address.
#[derive(Debug)]
pub enum OpenError {
    /// The address is none that this build serves: a mistake in the settings.
    Address(String),
    /// The store is not there, or not in order.
    Store(String),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(line) | Self::Store(line) => f.write_str(line),
        }
    }
}

impl Error for OpenError {}

/// All that a store keeps.
trait Whole: Store + KeyStore {}
impl<S: Store + KeyStore> Whole for S {}

impl Opened {
    /// Opens the store at an address; `options` are for stores of a server.
    ///
    /// # Errors
    /// [`OpenError::Address`] if this build has no such store, or none that can be read from a replica,
    /// [`OpenError::Store`] if it cannot be opened.
    pub async fn open(url: &str, access: Access, options: &StoreOptions) -> Result<Self, OpenError> {
        let address = without_password(url);
        let Some(kind) = Kind::of(url) else { return Err(OpenError::Address(not_served(url, &address))) };
        if kind == Kind::Sqlite && names_no_file(url) {
            return Err(OpenError::Address(format!(
                "the store {address} names no file; use sqlite://path/to/file.db, or memory:"
            )));
        }
        if let Some(reason) = options.read_url.as_deref().and_then(|read_url| why_no_replica(url, read_url)) {
            return Err(OpenError::Address(format!("the replica of the store {address}: {reason}")));
        }
        let opened = match kind {
            Kind::Memory => Ok(Self::Memory(Arc::new(MemoryStore::new()))),
            Kind::Sqlite => {
                SqliteStore::open_with(url, access).await.map(|store| Self::Sqlite(Arc::new(store)))
            }
            #[cfg(feature = "postgres")]
            Kind::Postgres => {
                let opened = PostgresStore::connect_with(url, &options.sql(access)).await;
                opened.map(|store| Self::Postgres(Arc::new(store)))
            }
            #[cfg(feature = "mysql")]
            Kind::MySql => {
                let opened = MySqlStore::connect_with(url, &options.sql(access)).await;
                opened.map(|store| Self::MySql(Arc::new(store)))
            }
            #[cfg(feature = "mongodb")]
            Kind::Mongo => {
                let opened = MongoStore::connect_with(url, &options.mongo(access)).await;
                opened.map(|store| Self::Mongo(Arc::new(store)))
            }
            #[cfg(not(all(feature = "postgres", feature = "mysql", feature = "mongodb")))]
            _ => {
                return Err(OpenError::Address(format!(
                    "{address}: this build has no store of this kind: they are features of cargo (postgres, mysql, mongodb)"
                )));
            }
        };
        opened.map_err(|error| {
            OpenError::Store(format!("the store {address} cannot be opened: {}", causes(&error)))
        })
    }

    /// The store, as the library takes it.
    pub fn store(&self) -> Arc<dyn Store> {
        self.whole()
    }

    /// The same store, as API keys are kept in it.
    pub fn keys(&self) -> Arc<dyn KeyStore> {
        self.whole()
    }

    fn whole(&self) -> Arc<dyn Whole> {
        match self {
            Self::Memory(store) => store.clone(),
            Self::Sqlite(store) => store.clone(),
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.clone(),
            #[cfg(feature = "mysql")]
            Self::MySql(store) => store.clone(),
            #[cfg(feature = "mongodb")]
            Self::Mongo(store) => store.clone(),
        }
    }

    /// Whether the store's work is done in this process, and not by a server.
    pub fn is_embedded(&self) -> bool {
        matches!(self, Self::Memory(_) | Self::Sqlite(_))
    }

    /// Finishes what the store is doing and lets go of its files and connections.
    pub async fn close(&self) {
        match self {
            Self::Memory(_) => {}
            Self::Sqlite(store) => store.close().await,
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.close().await,
            #[cfg(feature = "mysql")]
            Self::MySql(store) => store.close().await,
            #[cfg(feature = "mongodb")]
            Self::Mongo(store) => store.close().await,
        }
    }
}

/// Whether this is an address of SQLite without a file that would keep anything.
pub fn names_no_file(url: &str) -> bool {
    let Some(address) = url.strip_prefix("sqlite:") else { return false };
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let path = path.trim_start_matches("//");
    path.is_empty() || path == ":memory:" || query.split('&').any(|part| part == "mode=memory")
}

/// Why an address is that of no store.
fn not_served(url: &str, address: &str) -> String {
    if url.starts_with("mongodb+srv:") {
        return format!(
            "the store {address} is not available: this build does not ask the DNS for the members of a replica set; \
             name them, as in mongodb://user:password@one,two,three/database?replicaSet=…"
        );
    }
    format!(
        "{address:?} is no store: use sqlite://path/to/file.db, postgres://…, mysql://…, mongodb://… or memory:"
    )
}

/// An address as it may be printed: `user:***@host`, and nothing after a `?`, where drivers take passwords too.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once(':') else { return url.into() };
    let rest = rest.trim_start_matches('/');
    let slashes = &url[scheme.len() + 1..url.len() - rest.len()];
    // The last @ ends the credentials; a password may hold another, or, badly encoded, a slash or a question mark.
    let (user, host) = match rest.rsplit_once('@') {
        Some((credentials, host)) => (credentials.split([':', '?']).next().unwrap_or_default(), host),
        None => return format!("{scheme}:{slashes}{}", rest.split('?').next().unwrap_or_default()),
    };
    format!("{scheme}:{slashes}{user}:***@{}", host.split('?').next().unwrap_or_default())
}

/// Why a service did not start, on one line.
pub fn not_started(error: &StartError) -> String {
    match error {
        StartError::Store(error) => format!("the store cannot be read: {}", causes(error)),
        other => other.to_string(),
    }
}

/// An error and what is behind it, on one line.
pub fn causes(error: &StoreError) -> String {
    let mut line = error.detail.clone();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        next = cause.source();
    }
    line.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(feature = "postgres", feature = "mysql", feature = "mongodb"))]
    async fn refused(url: &str) -> OpenError {
        let options = StoreOptions { connect_timeout: Duration::from_millis(500), ..StoreOptions::default() };
        Opened::open(url, Access::Migrate, &options).await.unwrap_err()
    }

    #[cfg(all(feature = "postgres", feature = "mysql", feature = "mongodb"))]
    #[tokio::test]
    async fn what_cannot_be_opened_is_refused_without_its_password() {
        // Nobody listens on port 1.
        for url in [
            "postgres://ada:s3cret@127.0.0.1:1/x",
            "mysql://ada:s3cret@127.0.0.1:1/x?password=s3cret",
            "mongodb://ada:s3cret@127.0.0.1:1,127.0.0.1:2/x?w=1&replicaSet=rs0",
            "mongodb://ada:s3cret@127.0.0.1:1/x?tls=s3cret",
            "mongodb://ada:s3/cret@127.0.0.1:1/x",
        ] {
            let error = refused(url).await;
            assert!(matches!(error, OpenError::Store(_)), "{error}");
            let line = error.to_string();
            assert!(line.contains("127.0.0.1:1"), "{line}");
            assert!(!line.contains("s3cret") && !line.contains('\n'), "{line}");
        }
        for url in ["mongodb+srv://ada:s3cret@a/x?w=1", "mongo://ada:s3cret@a,b/x?w=1", "redis://:s3cret@h"] {
            let error = refused(url).await;
            assert!(matches!(error, OpenError::Address(_)), "{error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_replica_is_of_the_kind_of_its_store_or_refused() {
        let read_url = Some("postgres://ada:s3cret@127.0.0.1:1/x".to_owned());
        let options = StoreOptions { read_url, ..StoreOptions::default() };
        for url in [
            "mongodb://ada:s3cret@127.0.0.1:1/x",
            "mysql://ada:s3cret@127.0.0.1:1/x",
            "memory:",
            "sqlite://a.db",
        ] {
            let error = Opened::open(url, Access::Existing, &options).await.unwrap_err();
            assert!(matches!(&error, OpenError::Address(line) if line.contains("replica")), "{error}");
            assert!(!format!("{error} {options:?}").contains("s3cret"), "{error}");
        }
        assert_eq!(why_no_replica("postgresql://h/x", "postgres://h/x"), None);
        assert_eq!(why_no_replica("mysql://h/x", "mariadb://h/x"), None);
    }

    #[cfg(all(feature = "postgres", feature = "mongodb"))]
    #[test]
    fn a_setting_means_the_same_to_every_store_of_a_server() {
        let options = StoreOptions {
            connections_max: 3,
            connect_timeout: Duration::from_secs(1),
            poll_interval: Duration::from_millis(7),
            read_url: Some("postgres://h/x".into()),
            read_lag: Duration::from_secs(3),
        };
        let usual = (StoreOptions::default(), ServerOptions::default());
        assert_eq!(usual.0.connections_max, usual.1.readers_max);
        assert_eq!(usual.0.connect_timeout, usual.1.connect_timeout);
        assert_eq!(usual.0.poll_interval, usual.1.poll_interval);
        assert_eq!(usual.0.read_lag, usual.1.read_lag);
        for access in [Access::Migrate, Access::Existing, Access::ReadOnly] {
            let (sql, mongo) = (options.sql(access), options.mongo(access));
            assert_eq!((sql.readers_max, mongo.connections_max), (3, 3));
            assert_eq!(
                (sql.connect_timeout, mongo.connect_timeout),
                (options.connect_timeout, options.connect_timeout)
            );
            assert_eq!(
                (sql.poll_interval, mongo.poll_interval),
                (options.poll_interval, options.poll_interval)
            );
            assert_eq!((sql.access, mongo.access), (access, access));
            assert_eq!((sql.read_url, sql.read_lag), (options.read_url.clone(), options.read_lag));
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        assert_eq!(
            without_password("postgres://ada:p@ss/w@db:5432/x?password=p"),
            "postgres://ada:***@db:5432/x"
        );
        assert_eq!(without_password("mongodb://ada:s3cret@a:1,b/x?w=1"), "mongodb://ada:***@a:1,b/x");
        for badly_written in
            ["postgres:ada:s3cret@db/x", "postgres:/ada:s3cret@db/x", "mysql://ada:a?s3cret@db/x"]
        {
            let shown = without_password(badly_written);
            assert!(shown.ends_with("ada:***@db/x") && !shown.contains("s3cret"), "{shown}");
        }
        assert_eq!(without_password("sqlite://a.db?mode=rw"), "sqlite://a.db");
        assert_eq!(without_password("memory:"), "memory:");
    }
}
