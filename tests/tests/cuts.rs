//! Connections to the database that break at every point of a commit: no acknowledged command is lost, none is applied
//! twice, and nobody is told "refused" about one that landed.

use std::collections::HashSet;
use std::time::Duration;
use tests::address::Address;
use tests::engine::{Engine, Site, open};
use tests::proxy::{After, Direction, Fault, Meant, Proxy, Strike};
use tests::server::assert_verified;
use trade_core::service::TradeService;
use trade_core::testing::strategies::World;
use trade_core::testing::workload::Workload;

/// How many connections are struck: `TRADE_TEST_CUTS`, or so many. There are [`KINDS`] strikes that differ.
const CUTS: usize = 50;
/// How long a strike waits for a commit that it can meet, before another takes its place.
const PATIENCE: Duration = Duration::from_millis(250);
/// Some strikes meet nothing: not every commit finds the head held, or takes so many packets. So there are more storms
/// than would be needed if all did.
const STORMS_MAX: u64 = 60;
/// How late what was on its way arrives.
const LATE: Duration = Duration::from_millis(40);

const FAULTS: [Fault; 5] =
    [Fault::Reset, Fault::Close, Fault::HalfClose, Fault::Late(LATE), Fault::Delay(LATE)];

/// What every commit changes in SQL. It may be sent once and then be prepared, so who sent it is remembered.
const HEAD_CHANGE: &str = "UPDATE tn_head";

/// What makes out a commit: any of them, once by whole packets and once by bytes, and one that holds the head of the log.
type Commits = [Meant; 3];

const SQL: Commits = [Meant::Remembered, Meant::Remembered, Meant::Sends("FOR UPDATE")];

/// Its end, its beginning, and a change of the head that counts the commit and moves nothing yet.
const MONGO: Commits = [
    Meant::Sends("commitTransaction"),
    Meant::Sends("findAndModify"),
    Meant::Sends("commits\0\u{1}\0\0\0\0\0\0\0\0\0"),
];

fn commits(engine: Engine) -> Commits {
    match engine {
        Engine::Mongo => MONGO,
        Engine::Postgres | Engine::Mysql | Engine::Sqlite => SQL,
    }
}

const MOMENTS: usize = 24;
const KINDS: usize = FAULTS.len() * 2 * MOMENTS;

/// The moments of a commit, from its first packet to the last; a packet may be cut in two.
fn moment([packets, bytes, held]: Commits, number: usize) -> (Meant, After) {
    let count = number as u64 / 4;
    match number % 4 {
        0 => (packets, After::Packets(count)),
        1 => (bytes, After::Bytes(3 + 97 * count)),
        2 => (held, After::Packets(2 * count)),
        _ => (held, After::Packets(2 * count + 1)),
    }
}

fn cuts() -> usize {
    std::env::var("TRADE_TEST_CUTS").map_or(CUTS, |count| count.parse().expect("TRADE_TEST_CUTS is a number"))
}

/// The strikes, each different from the others before they repeat, and any few of them spread over all.
fn strike(commits: Commits, number: usize) -> Strike {
    // A prime that does not divide their number.
    let number = number * 7_919 % KINDS;
    let direction = if number.is_multiple_of(2) { Direction::ToServer } else { Direction::ToClient };
    let (meant, after) = moment(commits, number / 2 / FAULTS.len());
    Strike { meant, direction, after, fault: FAULTS[number / 2 % FAULTS.len()] }
}

/// Strikes one connection after the other, for ever, and notes the strikes that met one.
async fn strike_on(
    proxy: &Proxy,
    commits: Commits,
    next: &mut usize,
    met: &mut Vec<Strike>,
) -> std::convert::Infallible {
    loop {
        let (before, strike) = (proxy.strikes(), strike(commits, *next));
        *next += 1;
        proxy.arm(strike);
        let struck = async {
            while proxy.strikes() == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, struck).await.is_ok() {
            met.push(strike);
        }
        // The next commit goes well, and its successors find connections again.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Two services ask through the proxy, while it strikes; what they were told is compared with what is stored.
async fn storm(proxy: &Proxy, site: &Site, seed: u64, next: &mut usize, met: &mut Vec<Strike>) {
    let through = Address::parse(site.url()).by_way_of(proxy.port()).to_string();
    let stores = [open(&through).await, open(&through).await];
    let mut services = Vec::new();
    for store in &stores {
        services.push(TradeService::start(store.store()).await.expect("it starts"));
    }
    let workload = Workload { world: World { trades: 60, ..World::SMALL }, ..Workload::new(seed, 400) };
    let finished = tokio::select! {
        finished = workload.run(&services) => finished,
        never = strike_on(proxy, commits(site.engine()), next, met) => match never {},
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
    let counts = format!("{taken} taken, {refused} refused, {uncertain} left open");
    assert!(taken > 50 && refused > 50 && uncertain < (taken + refused) / 4, "{counts}");
    let direct = site.open().await;
    finished.assert_true(&*direct.store()).await;
    direct.close().await;
    assert_verified(site.url()).await;
}

async fn every_answer_is_true_where_connections_break(site: Site) {
    let proxy = Proxy::start(Address::parse(site.url()).host()).await;
    proxy.remember(HEAD_CHANGE);
    let (mut next, mut met) = (0, Vec::new());
    let mut storms = 0..STORMS_MAX;
    while met.len() < cuts() {
        let seed = storms.next().unwrap_or_else(|| panic!("only {} strikes met a commit", met.len()));
        storm(&proxy, &site.engine().site().await, seed, &mut next, &mut met).await;
    }
    for meant in commits(site.engine()) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let is_met = met.iter().any(|strike| (strike.meant, strike.direction) == (meant, direction));
            assert!(is_met, "no commit was struck by {meant:?}, {direction:?}");
        }
    }
}

tests::on_every_server!(every_answer_is_true_where_connections_break);

#[test]
fn the_strikes_differ_and_few_of_them_are_spread_over_all() {
    for commits in [SQL, MONGO] {
        let all: HashSet<_> = (0..KINDS).map(|number| strike(commits, number)).collect();
        assert_eq!(all.len(), KINDS);
        let few = (0..CUTS).map(|number| strike(commits, number));
        let few: HashSet<_> = few.map(|strike| (strike.meant, strike.direction, strike.fault)).collect();
        let meant: HashSet<_> = commits.into_iter().collect();
        assert_eq!(few.len(), meant.len() * 2 * FAULTS.len());
    }
}
