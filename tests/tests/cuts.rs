//! Connections to the database that break at every point of a commit: no acknowledged command is lost, none is applied
//! twice, and nobody is told "refused" about one that landed.

use std::time::Duration;
use tests::address::Address;
use tests::engine::{Site, open};
use tests::proxy::{After, Direction, Fault, Proxy, Strike};
use tests::server::assert_verified;
use trade_core::service::TradeService;
use trade_core::testing::strategies::World;
use trade_core::testing::workload::Workload;

/// How many connections are struck: `TRADE_TEST_CUTS`, or so many. All there are differ in 270 ways.
const CUTS: u64 = 50;
/// How long a strike may wait for a commit that it can meet.
const PATIENCE: Duration = Duration::from_secs(60);
/// How late what was on its way arrives.
const LATE: Duration = Duration::from_millis(40);

const FAULTS: [Fault; 5] =
    [Fault::Reset, Fault::Close, Fault::HalfClose, Fault::Late(LATE), Fault::Delay(LATE)];

/// The moments of a commit: from the statement that begins it on, and from the one that ends it on, where what follows
/// the first packets is already the next transaction of the same connection.
const MOMENTS: [(&str, After); 27] = {
    let mut moments = [("BEGIN", After::Packets(0)); 27];
    let mut n = 0;
    while n < 12 {
        moments[n] = ("BEGIN", After::Packets(n as u64));
        // A packet is cut in two.
        moments[12 + n] = ("BEGIN", After::Bytes(3 + 61 * n as u64));
        n += 1;
    }
    moments[24] = ("COMMIT", After::Packets(0));
    moments[25] = ("COMMIT", After::Bytes(3));
    moments[26] = ("COMMIT", After::Packets(1));
    moments
};

fn cuts() -> u64 {
    std::env::var("TRADE_TEST_CUTS").map_or(CUTS, |count| count.parse().expect("TRADE_TEST_CUTS is a number"))
}

/// The strikes, each different from the others before they repeat, and any few of them spread over all.
fn strike(number: u64) -> Strike {
    let all = FAULTS.len() * 2 * MOMENTS.len();
    // A prime that divides none of the counts.
    let number = usize::try_from(number).expect("a small number") * 7_919 % all;
    let (marker, after) = MOMENTS[number / 10];
    let direction = if number.is_multiple_of(2) { Direction::ToServer } else { Direction::ToClient };
    Strike { marker, direction, after, fault: FAULTS[number / 2 % FAULTS.len()] }
}

/// Strikes one connection after the other, for ever.
async fn strike_on(proxy: &Proxy) -> std::convert::Infallible {
    loop {
        let (number, strike) = (proxy.strikes(), strike(proxy.strikes()));
        proxy.arm(strike);
        let struck = async {
            while proxy.strikes() == number {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, struck).await.unwrap_or_else(|_| panic!("{strike:?} meets no commit"));
        // The next commit goes well, and its successors find connections again.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Two services ask through the proxy, while it strikes; what they were told is compared with what is stored.
async fn storm(proxy: &Proxy, site: &Site, seed: u64) {
    let through = Address::parse(site.url()).by_way_of(proxy.port()).to_string();
    let stores = [open(&through).await, open(&through).await];
    let mut services = Vec::new();
    for store in &stores {
        services.push(TradeService::start(store.store()).await.expect("it starts"));
    }
    let workload = Workload { world: World { trades: 60, ..World::SMALL }, ..Workload::new(seed, 300) };
    let finished = tokio::select! {
        finished = workload.run(&services) => finished,
        never = strike_on(proxy) => match never {},
    };
    proxy.disarm();
    for service in services {
        service.shutdown().await;
    }
    for store in &stores {
        store.close().await;
    }
    // What was late has arrived when the server has ended its connections.
    proxy.idle().await;
    let (taken, refused, uncertain) = finished.counts();
    assert!(taken > 100, "{taken} taken, {refused} refused, {uncertain} left open");
    let direct = site.open().await;
    finished.assert_true(&*direct.store()).await;
    direct.close().await;
    assert_verified(site.url()).await;
}

async fn every_answer_is_true_where_connections_break(site: Site) {
    let proxy = Proxy::start(Address::parse(site.url()).host()).await;
    for seed in 0.. {
        if proxy.strikes() >= cuts() {
            return;
        }
        storm(&proxy, &site.engine().site().await, seed).await;
        assert!(proxy.strikes() > seed, "every storm strikes");
    }
}

tests::on_every_server!(every_answer_is_true_where_connections_break);

#[test]
fn the_strikes_differ_and_few_of_them_are_spread_over_all() {
    let all: Vec<_> = (0..270).map(strike).collect();
    let distinct: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), 270);
    let few: std::collections::HashSet<_> =
        all[..50].iter().map(|strike| (strike.direction, strike.fault)).collect();
    assert_eq!(few.len(), 10, "{few:?}");
    assert!(all[..50].iter().filter(|strike| strike.marker == "COMMIT").count() >= 3);
}
