//! The documented refusal.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use trade_core::store::StoreErrorKind;
use trade_store_mongo::MongoStore;

#[test]
fn a_connection_is_refused_without_repeating_the_password() {
    let mut connecting = pin!(MongoStore::connect("mongodb://user:hunter2@localhost/"));
    let Poll::Ready(Err(error)) = connecting.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("expected a refusal at once");
    };
    assert_eq!(error.kind, StoreErrorKind::Unsupported);
    assert!(!error.to_string().contains("hunter2"));
}
