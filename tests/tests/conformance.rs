//! The stores that need a server keep the whole contract, and the suite notices every saboteur on them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tests::database_server::{DatabaseServer, Product};
use tests::engine::{Engine, Factory};
use trade_core::memory::MemoryStore;
use trade_core::testing::conformance::{CASE_TIMEOUT, CASES, Case, InProcess};
use trade_core::testing::key_conformance;
use trade_core::testing::saboteurs::{Sabotage, SabotagedFactory};

trade_core::conformance_suite!(postgres, Factory::new(Engine::Postgres), needs = "TRADE_TEST_POSTGRES_URL");
trade_core::conformance_suite!(mysql, Factory::new(Engine::Mysql), needs = "TRADE_TEST_MYSQL_URL");
trade_core::conformance_suite!(mongodb, Factory::new(Engine::Mongo), needs = "TRADE_TEST_MONGODB_URL");

trade_core::key_conformance_suite!(
    postgres_keys,
    Factory::new(Engine::Postgres),
    needs = "TRADE_TEST_POSTGRES_URL"
);
trade_core::key_conformance_suite!(mysql_keys, Factory::new(Engine::Mysql), needs = "TRADE_TEST_MYSQL_URL");
trade_core::key_conformance_suite!(
    mongodb_keys,
    Factory::new(Engine::Mongo),
    needs = "TRADE_TEST_MONGODB_URL"
);

/// Whoever comes with a newer server than that of the tests. `./tests/run --test conformance the_newest` runs this alone.
#[test]
#[ignore = "starts PostgreSQL 18"]
fn the_newest_postgres_passes() {
    let server = DatabaseServer::start(Product::Postgres18);
    let factory = || Arc::new(Factory::at(Engine::Postgres, server.url()));
    let failed = |case: &Case| {
        case.check(factory(), CASE_TIMEOUT).err().map(|error| format!("{}: {error}", case.name))
    };
    for case in key_conformance::CASES {
        case.check(factory(), CASE_TIMEOUT).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    }
    // One waits for the disk most of the time.
    let cases = Mutex::new(CASES.iter());
    let next = || cases.lock().unwrap_or_else(PoisonError::into_inner).next();
    let failures: Vec<_> = std::thread::scope(|scope| {
        let workers = [(); CASES_AT_ONCE]
            .map(|()| scope.spawn(|| std::iter::from_fn(next).filter_map(failed).collect::<Vec<_>>()));
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A case that hangs has noticed something as well.
const PATIENCE: Duration = Duration::from_secs(20);
/// Cases at the same time, where one test has all.
const CASES_AT_ONCE: usize = 12;
const PATIENCE_IN_MEMORY: Duration = Duration::from_secs(5);

/// Whether no case of the suite notices a sabotage of an engine's store. The case that is likely to is found in memory,
/// where stores cost nothing; where it was another handle that noticed, all are asked.
fn is_unnoticed(engine: Engine, sabotage: Sabotage) -> bool {
    let notices_in_memory = |case: &&Case| {
        case.check(
            Arc::new(SabotagedFactory::new(InProcess::new(MemoryStore::new), sabotage)),
            PATIENCE_IN_MEMORY,
        )
        .is_err()
    };
    let notices = |case: &Case| {
        let factory = SabotagedFactory::new(Factory::new(engine), sabotage);
        case.check(Arc::new(factory), PATIENCE).is_err()
    };
    let likely = CASES.iter().find(notices_in_memory);
    !likely.into_iter().chain(CASES).any(notices)
}

fn every_saboteur_is_noticed(engine: Engine) {
    // Their panics are expected, and too many to read.
    std::panic::set_hook(Box::new(|_| {}));
    let unnoticed: Vec<_> =
        Sabotage::ALL.iter().filter(|sabotage| is_unnoticed(engine, **sabotage)).collect();
    let _ = std::panic::take_hook();
    assert!(unnoticed.is_empty(), "no case notices {unnoticed:?}");
}

#[test]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
fn every_saboteur_is_noticed_on_postgres() {
    every_saboteur_is_noticed(Engine::Postgres);
}

#[test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
fn every_saboteur_is_noticed_on_mysql() {
    every_saboteur_is_noticed(Engine::Mysql);
}

#[test]
#[ignore = "TRADE_TEST_MONGODB_URL"]
fn every_saboteur_is_noticed_on_mongo() {
    every_saboteur_is_noticed(Engine::Mongo);
}
