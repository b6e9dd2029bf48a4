//! Many clients want the same few units.

use tests::api::Api;
use tests::engine::Site;
use tests::oversell::ten_of_sixty_four;
use tests::server::{Server, assert_verified};

#[tokio::test(flavor = "multi_thread")]
async fn ten_of_sixty_four_clients_get_the_ten_units_in_memory() {
    let server = Server::start("memory:").await;
    ten_of_sixty_four(&[Api::new(server.url())]).await;
}

async fn ten_of_sixty_four_clients_get_the_ten_units(site: Site) {
    let server = Server::start(site.url()).await;
    ten_of_sixty_four(&[Api::new(server.url())]).await;
    assert_verified(site.url()).await;
}

tests::on_every_engine!(ten_of_sixty_four_clients_get_the_ten_units);
