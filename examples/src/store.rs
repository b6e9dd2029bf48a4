//! Opening a store by its address, the one place that knows every adapter.

use std::error::Error;
use std::sync::Arc;
use trade_core::memory::MemoryStore;
use trade_core::store::{Store, StoreError};
use trade_store_mongo::MongoStore;
use trade_store_sql::{MySqlStore, PostgresStore, ServerOptions, SqliteStore};

/// An open store, to be closed once nobody uses it any more.
#[derive(Debug, Clone)]
pub enum Opened {
    /// In memory: gone with the process.
    Memory(Arc<MemoryStore>),
    /// In an SQLite file.
    Sqlite(Arc<SqliteStore>),
    /// In a PostgreSQL database.
    Postgres(Arc<PostgresStore>),
    /// In a MySQL or MariaDB database.
    MySql(Arc<MySqlStore>),
}

/// Whether a store that is not there yet is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is made, empty.
    Create,
    /// It is an error.
    Refuse,
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

impl Opened {
    /// Opens the store at an address; `options` are for stores of a server.
    ///
    /// # Errors
    /// [`OpenError::Address`] if this build has no such store, [`OpenError::Store`] if it cannot be opened.
    pub async fn open(url: &str, missing: Missing, options: &ServerOptions) -> Result<Self, OpenError> {
        let address = without_password(url);
        let unopened = |error: StoreError| {
            OpenError::Store(format!("the store {address} cannot be opened: {}", causes(&error)))
        };
        let mut options = options.clone();
        options.migrate &= missing == Missing::Create;
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("memory") if url == "memory:" => Ok(Self::Memory(Arc::new(MemoryStore::new()))),
            Some("sqlite") if names_no_file(url) => Err(OpenError::Address(format!(
                "the store {address} names no file; use sqlite://path/to/file.db, or memory:"
            ))),
            Some("sqlite") => {
                let opened = match missing {
                    Missing::Create => SqliteStore::open(url).await,
                    Missing::Refuse => SqliteStore::open(&existing_only(url)).await,
                };
                opened.map(|store| Self::Sqlite(Arc::new(store))).map_err(unopened)
            }
            Some("postgres" | "postgresql") => {
                let opened = PostgresStore::connect_with(url, &options).await;
                opened.map(|store| Self::Postgres(Arc::new(store))).map_err(unopened)
            }
            Some("mysql" | "mariadb") => {
                let opened = MySqlStore::connect_with(url, &options).await;
                opened.map(|store| Self::MySql(Arc::new(store))).map_err(unopened)
            }
            Some("mongodb" | "mongodb+srv") => {
                let detail = match MongoStore::connect(url).await {
                    Ok(_) => "this build has no MongoDB store yet".to_owned(),
                    Err(error) => causes(&error),
                };
                Err(OpenError::Address(format!("the store {address} is not available: {detail}")))
            }
            _ => Err(OpenError::Address(format!(
                "{address:?} is no store: use sqlite://path/to/file.db, postgres://…, mysql://… or memory:"
            ))),
        }
    }

    /// The store, as the library takes it.
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => store.clone(),
            Self::Sqlite(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
            Self::MySql(store) => store.clone(),
        }
    }

    /// Finishes what the store is doing and lets go of its files and connections.
    pub async fn close(&self) {
        match self {
            Self::Memory(_) => {}
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
            Self::MySql(store) => store.close().await,
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

/// The address that opens a file only where there is one (<https://sqlite.org/uri.html>, `mode`).
fn existing_only(url: &str) -> String {
    let (file, query) = url.split_once('?').unwrap_or((url, ""));
    let kept = query.split('&').filter(|part| !part.is_empty() && *part != "mode=rwc");
    let mut query: Vec<_> = kept.collect();
    if !query.iter().any(|part| part.starts_with("mode=")) {
        query.push("mode=rw");
    }
    format!("{file}?{}", query.join("&"))
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

    async fn refused(url: &str) -> OpenError {
        let mut options = ServerOptions::default();
        options.connect_timeout = std::time::Duration::from_millis(500);
        Opened::open(url, Missing::Create, &options).await.unwrap_err()
    }

    #[tokio::test]
    async fn what_cannot_be_opened_is_refused_without_its_password() {
        // Nobody listens on port 1.
        for url in ["postgres://ada:s3cret@127.0.0.1:1/x", "mysql://ada:s3cret@127.0.0.1:1/x?password=s3cret"]
        {
            let error = refused(url).await;
            assert!(matches!(error, OpenError::Store(_)), "{error}");
            let line = error.to_string();
            assert!(line.contains("127.0.0.1:1"), "{line}");
            assert!(!line.contains("s3cret") && !line.contains('\n'), "{line}");
        }
        for url in ["mongodb://ada:s3cret@a,b/x?w=1", "redis://:s3cret@h"] {
            let error = refused(url).await;
            assert!(matches!(error, OpenError::Address(_)), "{error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_missing_file_is_not_made_where_it_is_refused() {
        let path = std::env::temp_dir().join(format!("no-such-store-{}.db", std::process::id()));
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let error = Opened::open(&url, Missing::Refuse, &ServerOptions::default()).await.unwrap_err();
        assert!(matches!(error, OpenError::Store(_)), "{error}");
        assert!(!path.exists());
    }

    #[test]
    fn a_password_is_never_printed() {
        assert_eq!(
            without_password("postgres://ada:p@ss/w@db:5432/x?password=p"),
            "postgres://ada:***@db:5432/x"
        );
        for badly_written in
            ["postgres:ada:s3cret@db/x", "postgres:/ada:s3cret@db/x", "mysql://ada:a?s3cret@db/x"]
        {
            let shown = without_password(badly_written);
            assert!(shown.ends_with("ada:***@db/x") && !shown.contains("s3cret"), "{shown}");
        }
        assert_eq!(without_password("sqlite://a.db?mode=rw"), "sqlite://a.db");
        assert_eq!(without_password("memory:"), "memory:");
    }

    #[test]
    fn opening_only_what_exists_keeps_the_other_parameters() {
        assert_eq!(existing_only("sqlite://a.db"), "sqlite://a.db?mode=rw");
        assert_eq!(
            existing_only("sqlite://a.db?mode=rwc&cache=private"),
            "sqlite://a.db?cache=private&mode=rw"
        );
        assert_eq!(existing_only("sqlite://a.db?mode=ro"), "sqlite://a.db?mode=ro");
    }
}
