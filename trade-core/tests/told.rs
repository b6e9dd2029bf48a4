//! What a refusal tells: no number of a station that the caller may not know of, whoever they are and however they ask.

use std::sync::Arc;
use trade_core::access::StationRoles;
use trade_core::command::{Command, Outcome, Request};
use trade_core::event::Actor;
use trade_core::memory::MemoryStore;
use trade_core::policy::Principal;
use trade_core::rejection::Rejection;
use trade_core::resource::CargoStatus::{Cancelled, InTransit, Lost, Returned};
use trade_core::resource::TradeStatus;
use trade_core::service::{ServiceError, ServiceOptions, TradeService};
use trade_core::testing::conformance::taken;
use trade_core::testing::fixtures::*;
use trade_core::values::{Scope, UNITS_MAX};

/// What is available where the shortages below are: no other number is like it.
const LEVEL: u64 = 4_711;

/// `short` has little tea, `full` almost more than it can hold.
async fn network() -> TradeService {
    let policy = Arc::new(StationRoles { buyers_may_initiate: true });
    let options = ServiceOptions { policy, ..ServiceOptions::default() };
    let service = TradeService::start_with_options(Arc::new(MemoryStore::new()), options).await;
    let service = service.expect("it starts");
    for (id, units) in [("short", LEVEL), ("full", UNITS_MAX - LEVEL), ("plenty", 900_000_000)] {
        taken(&service, open_station(id, &[("tea", units)])).await;
    }
    service
}

/// Everything, of these stations.
fn principal(stations: &[&str]) -> Principal {
    let scope = Scope::of(stations.iter().map(|id| station(id))).expect("a few");
    let ada = Principal::new(Actor::User("ada".into())).with_stations(scope);
    ada.with_roles(["viewer", "trader", "carrier", "stockkeeper"])
}

/// How a command is refused, alone or as the answer to a part of it; what a key repeats is the same.
async fn refused(service: &TradeService, stations: &[&str], command: Command) -> Rejection {
    let session = service.session(principal(stations));
    let mut told = Vec::new();
    for request in [Request::new(command.clone()), Request::new(command).once(key(1, 1))] {
        told.push(match session.submit(request).await {
            Err(ServiceError::Rejected(Rejection::InBatch { rejection, .. })) => *rejection,
            Err(ServiceError::Rejected(rejection)) => rejection,
            Ok(answer) => match answer.outcome {
                Outcome::Trades(mut answers) => answers.swap_remove(0).expect_err("it is too much"),
                other => panic!("{other:?}"),
            },
            Err(other) => panic!("{other:?}"),
        });
    }
    assert_eq!(told[0], told[1]);
    told.swap_remove(0)
}

fn assert_tells(rejection: &Rejection, knows: bool, case: &str) {
    let whole = (format!("{rejection:?}"), rejection.to_string());
    let number = LEVEL.to_string();
    match rejection {
        Rejection::InsufficientStock(shortages) => {
            assert_eq!(shortages.listed()[0].available, knows.then_some(LEVEL), "{case}");
            let tells = (whole.0.contains(&number), whole.1.contains(&number));
            assert_eq!(tells, (knows, knows), "{case}: {whole:?}");
        }
        Rejection::QuantityOutOfRange { station, .. } => {
            assert_eq!(station.is_some(), knows, "{case}");
            assert_eq!(whole.1.contains("full"), knows, "{case}: {whole:?}");
        }
        other => panic!("{case}: {other:?}"),
    }
}

#[tokio::test]
async fn a_trade_tells_its_buyer_nothing_of_the_sellers_stock_nor_the_seller_of_the_buyers() {
    for settle_now in [true, false] {
        let trade = |id: &str, seller: &str, buyer: &str| match settle_now {
            true => sale(id, seller, buyer, &[("tea", 500_000)]),
            false => order(id, seller, buyer, &[("tea", 500_000)]),
        };
        for (seller, buyer, hidden) in [("short", "plenty", "short"), ("plenty", "full", "full")] {
            for own in [seller, buyer] {
                let service = network().await;
                let commands = [
                    initiate(trade("T-1", seller, buyer)),
                    batch(true, vec![trade("T-1", seller, buyer)]),
                    batch(false, vec![trade("T-1", seller, buyer)]),
                ];
                for command in commands {
                    let case = format!("as {own}: {command:?}");
                    assert_tells(&refused(&service, &[own], command).await, own == hidden, &case);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_transfer_tells_nothing_of_the_stock_of_its_destination() {
    let service = network().await;
    let command = || Command::CreateTransfer(transfer("X-1", "plenty", "full", &[("tea", 500_000)]));
    assert_tells(&refused(&service, &["plenty"], command()).await, false, "the sender alone");
    assert_tells(&refused(&service, &["full", "plenty"], command()).await, true, "both");
}

/// The goods of an immediate trade are the buyer's already, and partly used.
#[tokio::test]
async fn the_end_of_a_trade_tells_nothing_of_the_stock_that_is_to_go_back() {
    for own in ["plenty", "eager"] {
        for (leaves, command) in [
            (false, end_trade("T-1", TradeStatus::Cancelled)),
            (false, move_cargo(shipment_of("T-1"), Cancelled)),
            (true, move_cargo(shipment_of("T-1"), Returned)),
            (true, move_cargo(shipment_of("T-1"), Lost)),
        ] {
            let service = network().await;
            taken(&service, open_station("eager", &[])).await;
            taken(&service, initiate(sale("T-1", "plenty", "eager", &[("tea", 6_000)]))).await;
            if leaves {
                taken(&service, move_cargo(shipment_of("T-1"), InTransit)).await;
            }
            taken(&service, adjust("eager", &[("tea", 4_711 - 6_000)])).await;
            let case = format!("as {own}: {command:?}");
            assert_tells(&refused(&service, &[own], command).await, own == "eager", &case);
        }
    }
}
