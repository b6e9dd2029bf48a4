//! Servers that are killed, the network's own and the database's, lose nothing that was acknowledged, apply nothing
//! twice, and call nothing refused that landed.

use reqwest::StatusCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tests::api::Api;
use tests::database_server::{DatabaseServer, Product};
use tests::engine::Site;
use tests::server::{Server, assert_verified};
use tests::told::{Told, follow, open_stations, recovered, write};
use tokio::sync::watch;

const KILLS: u64 = 20;
const DATABASE_KILLS: u64 = 4;
const WRITERS: u64 = 8;

/// A moment to strike at, different in every round.
fn moment(round: u64) -> Duration {
    Duration::from_millis(round * 7_919 % 280)
}

async fn every_answer_survives_twenty_kills_at_different_moments(site: Site) {
    let told = Told::default();
    for round in 0..KILLS {
        let server = Server::start(site.url()).await;
        let api = Api::new(server.url());
        if round == 0 {
            open_stations(&api).await;
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(api.clone(), told.clone(), Arc::default(), round, writer)))
            .collect();
        told.more(10).await;
        tokio::time::sleep(moment(round)).await;
        server.kill().await;
        for writer in writers {
            writer.await.expect("a writer ends with its server");
        }
        assert_verified(site.url()).await;
    }
    let server = Server::start(site.url()).await;
    told.assert_kept(&Api::new(server.url())).await;
}

tests::on_every_engine!(every_answer_survives_twenty_kills_at_different_moments);

/// The database is killed again and again under a server that is not restarted.
async fn every_answer_survives_kills_of_the_database(product: Product) {
    let mut database = DatabaseServer::start(product);
    let url = database.url();
    let server = Server::start_silent(&url).await;
    let api = Api::new(server.url());
    open_stations(&api).await;
    let (told, stop) = (Told::default(), Arc::<AtomicBool>::default());
    let last = watch::Sender::new(u64::MAX);
    let reader = {
        let (url, last) = (server.url().to_owned(), last.subscribe());
        tokio::spawn(async move { follow(&url, last).await })
    };
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(api.clone(), told.clone(), stop.clone(), 0, writer)))
        .collect();
    for round in 0..DATABASE_KILLS {
        told.more(40).await;
        tokio::time::sleep(moment(round)).await;
        database.kill();
        let ready = api.get("/health/ready").await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE, "{:?}", ready.body);
        database.restart();
        recovered(&api, &format!("R-{round}")).await;
    }
    told.more(40).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("a writer stops");
    }
    last.send_replace(api.newest().await);
    let heard = reader.await.expect("nothing is missing or twice");
    assert!(follow(server.url(), last.subscribe()).await == heard, "what is told once more is the same");
    told.assert_kept(&api).await;
    drop(server);
    assert_verified(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts PostgreSQL"]
async fn every_answer_survives_kills_of_postgres() {
    every_answer_survives_kills_of_the_database(Product::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MariaDB"]
async fn every_answer_survives_kills_of_mariadb() {
    every_answer_survives_kills_of_the_database(Product::Mariadb).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MongoDB"]
async fn every_answer_survives_kills_of_mongodb() {
    every_answer_survives_kills_of_the_database(Product::Mongodb).await;
}
