//! A server that is killed loses nothing it acknowledged, and applies nothing twice.

use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tests::{api::Api, api::one_unit, server::Server, world::World};

const KILLS: u64 = 20;
const WRITERS: u64 = 8;
const STATIONS: u64 = 6;

/// What the clients were told, by trade.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<HashMap<String, Value>>>);

impl Told {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes trades, and moves some of their shipments on, until the server is gone.
async fn write(api: Api, told: Told, round: u64, writer: u64) {
    for number in 0.. {
        let id = format!("T-{round}-{writer}-{number}");
        let (seller, buyer) = (number % STATIONS, (number + 1 + writer % (STATIONS - 1)) % STATIONS);
        let mut body = one_unit(&id, &format!("s{seller}"), &format!("s{buyer}"), "fuel");
        if number % 2 == 0 {
            body["settlement"] = json!("on_delivery");
        }
        let Ok(reply) = api.send(reqwest::Method::POST, "/api/trades", Some(&body)).await else { return };
        if reply.status != StatusCode::CREATED {
            continue;
        }
        told.lock().insert(id.clone(), reply.body["trade"].clone());
        if number % 3 == 0 {
            let status = json!({"status": "cancelled"});
            let path = format!("/api/trades/{id}");
            let Ok(reply) = api.send(reqwest::Method::PATCH, &path, Some(&status)).await else { return };
            if reply.status == StatusCode::OK {
                told.lock().insert(id, reply.body["trade"].clone());
            }
        }
    }
}

/// A moment to strike at, different in every round.
fn moment(round: u64) -> Duration {
    Duration::from_millis(20 + (round * 7_919) % 280)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_survives_twenty_kills_at_different_moments() {
    let world = World::new();
    let told = Told::default();
    for round in 0..KILLS {
        let server = Server::start(&world.sqlite()).await;
        let api = Api::new(server.url());
        if round == 0 {
            for station in 0..STATIONS {
                api.station(&format!("s{station}"), "fuel", 1_000_000).await;
            }
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(api.clone(), told.clone(), round, writer)))
            .collect();
        tokio::time::sleep(moment(round)).await;
        server.kill().await;
        for writer in writers {
            writer.await.expect("a writer ends with its server");
        }
        tests::server::assert_verified(&world.sqlite()).await;
    }
    let server = Server::start(&world.sqlite()).await;
    let api = Api::new(server.url());
    let told = std::mem::take(&mut *told.lock());
    assert!(told.len() > 100, "the load was too small to show anything: {}", told.len());
    for (id, trade) in told {
        let stored = api.get(&format!("/api/trades/{id}")).await.body["trade"].clone();
        // A cancellation that was not answered may still have landed.
        let version = |trade: &Value| trade["version"].as_u64().unwrap_or(0);
        assert!(stored == trade || version(&stored) > version(&trade), "told {trade}, stored {stored}");
    }
}
