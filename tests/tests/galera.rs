//! A cluster of MariaDB Galera under two servers: nothing that was acknowledged is lost, nothing is there twice, and every
//! reader sees one order without a gap. `./tests/run --test galera` runs these alone.

use std::time::Duration;
use tests::address::Address;
use tests::api::Api;
use tests::database::Database;
use tests::galera::Galera;
use tests::haproxy::Haproxy;
use tests::oversell::ten_of_sixty_four;
use tests::scene::{Scene, alone, strikes};
use tests::server::{Server, assert_verified};

const NODES: usize = 3;
/// At each of two servers, all of them at the same stations.
const WRITERS: u64 = 32;
const STRIKES: u64 = 1;
/// How long they write before anything happens to the cluster.
const UNDISTURBED: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Galera"]
async fn nothing_is_lost_or_twice_or_out_of_order_at_two_nodes_of_which_one_is_killed() {
    let _alone = alone().await;
    let mut cluster = Galera::start(NODES);
    the_last_units_are_sold_once(&cluster).await;
    let mut scene = Scene::begin([&cluster.url(0), &cluster.url(1)], WRITERS).await;
    tokio::time::sleep(UNDISTURBED).await;
    scene.recovered(0).await;
    scene.tell(&format!("Galera, {NODES} nodes, a server at each of two"));
    // Two of them have a server.
    for (strike, node) in (1..=strikes(STRIKES)).zip([1, 0, 2].into_iter().cycle()) {
        cluster.kill(node);
        cluster.restart(node);
        scene.recovered(strike).await;
    }
    let times = strikes(STRIKES);
    scene.tell(&format!("Galera, {NODES} nodes, a server at each of two, a node killed {times} times"));
    cluster.synced().await;
    scene.end(&cluster.urls()).await;
}

/// Whichever of two nodes is asked.
async fn the_last_units_are_sold_once(cluster: &Galera) {
    let database = Database::create(&cluster.url(0)).await;
    let at = |node| Address::parse(database.url()).by_way_of(cluster.ports()[node]).to_string();
    let servers = [Server::start(&at(0)).await, Server::start(&at(1)).await];
    ten_of_sixty_four(&servers.each_ref().map(|server| Api::new(server.url()))).await;
    drop(servers);
    cluster.synced().await;
    for node in 0..NODES {
        assert_verified(&at(node)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Galera and haproxy"]
async fn nothing_is_lost_or_twice_or_out_of_order_when_the_one_node_that_is_written_to_goes_away() {
    let _alone = alone().await;
    let mut cluster = Galera::start(NODES);
    let haproxy = Haproxy::start("galera.cfg", &cluster.ports()).await;
    haproxy.await_fit(&[0, 1, 2]).await;
    let url = Address::parse(&cluster.url(0)).by_way_of(haproxy.port()).to_string();
    let mut scene = Scene::begin([&url, &url], WRITERS).await;
    cluster.kill(0);
    scene.recovered(0).await;
    scene.tell("Galera behind HAProxy, the node that is written to killed");
    cluster.restart(0);
    haproxy.await_fit(&[0, 1, 2]).await;
    scene.recovered(1).await;
    cluster.pause(0);
    scene.recovered(2).await;
    haproxy.await_fit(&[1, 2]).await;
    cluster.resume(0);
    haproxy.await_fit(&[0, 1, 2]).await;
    scene.recovered(3).await;
    scene.tell("Galera behind HAProxy, the node that is written to stopped");
    cluster.synced().await;
    scene.end(&cluster.urls()).await;
}
