//! How many requests are answered, by caller: whoever has logged in by their actor, everybody else by their address.
//!
//! Of an address, a request takes one from the allowance, and a failed login [`FAILURE_COST`]. A request that brings the
//! credential of somebody takes one from theirs instead, wherever it comes from; yet where the address has nothing left, no
//! credential is looked at, but for API keys that this server has known lately. So guessing is slow, and who guesses keeps
//! nobody out whom the server knows.

mod allowance;
mod kept;
mod limit;

pub(crate) use allowance::{Allowance, Limited};
pub use limit::{InvalidRateLimit, RateLimit};

use crate::app::App;
use crate::proxies::ClientAddress;
use allowance::Allowances;
use axum::extract::Request;
use axum::http::header;
use std::net::{IpAddr, Ipv6Addr};
use trade_core::event::Actor;
use trade_core::policy::Principal;

/// What a failed login takes from the allowance of its address.
const FAILURE_COST: u32 = 20;
/// The most addresses that are kept apart, and the most actors: some ten megabytes in all.
const KEYS_MAX: usize = 65_536;

/// The allowances of everybody.
#[derive(Debug)]
pub(crate) struct Limiter {
    addresses: Allowances<Source>,
    actors: Allowances<Actor>,
}

/// Where requests come from that share an allowance: an IPv4 address, or the 64 bits of an IPv6 address that name a network.
/// Of a connection whose peer is not known, as within an application, there is none.
type Source = Option<IpAddr>;

impl Limiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self { addresses: Allowances::new(limit, KEYS_MAX), actors: Allowances::new(limit, KEYS_MAX) }
    }

    fn login_failed(&self, source: Source, cost: u32) {
        self.addresses.charge(&source, cost);
    }
}

/// Before it is known who sends a request: whether its address has anything left. Nothing is taken.
pub(crate) fn before_login(app: &App, request: &Request) -> Result<(), Limited> {
    limiter(app, request).map_or(Ok(()), |limiter| limiter.addresses.look(&source(request)))
}

/// Once it is known who sends a request, by its [`Principal`]: takes it from their allowance, or from that of its address
/// where nobody has logged in.
pub(crate) fn after_login(app: &App, request: &Request) -> Result<Option<Allowance>, Limited> {
    let Some(limiter) = limiter(app, request) else { return Ok(None) };
    match request.extensions().get::<Principal>().map(Principal::actor) {
        None | Some(Actor::Anonymous) => limiter.addresses.take(&source(request)),
        Some(actor) => limiter.actors.take(actor),
    }
    .map(Some)
}

/// A request was not let in: takes it from the allowance of its address, and more where its credential was wrong.
pub(crate) fn login_failed(app: &App, request: &Request) {
    if let Some(limiter) = limiter(app, request) {
        let has_credential = request.headers().contains_key(header::AUTHORIZATION);
        limiter.login_failed(source(request), if has_credential { FAILURE_COST } else { 1 });
    }
}

/// What counts a request. A server that is asked how it does answers always.
fn limiter<'a>(app: &'a App, request: &Request) -> Option<&'a Limiter> {
    app.limiter.as_deref().filter(|_| !request.uri().path().starts_with("/health/"))
}

fn source(request: &Request) -> Source {
    let address = request.extensions().get::<ClientAddress>().and_then(|address| address.0);
    address.map(network)
}

/// Whoever has one address of IPv6 has as many as they like of the same 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests;
