//! Servers that have few connections, or are out of them.

#![cfg(any(feature = "postgres", feature = "mysql"))]
// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use futures::FutureExt;
use futures::future::join_all;
use sqlx::{AssertSqlSafe, Connection, Executor};
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trade_core::command::InitiateTrade;
use trade_core::store::{
    EventLog, Store, StoreError, StoreErrorKind, TradeFilter, TradeQuery, TradeRepository,
};
use trade_store_sql::ServerOptions;

const PATIENCE: Duration = Duration::from_secs(20);

/// A database, and a user who may connect to it only so many times at once.
trait Limited: Sized {
    type Store: Store + 'static;
    /// Connections that are not the readers', at most.
    const FIRST: usize;

    async fn make(connections_max: usize) -> Self;

    async fn open_with(&self, options: &ServerOptions) -> Result<Self::Store, StoreError>;

    async fn open(&self) -> Self::Store {
        self.open_with(&ServerOptions::default()).await.unwrap()
    }

    /// How many connections the user has.
    async fn count(&self) -> usize;

    /// Ends all of them.
    async fn cut(&self);

    /// Ends the one that was made first.
    async fn cut_oldest(&self);

    /// Connects as this user, unless there are too many.
    async fn connect(&self) -> Option<Box<dyn Any>>;

    /// The same until there are too many.
    async fn take_the_rest(&self) -> Vec<Box<dyn Any>> {
        let mut taken = Vec::new();
        while let Some(connection) = self.connect().await {
            taken.push(connection);
        }
        taken
    }
}

#[cfg(feature = "postgres")]
mod on_postgres {
    use super::*;
    use common::postgres::Database;
    use sqlx::ConnectOptions;
    use sqlx::postgres::PgConnectOptions;
    use trade_store_sql::PostgresStore;

    pub(crate) struct Role {
        name: String,
        database: Database,
    }

    impl Role {
        fn url(&self) -> String {
            let url = self.database.url();
            format!("postgres://{}:few@{}", self.name, url.rsplit_once('@').unwrap().1)
        }

        async fn ask(&self, sql: &str) -> i64 {
            let mut connection = self.database.connection().await;
            sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap()
        }
    }

    impl Limited for Role {
        type Store = PostgresStore;
        const FIRST: usize = 4;

        async fn make(connections_max: usize) -> Self {
            let database = Database::create().await;
            let name =
                format!("few_{}", database.url().rsplit("tn_sql_").next().unwrap().trim_end_matches('?'));
            let sql = format!(
                "CREATE ROLE {name} LOGIN PASSWORD 'few' CONNECTION LIMIT {connections_max}; \
                 DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' OWNER TO {name}'; END $$"
            );
            database.connection().await.execute(AssertSqlSafe(sql)).await.unwrap();
            Self { name, database }
        }

        async fn open_with(&self, options: &ServerOptions) -> Result<PostgresStore, StoreError> {
            PostgresStore::connect_with(&self.url(), options).await
        }

        async fn count(&self) -> usize {
            let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'", self.name);
            self.ask(&sql).await.try_into().unwrap()
        }

        async fn cut(&self) {
            let sql = format!(
                "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE usename = '{}'",
                self.name
            );
            self.ask(&sql).await;
        }

        async fn cut_oldest(&self) {
            let sql = format!(
                "SELECT CAST(pg_terminate_backend(pid, 5000) AS int)::bigint FROM pg_stat_activity \
                 WHERE usename = '{}' ORDER BY backend_start LIMIT 1",
                self.name
            );
            assert_eq!(self.ask(&sql).await, 1);
        }

        async fn connect(&self) -> Option<Box<dyn Any>> {
            let options: PgConnectOptions = self.url().parse().unwrap();
            let mut connection = options.connect().await.ok()?;
            connection.ping().await.unwrap();
            Some(Box::new(connection))
        }
    }

    impl Drop for Role {
        fn drop(&mut self) {
            let (options, name) = (self.database.options().database("postgres"), self.name.clone());
            let of = self.database.options().get_database().unwrap().to_owned();
            let dropping = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut connection = options.connect().await.unwrap();
                    for sql in [format!("DROP DATABASE {of} WITH (FORCE)"), format!("DROP ROLE {name}")] {
                        connection.execute(AssertSqlSafe(sql)).await.unwrap();
                    }
                });
            });
            let dropped = dropping.join();
            if !std::thread::panicking() {
                dropped.unwrap();
            }
        }
    }
}

#[cfg(feature = "mysql")]
mod on_mysql {
    use super::*;
    use common::mysql::Database;
    use sqlx::mysql::MySqlConnectOptions;
    use sqlx::{ConnectOptions, Row};
    use trade_store_sql::MySqlStore;

    pub(crate) struct User {
        name: String,
        database: Database,
    }

    impl User {
        fn url(&self) -> String {
            let url = self.database.url();
            format!("mysql://{}:few@{}", self.name, url.rsplit_once('@').unwrap().1)
        }

        async fn sessions(&self) -> Vec<i64> {
            let mut connection = self.database.connection().await;
            let users =
                sqlx::query("SELECT id FROM information_schema.processlist WHERE user = ?").bind(&self.name);
            let rows = users.fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|row| row.try_get_unchecked(0).unwrap()).collect()
        }

        async fn kill(&self, sessions: &[i64]) {
            let mut connection = self.database.connection().await;
            for id in sessions {
                // It may have gone by itself.
                let _ = connection.execute(AssertSqlSafe(format!("KILL {id}"))).await;
            }
            while self.sessions().await.iter().any(|id| sessions.contains(id)) {}
        }
    }

    impl Limited for User {
        type Store = MySqlStore;
        const FIRST: usize = 3;

        async fn make(connections_max: usize) -> Self {
            let database = Database::create().await;
            let url = database.url();
            let of = url.rsplit_once('/').unwrap().1.trim_end_matches('?');
            let name = of.replace("tn_sql_", "few_");
            let mut connection = database.connection().await;
            for sql in [
                format!("CREATE USER {name} IDENTIFIED BY 'few' WITH MAX_USER_CONNECTIONS {connections_max}"),
                format!("GRANT ALL ON {of}.* TO {name}"),
            ] {
                connection.execute(AssertSqlSafe(sql)).await.unwrap();
            }
            Self { name, database }
        }

        async fn open_with(&self, options: &ServerOptions) -> Result<MySqlStore, StoreError> {
            MySqlStore::connect_with(&self.url(), options).await
        }

        async fn count(&self) -> usize {
            self.sessions().await.len()
        }

        async fn cut(&self) {
            self.kill(&self.sessions().await).await;
        }

        async fn cut_oldest(&self) {
            let oldest = self.sessions().await.into_iter().min();
            self.kill(&[oldest.unwrap()]).await;
        }

        async fn connect(&self) -> Option<Box<dyn Any>> {
            let options: MySqlConnectOptions = self.url().parse().unwrap();
            let mut connection = options.connect().await.ok()?;
            connection.ping().await.unwrap();
            Some(Box::new(connection))
        }
    }

    impl Drop for User {
        fn drop(&mut self) {
            let (url, name) = (self.database.url(), self.name.clone());
            let dropping = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut connection = url.parse::<MySqlConnectOptions>().unwrap().connect().await.unwrap();
                    connection.execute(AssertSqlSafe(format!("DROP USER {name}"))).await.unwrap();
                });
            });
            let dropped = dropping.join();
            if !std::thread::panicking() {
                dropped.unwrap();
            }
        }
    }
}

fn tea(n: usize) -> InitiateTrade {
    sale(&format!("T-{n}"), "ceres", "luna", &[("tea", 1)])
}

async fn sell(store: &impl Store, n: usize) -> Result<(), StoreError> {
    store.commit(&decided(store, at(1), &[tea(n)]).await).await.map(drop)
}

/// A user with so many connections, and a store with something in it.
async fn network<L: Limited>(connections_max: usize) -> (L, Arc<L::Store>) {
    let user = L::make(connections_max).await;
    let store = Arc::new(user.open().await);
    store.commit(&opened(&*store, at(0), &["ceres", "luna"], &["tea"]).await).await.unwrap();
    (user, store)
}

/// Many who read at once, again and again: who of them was refused.
async fn read_at_once<S: Store + 'static>(store: &Arc<S>) -> Vec<StoreError> {
    let one = || {
        let store = store.clone();
        tokio::spawn(async move {
            let query = TradeQuery { filter: TradeFilter::default(), before: None, limit: 500 };
            let mut refused = Vec::new();
            for _ in 0..10 {
                refused.extend(store.trades(&query).await.err());
                refused.extend(store.trade(&trade_id("T-1")).await.err());
            }
            refused
        })
    };
    let done = join_all((0..40).map(|_| one())).await;
    done.into_iter().flat_map(Result::unwrap).collect()
}

async fn who_writes_has_a_connection_however_many_read<L: Limited>() {
    let (user, store) = network::<L>(9).await;
    sell(&*store, 0).await.unwrap();
    for round in 1..4 {
        // As if the server was started again.
        user.cut().await;
        let refused = read_at_once(&store).await;
        assert!(refused.is_empty(), "{} reads were refused: {:?}", refused.len(), refused.first());
        // A connection that was cut a moment ago may be found so by the commit.
        if sell(&*store, round).await.is_err() {
            sell(&*store, round).await.unwrap();
        }
        store.head().await.unwrap();
        assert!(user.count().await <= 9);
    }
}

async fn who_writes_takes_the_place_of_who_reads_where_there_is_no_other<L: Limited>() {
    let (user, store) = network::<L>(L::FIRST + 4).await;
    assert!(read_at_once(&store).await.is_empty());
    let mut others = user.take_the_rest().await;
    for round in 0..3 {
        // The oldest is the writer's, or one like it: another program is faster to connect again, sooner or later.
        let begun = Instant::now();
        let other = loop {
            assert!(begun.elapsed() < PATIENCE, "there is room for one");
            user.cut_oldest().await;
            if let Some(other) = user.connect().await {
                break other;
            }
        };
        others.push(other);
        if sell(&*store, round).await.is_err() {
            // It was not known yet to be cut.
            sell(&*store, round).await.unwrap();
        }
        let refused = read_at_once(&store).await;
        assert!(refused.is_empty(), "{:?}", refused.first());
    }
    // Once the others leave, readers are as many as before.
    let few = user.count().await - others.len();
    drop(others);
    let begun = Instant::now();
    while user.count().await <= few {
        assert!(begun.elapsed() < PATIENCE, "there is room for more than {few}");
        assert!(read_at_once(&store).await.is_empty());
    }
}

async fn a_store_needs_four_connections_and_makes_do_with_them<L: Limited>() {
    let user = L::make(3).await;
    let refused = user.open_with(&ServerOptions::default()).await.expect_err("they are too few");
    assert_eq!(refused.kind, StoreErrorKind::Unavailable);
    assert!(refused.detail.contains("needs 4"), "{refused}");
    let (user, store) = network::<L>(4).await;
    let (refused, sold) = tokio::join!(read_at_once(&store), sell(&*store, 0));
    assert!(refused.is_empty() && sold.is_ok(), "{:?} {sold:?}", refused.first());
    assert_eq!(user.count().await, 4);
}

async fn readers_give_up_what_nobody_uses<L: Limited>() {
    let user = L::make(100).await;
    let mut options = ServerOptions::default();
    options.idle_timeout = Duration::from_millis(200);
    let store = Arc::new(user.open_with(&options).await.unwrap());
    store.commit(&opened(&*store, at(0), &["ceres", "luna"], &["tea"]).await).await.unwrap();
    let begun = Instant::now();
    while user.count().await <= L::FIRST + 1 {
        assert!(begun.elapsed() < PATIENCE, "those who read at once have a connection each");
        assert!(read_at_once(&store).await.is_empty());
    }
    while user.count().await > L::FIRST + 1 {
        assert!(begun.elapsed() < PATIENCE, "one who reads needs one");
        store.trade(&trade_id("T-1")).await.unwrap();
    }
}

/// Reads and looks at the log, of which nothing is refused, with pauses in which whatever else would have a connection
/// may take it.
async fn read_now_and_then<S: Store>(stores: &[&S], are_given_up: bool) {
    for round in (0..8).rev() {
        tokio::time::sleep(Duration::from_millis(100 * round)).await;
        for store in stores.iter().cycle().take(20) {
            if are_given_up {
                // Its connection is closed.
                store.trade(&trade_id("T-0")).now_or_never();
            }
            assert!(store.trade(&trade_id("T-0")).await.unwrap().is_some());
            store.head().await.unwrap();
        }
    }
}

async fn who_reads_has_a_connection_however_few_there_are<L: Limited>() {
    for connections_max in [4, 5] {
        let (user, store) = network::<L>(connections_max).await;
        sell(&*store, 0).await.unwrap();
        read_now_and_then(&[&*store], true).await;
        sell(&*store, 1).await.unwrap();
        assert!(user.count().await <= connections_max);
    }
}

async fn who_reads_has_a_connection_at_each_of_two_servers<L: Limited>() {
    let (user, store) = network::<L>(9).await;
    sell(&*store, 0).await.unwrap();
    let other = user.open().await;
    read_now_and_then(&[&*store, &other], false).await;
    sell(&other, 1).await.unwrap();
    sell(&*store, 2).await.unwrap();
}

macro_rules! on_every_server {
    ($($case:ident),+ $(,)?) => {
        $(mod $case {
            #[cfg(feature = "postgres")]
            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "TRADE_TEST_POSTGRES_URL"]
            async fn on_postgres() {
                super::$case::<super::on_postgres::Role>().await;
            }

            #[cfg(feature = "mysql")]
            #[tokio::test(flavor = "multi_thread")]
            #[ignore = "TRADE_TEST_MYSQL_URL"]
            async fn on_mysql() {
                super::$case::<super::on_mysql::User>().await;
            }
        })+
    };
}

on_every_server!(
    who_writes_has_a_connection_however_many_read,
    who_writes_takes_the_place_of_who_reads_where_there_is_no_other,
    a_store_needs_four_connections_and_makes_do_with_them,
    readers_give_up_what_nobody_uses,
    who_reads_has_a_connection_however_few_there_are,
    who_reads_has_a_connection_at_each_of_two_servers,
);
