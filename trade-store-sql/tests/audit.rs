//! What an audit says of a store that was tampered with.
// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use std::sync::Arc;
use trade_core::command::{Command, Request};
use trade_core::resource::CargoStatus;
use trade_core::service::TradeService;
use trade_core::verify::{VerifyError, verify};

on_every_engine!(
    every_table_that_answers_come_from_is_audited,
    a_store_that_is_open_over_a_restored_log_takes_nothing_until_a_service_starts_and_knows_its_stations_afresh,
);

async fn a_store_that_is_open_over_a_restored_log_takes_nothing_until_a_service_starts_and_knows_its_stations_afresh<
    S: Site,
>() {
    let site = S::make().await;
    let store = Arc::new(site.open().await);
    let service = TradeService::start(store.clone()).await.unwrap();
    for id in ["ceres", "luna"] {
        service.submit(Request::new(open_station(id, &[("tea", 100)]))).await.unwrap();
    }
    // A backup from before the stations, restored beneath it.
    for sql in [
        "DELETE FROM tn_station",
        "DELETE FROM tn_stock",
        "DELETE FROM tn_log",
        "DELETE FROM tn_moment",
        "DELETE FROM tn_ledger",
        "DELETE FROM tn_receipt",
        "UPDATE tn_head SET sequence = 0, time = 0",
    ] {
        site.run(sql).await.unwrap();
    }
    let other = TradeService::start(Arc::new(site.open().await)).await.unwrap();
    for (id, units) in [("luna", 5), ("ceres", 50)] {
        other.submit(Request::new(open_station(id, &[("tea", units)]))).await.unwrap();
    }
    let trade = Command::InitiateTrade(sale("T-1", "ceres", "luna", &[("tea", 6)]));
    service.submit(Request::new(trade.clone())).await.unwrap_err();
    let service = TradeService::start(store.clone()).await.unwrap();
    service.submit(Request::new(trade)).await.unwrap();
    verify(&*store).await.unwrap();
}

/// Damages a sound store by one statement, and answers what the audit says of it.
async fn difference_after<S: Site>(sql: &'static str) -> String {
    let site = S::make().await;
    let store = Arc::new(site.open().await);
    let service = TradeService::start(store.clone()).await.unwrap();
    for id in ["ceres", "luna"] {
        service.submit(Request::new(open_station(id, &[("tea", 10)]))).await.unwrap();
    }
    let trade = sale("T-1", "ceres", "luna", &[("tea", 1)]);
    service.submit(Request::new(Command::InitiateTrade(trade))).await.unwrap();
    let depart = move_cargo(&"shipment-T-1".try_into().unwrap(), CargoStatus::InTransit);
    service.submit(Request::new(depart)).await.unwrap();
    service.shutdown().await;
    verify(&*store).await.unwrap();
    site.run(sql).await.unwrap();
    match verify(&*store).await {
        Err(VerifyError::Difference(text)) => text,
        other => panic!("{sql}: {other:?}"),
    }
}

async fn every_table_that_answers_come_from_is_audited<S: Site>() {
    for (sql, named) in [
        ("UPDATE tn_stock SET on_hand = on_hand + 1", "tea"),
        ("UPDATE tn_station SET version = version + 1", "station"),
        ("UPDATE tn_trade SET version = version + 1", "trade T-1"),
        (
            "DELETE FROM tn_ledger WHERE sequence = (SELECT last FROM (SELECT max(sequence) AS last FROM tn_ledger) l)",
            "ledger",
        ),
        ("DELETE FROM tn_trade_item", "tea"),
        ("DELETE FROM tn_cargo_history", "cargo shipment-T-1"),
        ("DELETE FROM tn_moment", "trades were made at"),
        ("UPDATE tn_receipt SET first = first + 1 WHERE first < last", "a receipt names steps from"),
        ("UPDATE tn_receipt SET last = last + 100", "a receipt names a step"),
        ("UPDATE tn_receipt SET time = time + 1", "a receipt names a step"),
        ("UPDATE tn_head SET sequence = sequence - 1", "head"),
        ("UPDATE tn_head SET time = time + 1", "head"),
        ("DELETE FROM tn_log WHERE last = 1", "missing"),
    ] {
        let difference = difference_after::<S>(sql).await;
        assert!(difference.contains(named), "{sql}: {difference}");
    }
}
