//! Two servers over one file are one network.

use futures::future::join_all;
use serde_json::Value;
use tests::api::{Api, one_unit};
use tests::server::{Server, assert_verified};
use tests::sse::Stream;
use tests::world::World;

const WRITERS: u64 = 12;
const TRADES: u64 = 25;

#[tokio::test(flavor = "multi_thread")]
async fn two_busy_servers_starve_nobody_and_tell_the_same_story() {
    let world = World::new();
    let servers = [Server::start(&world.sqlite()).await, Server::start(&world.sqlite()).await];
    let apis = servers.each_ref().map(|server| Api::new(server.url()));
    apis[0].station("a", "fuel", 1_000_000).await;
    apis[0].station("b", "fuel", 0).await;
    let mut streams = Vec::new();
    for server in &servers {
        let mut stream = Stream::open(server.url(), "/api/updates/real-time", Some(0)).await;
        stream.next().await.expect("a greeting");
        streams.push(stream);
    }
    // Every writer on the same pair of stations, so that every commit of one server is in the way of the other's.
    let writers = (0..WRITERS).map(|writer| {
        let api = apis[usize::from(writer % 2 == 0)].clone();
        async move {
            for number in 0..TRADES {
                let body = one_unit(&format!("T-{writer}-{number}"), "a", "b", "fuel");
                let reply = api.post("/api/trades", &body).await;
                assert_eq!(reply.status, 201, "{:?}", reply.body);
            }
        }
    });
    join_all(writers).await;
    let newest = 2 + 4 * WRITERS * TRADES;
    assert_eq!(apis[1].newest().await, newest);
    let mut stored: Vec<Value> = Vec::new();
    while (stored.len() as u64) < newest {
        let page = apis[0].get(&format!("/api/updates?limit=500&after={}", stored.len())).await;
        stored.extend(page.body["events"].as_array().expect("events are listed").iter().cloned());
    }
    for stream in &mut streams {
        for event in &stored {
            let live = stream.next().await.expect("every event arrives");
            assert_eq!(serde_json::from_str::<Value>(&live.data).expect("JSON"), *event);
        }
    }
    assert_verified(&world.sqlite()).await;
}
