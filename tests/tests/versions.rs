//! What earlier versions have kept is brought up to date and goes on; what a newer one has written is refused in words.

use mongodb::bson::{Document, doc};
use sqlx::{ConnectOptions, Connection, Executor, MySqlConnection, PgConnection};
use tests::api::{Api, one_unit};
use tests::engine::{Engine, Site};
use tests::server::{Server, assert_verified, run};
use tests::stored;
use trade_core::command::{InitiateTrade, Outcome, Request};
use trade_core::testing::fixtures::{api_key, initiate, metadata};

/// How many servers open the database at once.
const SERVERS: usize = 3;

/// Each of several servers that start at once waits for whoever is first, and then writes.
async fn what_the_first_version_kept_is_brought_up_to_date_and_goes_on(site: Site) {
    const VERSION: u32 = 1;
    stored::restore(site.engine(), site.url(), VERSION).await;
    let servers = (0..SERVERS).map(|n| {
        let url = site.url().to_owned();
        tokio::spawn(async move {
            let opened = tests::engine::open(&url).await;
            let (service, _) = stored::service(opened.store(), stored::TAKES).await;
            let told = Some(metadata(&[("server", &n.to_string())]));
            let trade = InitiateTrade { metadata: told.clone(), ..stored::next_trade(&format!("N-{n}")) };
            let made = service.submit(Request::new(initiate(trade))).await.expect("it is taken");
            let Outcome::Trade(made) = made.outcome else { panic!("a trade is made") };
            assert!(made.created);
            assert_eq!(made.trade.metadata, told);
            // Whoever asks again is told what was told first.
            for (request, answer) in stored::keyed(VERSION).into_iter().zip(stored::answers(VERSION)) {
                let again = match service.submit(request).await {
                    Ok(again) => again,
                    Err(error) => panic!("{answer}: {error}"),
                };
                assert!(again.replayed, "{answer}");
                assert_eq!(stored::json(&again.outcome), answer);
            }
            // What this version brought has its place.
            let key = api_key(&format!("server{n:06}"));
            opened.keys().put_key(&key).await.expect("it is stored");
            service.shutdown().await;
            opened.close().await;
        })
    });
    for server in servers.collect::<Vec<_>>() {
        server.await.expect("no panic");
    }
    let opened = site.open().await;
    let (kept, events) = (stored::events(VERSION), stored::stored_events(&*opened.store()).await);
    assert_eq!(events[..kept.len()], kept);
    assert_eq!(events.len(), kept.len() + 4 * SERVERS);
    for n in 0..SERVERS {
        let id = format!("N-{n}").as_str().try_into().expect("an id");
        let trade = opened.store().trade(&id).await.expect("it can be read").expect("it is there");
        assert_eq!(trade.metadata, Some(metadata(&[("server", &n.to_string())])));
    }
    assert_eq!(opened.keys().keys(None, 9).await.expect("they can be read").len(), SERVERS);
    opened.close().await;
    assert_verified(site.url()).await;
}

/// Does what a newer version does first of all.
async fn raise(site: &Site) {
    const SQL: &str = "UPDATE tn_head SET format = format + 1";
    match site.engine() {
        Engine::Sqlite => {
            let file = site.url().trim_start_matches("sqlite://");
            let mut file =
                sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.expect("a file");
            file.execute(SQL).await.expect("a head");
        }
        Engine::Postgres => {
            let mut server = PgConnection::connect(site.url()).await.expect("the server is there");
            server.execute(SQL).await.expect("a head");
        }
        Engine::Mysql => {
            let mut server = MySqlConnection::connect(site.url()).await.expect("the server is there");
            server.execute(SQL).await.expect("a head");
        }
        Engine::Mongo => {
            let client = mongodb::Client::with_uri_str(site.url()).await.expect("the server is there");
            let head = client.default_database().expect("a database").collection::<Document>("head");
            head.update_one(doc! {}, doc! { "$inc": { "format": 1 } }).await.expect("a head");
        }
    }
}

/// A server that runs beside a newer one writes nothing more, and neither does one that is started.
async fn what_a_newer_version_has_brought_up_to_date_is_written_no_more(site: Site) {
    let server = Server::start(site.url()).await;
    let api = Api::new(server.url());
    api.station("ceres", "tea", 10).await;
    api.station("luna", "tea", 10).await;
    raise(&site).await;
    for _ in 0..2 {
        let reply = api.post("/api/trades", &one_unit("T-1", "ceres", "luna", "tea")).await;
        assert_eq!(reply.status, 503, "{:?}", reply.body);
        assert_eq!(reply.code(), "newer-version");
        assert!(reply.headers.contains_key("retry-after"));
        let detail = reply.body["detail"].as_str().expect("a detail");
        assert!(detail.contains("written by a newer version"), "{detail}");
    }
    assert_eq!(api.get("/health/ready").await.status, 503);
    assert_eq!(api.get("/health/live").await.status, 200);
    server.stop("TERM").await;
    let output = run(&["--listen", "127.0.0.1:0", "--store", site.url()]).await;
    let error = String::from_utf8(output.stderr).expect("errors are text");
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("by a newer version"), "{error}");
}

tests::on_every_engine!(
    what_the_first_version_kept_is_brought_up_to_date_and_goes_on,
    what_a_newer_version_has_brought_up_to_date_is_written_no_more,
);
