//! A primary of PostgreSQL and a standby that takes over, behind one address.

use crate::address::Address;
use crate::database_server::{DatabaseServer, Product, free_ports};
use crate::haproxy::Haproxy;
use crate::proxy::{Proxy, Way};
use sqlx::{Connection, PgConnection};
use std::time::{Duration, Instant};

/// How long a standby may take to follow its primary.
const FOLLOW_MAX: Duration = Duration::from_secs(60);

/// Whether a commit is acknowledged before the standby has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// It is not.
    Synchronous,
    /// It is.
    Asynchronous,
}

/// Two servers, the second of which follows the first by a way that can be held up.
#[derive(Debug)]
pub struct PrimaryAndStandby {
    replication: Replication,
    /// Places by which HAProxy knows them.
    places: [Option<DatabaseServer>; 2],
    ports: [u16; 2],
    primary: usize,
    way: Proxy,
    haproxy: Haproxy,
}

impl PrimaryAndStandby {
    /// Makes and starts both, and HAProxy before them.
    pub async fn start(replication: Replication) -> Self {
        let primary = DatabaseServer::start(Product::Postgres);
        execute(&primary, "CREATE ROLE haproxy LOGIN").await;
        let ports = [primary.port(), free_ports(1)[0]];
        let way = Proxy::start(("127.0.0.1".to_owned(), primary.port())).await;
        let haproxy = Haproxy::start("postgres.cfg", &ports).await;
        let places = [Some(primary), None];
        let mut this = Self { replication, places, ports, primary: 0, way, haproxy };
        this.add_standby().await;
        this.haproxy.await_fit(&[0]).await;
        this
    }

    /// The URL by which the one that is the primary is reached.
    pub fn url(&self) -> String {
        Address::parse(&self.primary().url()).by_way_of(self.haproxy.port()).to_string()
    }

    /// The primary's own.
    pub fn primary_url(&self) -> String {
        self.primary().url()
    }

    /// The standby's own.
    pub fn standby_url(&self) -> String {
        self.standby().url()
    }

    /// The standby, to be paused and resumed.
    pub fn standby(&self) -> &DatabaseServer {
        self.places[1 - self.primary].as_ref().expect("there is a standby")
    }

    /// The standby, to be killed and restarted.
    pub fn standby_mut(&mut self) -> &mut DatabaseServer {
        self.places[1 - self.primary].as_mut().expect("there is a standby")
    }

    /// Has the standby show nothing more of what it is given, and waits until it does so.
    pub async fn pause_replay(&self) {
        let mut connection = PgConnection::connect(&self.standby_url()).await.expect("the standby is there");
        sqlx::raw_sql("SELECT pg_wal_replay_pause()").execute(&mut connection).await.expect("it does so");
        let begin = Instant::now();
        let state = "SELECT pg_get_wal_replay_pause_state()";
        while sqlx::query_scalar::<_, String>(state).fetch_one(&mut connection).await.expect("it tells")
            != "paused"
        {
            assert!(begin.elapsed() < FOLLOW_MAX, "the standby does not pause");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Has it show everything again.
    pub async fn resume_replay(&self) {
        execute(self.standby(), "SELECT pg_wal_replay_resume()").await;
    }

    /// Has the standby learn nothing any more.
    pub fn hold_standby(&self) {
        self.way.set_way(Way::Held);
    }

    /// Ends the primary as a power cut would.
    pub fn kill_primary(&mut self) {
        self.places[self.primary].as_mut().expect("there is a primary").kill();
        // What the standby has not been given by now was lost with the primary.
        self.way.set_way(Way::Shut);
    }

    /// Has the primary stand still.
    pub fn pause_primary(&self) {
        self.primary().pause();
        self.way.set_way(Way::Shut);
    }

    /// Has the standby take over.
    pub async fn promote(&mut self) {
        self.primary = 1 - self.primary;
        execute(self.primary(), "SELECT pg_promote(true, 60)").await;
    }

    /// Ends the one that was the primary before, whatever it is about.
    pub fn fence(&mut self) {
        let old = self.places[1 - self.primary].take();
        if let Some(mut old) = old.filter(DatabaseServer::is_running) {
            old.kill();
        }
    }

    /// Makes the one that was the primary before a standby of the one that is.
    pub async fn rebuild(&mut self) {
        self.fence();
        self.way = Proxy::start(("127.0.0.1".to_owned(), self.primary().port())).await;
        self.add_standby().await;
        self.haproxy.await_fit(&[self.primary]).await;
    }

    async fn add_standby(&mut self) {
        let standby = 1 - self.primary;
        self.places[standby] = Some(DatabaseServer::start_standby(self.way.port(), self.ports[standby]));
        // A primary without a standby would wait for one at each commit. So one that has just taken over, which has the
        // settings of its first day, waits for none, and does so from when it has one.
        if self.replication == Replication::Synchronous {
            execute(self.primary(), "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
            execute(self.primary(), "SELECT pg_reload_conf()").await;
        }
        self.caught_up().await;
    }

    /// Waits until the standby has what the primary has by now.
    pub async fn caught_up(&self) {
        let state = match self.replication {
            Replication::Synchronous => "sync",
            Replication::Asynchronous => "async",
        };
        let (begin, position) = (Instant::now(), self.position().await);
        while !self.standby_is(state, &position).await {
            assert!(begin.elapsed() < FOLLOW_MAX, "the standby does not follow");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where the primary's log ends.
    async fn position(&self) -> String {
        let mut connection = PgConnection::connect(&self.primary_url()).await.expect("the primary is there");
        let sql = "SELECT pg_current_wal_flush_lsn()::text";
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("it tells")
    }

    /// Whether there is a standby in such a state, which has the log up to a position.
    async fn standby_is(&self, state: &str, position: &str) -> bool {
        let mut connection = PgConnection::connect(&self.primary_url()).await.expect("the primary is there");
        let sql = "SELECT count(*) FROM pg_stat_replication \
                   WHERE sync_state = $1 AND state = 'streaming' AND flush_lsn >= $2::text::pg_lsn";
        let standbys = sqlx::query_scalar(sql).bind(state).bind(position);
        standbys.fetch_one(&mut connection).await.is_ok_and(|standbys: i64| standbys == 1)
    }

    fn primary(&self) -> &DatabaseServer {
        self.places[self.primary].as_ref().expect("there is a primary")
    }
}

async fn execute(server: &DatabaseServer, sql: &'static str) {
    let mut connection = PgConnection::connect(&server.url()).await.expect("the server is there");
    sqlx::raw_sql(sql).execute(&mut connection).await.expect("it does what it is told");
    connection.close().await.expect("it is there");
}
