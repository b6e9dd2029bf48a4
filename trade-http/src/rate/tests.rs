use super::*;
use axum::response::IntoResponse;
use std::time::Duration;
use tokio::time::advance;

fn source(text: &str) -> Source {
    Some(network(text.parse().unwrap()))
}

fn limiter(limit: &str) -> Limiter {
    Limiter::new(limit.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_allowance_is_used_up_and_grows_again() {
    let Limiter { addresses, .. } = limiter("10/20");
    let (one, other) = (source("192.0.2.1"), source("192.0.2.2"));
    for _ in 0..20 {
        assert!(addresses.look(&one).is_ok() && addresses.take(&one).is_ok());
    }
    assert!(addresses.look(&one).is_err() && addresses.take(&one).is_err());
    assert!(addresses.take(&other).is_ok());
    for _ in 0..5 {
        advance(Duration::from_millis(99)).await;
        assert!(addresses.look(&one).is_err() && addresses.take(&one).is_err());
        advance(Duration::from_millis(1)).await;
        assert!(addresses.look(&one).is_ok() && addresses.take(&one).is_ok());
    }
    advance(Duration::from_secs(60)).await;
    assert_eq!((0..50).filter(|_| addresses.take(&one).is_ok()).count(), 20);
}

/// However many ask: what is kept is bounded, and who asks often keeps no more than their allowance meanwhile.
#[tokio::test(start_paused = true)]
async fn a_million_addresses_take_no_more_room_than_some_and_free_nobody() {
    let Limiter { addresses, .. } = limiter("1/50");
    let busy = source("198.51.100.7");
    let mut taken = 0;
    for n in 0..1_000_000_u32 {
        let _ = addresses.take(&Some(IpAddr::V4(n.into())));
        if n % 1_000 == 0 {
            taken += u32::from(addresses.take(&busy).is_ok());
        }
    }
    assert_eq!(taken, 50);
    assert!(addresses.len() <= KEYS_MAX, "{}", addresses.len());
}

#[test]
fn addresses_of_one_network_share_their_allowance() {
    assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
    assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
    assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
}

/// Even where less is left than a failure costs.
#[tokio::test(start_paused = true)]
async fn failed_logins_use_an_address_up_and_nobody_else() {
    let limiter = limiter("10/50");
    let (guesser, other) = (source("192.0.2.1"), source("192.0.2.2"));
    for _ in 0..3 {
        assert!(limiter.addresses.look(&guesser).is_ok());
        limiter.login_failed(guesser, FAILURE_COST);
    }
    let wait = limiter.addresses.look(&guesser).unwrap_err();
    assert!(limiter.addresses.look(&other).is_ok());
    // What it says is how long it takes.
    let told = wait.into_response().headers()["retry-after"].to_str().unwrap().parse().unwrap();
    advance(Duration::from_secs(told)).await;
    assert!(limiter.addresses.look(&guesser).is_ok());
}
