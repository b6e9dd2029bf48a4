//! The second wall: what no row may say, whoever writes it.
// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use trade_core::access::KeyStore;
use trade_core::store::Store;
use trade_core::testing::fixtures::api_key;

on_every_engine!(the_schema_refuses_what_the_rules_would_never_write,);

async fn the_schema_refuses_what_the_rules_would_never_write<S: Site>() {
    let site = S::make().await;
    let store = site.open().await;
    store.commit(&opened(&store, at(0), &["ceres", "luna"], &["tea"]).await).await.unwrap();
    let trade = sale("T-1", "ceres", "luna", &[("tea", 1)]);
    store.commit(&decided(&store, at(1), &[trade]).await).await.unwrap();
    store.put_key(&api_key("a1b2c3d4e5f6")).await.unwrap();
    for sql in [
        "UPDATE tn_stock SET on_hand = -1",
        "UPDATE tn_stock SET reserved = -1",
        "UPDATE tn_stock SET incoming = -1",
        "UPDATE tn_stock SET reserved = on_hand + 1",
        "UPDATE tn_stock SET on_hand = 9007199254740992",
        "UPDATE tn_stock SET incoming = 9007199254740991 - on_hand + 1",
        "UPDATE tn_stock SET on_hand = 9223372036854775807, incoming = 9223372036854775807",
        "UPDATE tn_ledger SET quantity = 0",
        "UPDATE tn_ledger SET to_place = from_place",
        "UPDATE tn_ledger SET from_place = -2",
        "UPDATE tn_ledger SET from_place = NULL",
        "UPDATE tn_ledger SET cargo = NULL",
        "UPDATE tn_trade SET buyer = seller",
        "UPDATE tn_trade SET status = 4",
        "UPDATE tn_trade SET version = 0",
        "UPDATE tn_cargo SET status = 6",
        "UPDATE tn_cargo SET trade = NULL",
        "UPDATE tn_cargo SET id = 'one'",
        "UPDATE tn_station SET item_count = -1",
        "UPDATE tn_api_key SET version = 0",
        "UPDATE tn_api_key SET id = 'short'",
        "INSERT INTO tn_head VALUES (2, 0, 0, 1)",
    ] {
        let error = site.run(sql).await.unwrap_err();
        let kind = error.as_database_error().unwrap().kind();
        assert_eq!(kind, sqlx::error::ErrorKind::CheckViolation, "{sql}");
    }
    // A column holds its type, or nothing.
    assert!(site.run("UPDATE tn_stock SET on_hand = 'many'").await.is_err());
    site.run("UPDATE tn_stock SET on_hand = 9007199254740991, incoming = 0").await.unwrap();
}
