//! Stores whose address names several hosts: they are tried in order, and the one that takes writes is found.

use reqwest::{Method, StatusCode};
use sqlx::{Connection, MySqlConnection};
use std::time::Instant;
use tests::address::Address;
use tests::api::{Api, one_unit};
use tests::database_server::{DatabaseServer, Product, free_ports};
use tests::primary_and_standby::{PrimaryAndStandby, Replication};
use tests::scene::alone;
use tests::server::{Server, assert_verified, run};
use tests::told::RECOVERY_MAX;

/// The address of one of these, with all of them in it.
fn naming(url: &str, ports: &[u16]) -> String {
    let (host, own) = Address::parse(url).host();
    let places: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    url.replace(&format!("{host}:{own}"), &places.join(","))
}

async fn trade(api: &Api, id: &str) -> StatusCode {
    api.send(Method::POST, "/api/trades", Some(&one_unit(id, "a", "b", "fuel")))
        .await
        .expect("it answers")
        .status
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts PostgreSQL and haproxy"]
async fn a_server_finds_the_primary_among_its_hosts_and_the_standby_once_that_has_taken_over() {
    let _alone = alone().await;
    let mut pair = PrimaryAndStandby::start(Replication::Synchronous).await;
    let nobody = free_ports(1)[0];
    let ports = [nobody, pair.standby().port(), Address::parse(&pair.primary_url()).host().1];
    let url = naming(&pair.primary_url(), &ports);
    let servers = [
        Server::start_silent(&url).await,
        Server::start_silent(&format!("{url}?target_session_attrs=read-write")).await,
    ];
    let apis = servers.each_ref().map(|server| Api::new(server.url()));
    apis[0].station("a", "fuel", 1_000).await;
    apis[0].station("b", "fuel", 0).await;
    assert_eq!(trade(&apis[0], "before").await, StatusCode::CREATED);
    pair.kill_primary();
    pair.promote().await;
    for (number, api) in apis.iter().enumerate() {
        let begin = Instant::now();
        // Tried again under the same id, it is known.
        while !trade(api, &format!("after-{number}")).await.is_success() {
            assert!(begin.elapsed() < RECOVERY_MAX, "nothing is written after the standby took over");
        }
        assert_eq!(trade(api, "before").await, StatusCode::OK, "what was acknowledged is there");
    }
    assert_verified(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MariaDB"]
async fn a_host_of_mariadb_that_is_read_only_is_passed_over() {
    let hosts = [DatabaseServer::start(Product::Mariadb), DatabaseServer::start(Product::Mariadb)];
    let mut connection = MySqlConnection::connect(&hosts[0].url()).await.expect("the server is there");
    let set = async |connection: &mut MySqlConnection, sql: &'static str| {
        sqlx::raw_sql(sql).execute(connection).await.expect("it does what it is told");
    };
    set(&mut connection, "SET GLOBAL read_only = 1").await;
    let url = naming(&hosts[0].url(), &[free_ports(1)[0], hosts[0].port(), hosts[1].port()]);
    let server = Server::start(&url).await;
    let api = Api::new(server.url());
    api.station("a", "fuel", 1_000).await;
    assert!(server.stop("TERM").await.success());
    assert_verified(&hosts[1].url()).await;

    let url = naming(&hosts[0].url(), &[free_ports(1)[0], hosts[0].port()]);
    let refused = run(&["--listen", "127.0.0.1:0", "--store", &url]).await;
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("no host was reached that takes writes"), "{told}");
    assert!(!told.contains("s3same"), "{told}");
    set(&mut connection, "SET GLOBAL read_only = 0").await;
    assert!(Server::start(&url).await.stop("TERM").await.success());
}
