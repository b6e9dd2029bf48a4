//! PgBouncer between the server and PostgreSQL: it must keep a session for a client.

use reqwest::StatusCode;
use tests::api::{Api, one_unit};
use tests::engine::Engine;
use tests::pooler::Pooler;
use tests::server::{Server, assert_verified, run};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn a_pooler_that_keeps_sessions_holds_a_load() {
    let site = Engine::Postgres.site().await;
    // As it comes, but for the sessions: of these a server has some more than it has connections that read.
    let pooler = Pooler::start(site.url(), &[("pool_mode", "session"), ("default_pool_size", "20")]);
    let server = Server::start(&pooler.url()).await;
    let api = Api::new(server.url());
    api.station("seller", "fuel", 10_000).await;
    api.station("buyer", "fuel", 0).await;
    let clients = (0..32).map(|client| {
        let api = api.clone();
        async move {
            for n in 0..10 {
                let trade = one_unit(&format!("T-{client}-{n}"), "seller", "buyer", "fuel");
                let reply = api.post("/api/trades", &trade).await;
                assert_eq!(reply.status, StatusCode::CREATED, "{:?}", reply.body);
                let list = api.get("/api/trades?limit=50&station=buyer").await;
                assert_eq!(list.status, StatusCode::OK, "{:?}", list.body);
            }
        }
    });
    futures::future::join_all(clients).await;
    assert_eq!(api.level("buyer", "fuel").await["onHand"], 320);
    assert!(server.stop("TERM").await.success());
    assert_verified(&pooler.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn a_pooler_that_shares_sessions_is_refused_at_the_start() {
    let site = Engine::Postgres.site().await;
    for settings in [
        &[("pool_mode", "transaction")][..],
        // There is but one session, and every client gets it; there are some, and they take turns.
        &[("pool_mode", "transaction"), ("default_pool_size", "1")],
        &[("pool_mode", "transaction"), ("server_round_robin", "1"), ("min_pool_size", "4")],
        &[("pool_mode", "statement")],
    ] {
        let pooler = Pooler::start(site.url(), settings);
        let url = pooler.url();
        for arguments in [
            &["--listen", "127.0.0.1:0", "--store", &url][..],
            &["--listen", "127.0.0.1:0", "--store", site.url(), "--store-read", &url],
            &["verify", "--store", &url],
        ] {
            let output = run(arguments).await;
            let error = String::from_utf8(output.stderr).expect("errors are text");
            let lines: Vec<_> = error.lines().filter(|line| line.starts_with("trade-network:")).collect();
            assert_eq!(output.status.code(), Some(1), "{settings:?} {arguments:?}: {error}");
            assert!(matches!(lines[..], [line] if line.contains("pool_mode")), "{settings:?}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn a_pooler_with_few_sessions_is_refused_or_serves_who_reads_and_who_writes() {
    let site = Engine::Postgres.site().await;
    for sessions in ["1", "3"] {
        let pooler = Pooler::start(site.url(), &[("pool_mode", "session"), ("default_pool_size", sessions)]);
        let output = run(&["--listen", "127.0.0.1:0", "--store", &pooler.url()]).await;
        let error = String::from_utf8(output.stderr).expect("errors are text");
        assert_eq!(output.status.code(), Some(1), "{sessions}: {error}");
        assert!(error.contains("a store needs 4"), "{sessions}: {error}");
    }
    let pooler = Pooler::start(site.url(), &[("pool_mode", "session"), ("default_pool_size", "4")]);
    let server = Server::start_silent(&pooler.url()).await;
    let api = Api::new(server.url());
    api.station("seller", "fuel", 10_000).await;
    api.station("buyer", "fuel", 0).await;
    for n in 0..8 {
        // Longer than whoever else waits for a session takes to give up, in all.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let trade = one_unit(&format!("T-{n}"), "seller", "buyer", "fuel");
        assert_eq!(api.post("/api/trades", &trade).await.status, StatusCode::CREATED);
        let found = api.get(&format!("/api/trades/T-{n}")).await;
        assert_eq!(found.status, StatusCode::OK, "{:?}", found.body);
    }
}
