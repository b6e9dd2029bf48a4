//! A database that goes away under a running server, and comes back.

use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tests::address::Address;
use tests::api::{Api, Reply, one_unit};
use tests::engine::{Engine, Site};
use tests::proxy::{Proxy, Way};
use tests::server::{Server, assert_verified, binary, run};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

/// What "within a bounded time" is at the most; a client gives up after 30 s.
const ANSWER_MAX: Duration = Duration::from_secs(25);
const RECOVERY_MAX: Duration = Duration::from_secs(60);

/// A server whose way to its database can be closed.
struct Distant {
    proxy: Proxy,
    server: Server,
    api: Api,
    site: Site,
}

impl Distant {
    async fn start(site: Site) -> Self {
        let address = Address::parse(site.url());
        let proxy = Proxy::start(address.host()).await;
        let server = Server::start_silent(&address.by_way_of(proxy.port()).to_string()).await;
        let api = Api::new(server.url());
        api.station("a", "fuel", 1_000).await;
        api.station("b", "fuel", 0).await;
        Self { proxy, server, api, site }
    }

    async fn trade(&self, id: &str) -> Reply {
        self.api.post("/api/trades", &one_unit(id, "a", "b", "fuel")).await
    }
}

/// An answer that says that the store is away, and when to ask again.
fn assert_unavailable(reply: &Reply) {
    assert_eq!(
        (reply.status, reply.code()),
        (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable"),
        "{}",
        reply.body
    );
    let retry_after = reply.headers.get("retry-after").expect("when to ask again");
    retry_after.to_str().expect("text").parse::<u32>().expect("in seconds");
}

async fn a_store_that_is_away_is_told_in_time_and_is_used_again_when_it_is_back(site: Site) {
    let distant = Distant::start(site).await;
    for way in [Way::Shut, Way::Held] {
        assert!(distant.trade(&format!("before-{way:?}")).await.status.is_success());
        distant.proxy.set_way(way);
        // Those that ask at the same time are answered in the same time.
        let asked = Instant::now();
        let ids: Vec<_> = (0..20).map(|n| format!("{way:?}-{n}")).collect();
        let replies = futures::future::join_all(ids.iter().map(|id| distant.trade(id))).await;
        replies.iter().for_each(assert_unavailable);
        for path in ["/api/trades", "/api/trades/T-1", "/api/inventory/a", "/api/updates"] {
            assert_unavailable(&distant.api.get(path).await);
        }
        assert!(asked.elapsed() < 5 * ANSWER_MAX, "{way:?}: {:?}", asked.elapsed());
        assert_eq!(distant.api.get("/health/ready").await.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(distant.api.get("/health/live").await.status, StatusCode::OK);
        distant.proxy.set_way(Way::Open);
        let back = Instant::now();
        while !distant.trade(&format!("after-{way:?}")).await.status.is_success() {
            assert!(back.elapsed() < RECOVERY_MAX, "{way:?}: the server does not find its store again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(distant.api.get("/health/ready").await.status, StatusCode::OK);
    }
    assert!(distant.server.stop("TERM").await.success());
    distant.proxy.set_way(Way::Shut);
    distant.proxy.idle().await;
    assert_verified(distant.site.url()).await;
}

/// A server at its most talkative, on a store that goes away: neither form of the password is in what it wrote.
async fn a_password_is_in_no_log(site: Site) {
    let address = Address::parse(site.url());
    let proxy = Proxy::start(address.host()).await;
    let through = address.by_way_of(proxy.port()).to_string();
    let mut child = tokio::process::Command::new(binary())
        .args(["--listen", "127.0.0.1:0", "--store", &through, "--log", "trace", "--log-format", "json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut log = child.stderr.take().expect("it is piped");
    let reading = tokio::spawn(async move {
        let mut text = Vec::new();
        log.read_to_end(&mut text).await.map(|_| text)
    });
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let ready = tokio::time::timeout(RECOVERY_MAX, lines.next_line()).await.expect("it is ready in time");
    let ready = ready.expect("it can be read").expect("it does not end");
    let api = Api::new(ready.strip_prefix("listening on ").expect("the ready line"));
    api.station("a", "fuel", 1).await;
    proxy.set_way(Way::Shut);
    let station = json!({"stationId": "b"});
    let reply = api.send(Method::POST, "/api/inventory", Some(&station)).await.expect("an answer");
    assert_unavailable(&reply);
    // Its last lines are written before it ends; one that is killed may take them along.
    let pid = child.id().expect("it runs").to_string();
    let told = tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await;
    assert!(told.expect("kill is there").success());
    tokio::time::timeout(RECOVERY_MAX, child.wait())
        .await
        .expect("it ends in time")
        .expect("it is waited for");
    let log = reading.await.expect("it ends").expect("it can be read");
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("serving") && log.contains("the store failed"), "{log}");
    assert_free_of_password(&log, &address);
}

fn assert_free_of_password(text: &str, address: &Address) {
    let encoded = address.password().expect("the tests' servers ask for a password");
    let plain = encoded.replace("%40", "@");
    for secret in [encoded, &plain] {
        let found = text.lines().find(|line| line.contains(secret));
        assert!(found.is_none(), "{found:?}");
    }
}

/// Who cannot be let in is told so in one line, without the password that was tried.
async fn a_wrong_password_is_told_without_it(site: Site) {
    let address = Address::parse(site.url());
    let password = address.password().expect("the tests' servers ask for a password").to_owned();
    let wrong = site.url().replace(&password, "hunter2");
    let output = run(&["--listen", "127.0.0.1:0", "--store", &wrong]).await;
    let error = String::from_utf8(output.stderr).expect("errors are text");
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert!(error.lines().any(|line| line.contains("cannot be opened")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL"]
async fn a_right_that_is_revoked_and_a_password_that_is_changed_are_outages_until_they_are_back() {
    let site = Engine::Postgres.site().await;
    let mut admin = PgConnection::connect(site.url()).await.expect("the tests' user is let in");
    let role = format!("r{}", std::process::id());
    let database = site.url().rsplit('/').next().expect("a database").to_owned();
    let made = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'old'; GRANT ALL ON SCHEMA public TO {role}; GRANT ALL ON DATABASE {database} TO {role}"
    );
    run_sql(&mut admin, &made).await;
    let host = Address::parse(site.url()).host();
    let server =
        Server::start_silent(&format!("postgres://{role}:old@{}:{}/{database}", host.0, host.1)).await;
    let api = Api::new(server.url());
    api.station("a", "fuel", 1_000).await;
    api.station("b", "fuel", 0).await;
    let trade = async |id: &str| api.post("/api/trades", &one_unit(id, "a", "b", "fuel")).await;
    let until_it_is_taken = async |id: &str| {
        let back = Instant::now();
        while !trade(id).await.status.is_success() {
            assert!(back.elapsed() < RECOVERY_MAX, "it is not taken again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(api.get("/health/ready").await.status, StatusCode::OK);
    };
    run_sql(&mut admin, &format!("REVOKE INSERT, UPDATE ON ALL TABLES IN SCHEMA public FROM {role}")).await;
    assert_unavailable(&trade("T-1").await);
    assert_eq!(api.get("/health/ready").await.status, StatusCode::SERVICE_UNAVAILABLE);
    run_sql(&mut admin, &format!("GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}")).await;
    until_it_is_taken("T-1").await;
    // Whoever is connected stays so.
    let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    run_sql(&mut admin, &format!("ALTER ROLE {role} PASSWORD 'new'; {cut}")).await;
    // They are only told to end.
    let count =
        format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND state IS NOT NULL");
    let told = Instant::now();
    while sessions(&mut admin, &count).await > 0 {
        assert!(told.elapsed() < RECOVERY_MAX, "the sessions do not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_unavailable(&trade("T-2").await);
    assert_unavailable(&api.get("/api/trades").await);
    run_sql(&mut admin, &format!("ALTER ROLE {role} PASSWORD 'old'")).await;
    until_it_is_taken("T-2").await;
    assert!(server.stop("TERM").await.success());
    assert_verified(site.url()).await;
    run_sql(&mut admin, &format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
}

async fn sessions(connection: &mut PgConnection, count: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(connection).await.expect("they are counted")
}

async fn run_sql(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

tests::on_every_server!(
    a_store_that_is_away_is_told_in_time_and_is_used_again_when_it_is_back,
    a_password_is_in_no_log,
    a_wrong_password_is_told_without_it,
);
