//! An allowance: so many requests at once, and so many a second after that.

use super::kept::{Kept, Since};
use super::limit::RateLimit;
use crate::problem::Problem;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, Reference};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use std::convert::Infallible;
use std::hash::Hash;
use std::time::Duration;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The allowances of callers, each with one of its own.
#[derive(Debug)]
pub(super) struct Allowances<K: Eq + Hash + Clone> {
    limiter: RateLimiter<K, Kept<K>, Since, StateInformationMiddleware>,
    kept: Kept<K>,
    quota: Quota,
}

impl<K: Eq + Hash + Clone> Allowances<K> {
    pub(super) fn new(limit: RateLimit, keys_max: usize) -> Self {
        let (kept, quota) = (Kept::new(keys_max), limit.quota());
        let limiter = RateLimiter::new(quota, kept.clone(), Since::now());
        Self { limiter, kept, quota }
    }

    /// Takes one request off a caller's allowance.
    pub(super) fn take(&self, key: &K) -> Result<Allowance, Limited> {
        match self.limiter.check_key(key) {
            Ok(state) => Ok(Allowance { quota: self.quota, left: state.remaining_burst_capacity() }),
            Err(until) => {
                Err(Limited { quota: self.quota, wait: until.wait_time_from(self.limiter.clock().now()) })
            }
        }
    }

    /// Whether there is a request left, without taking it.
    pub(super) fn look(&self, key: &K) -> Result<(), Limited> {
        let Some(full_at) = self.kept.full_at(key) else { return Ok(()) };
        let one_at = full_at.saturating_sub(tolerance(self.quota).into());
        let wait = Duration::from(one_at.duration_since(self.limiter.clock().now()));
        if wait.is_zero() { Ok(()) } else { Err(Limited { quota: self.quota, wait }) }
    }

    /// Takes so many requests off, those too that are not there yet. It is whole again after twice its time at most.
    pub(super) fn charge(&self, key: &K, count: u32) {
        let now = self.limiter.clock().now();
        let cost = Nanos::from(self.quota.replenish_interval().saturating_mul(count));
        let latest = now + Nanos::from(self.quota.burst_size_replenished_in().saturating_mul(2));
        let charge = |full_at: Option<Nanos>| {
            let full_at = full_at.map_or(now, |full_at| full_at.max(now));
            Ok::<_, Infallible>(((), (full_at + cost).min(latest)))
        };
        let Ok(()) = self.kept.measure_and_replace(key, charge);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}

/// How long an allowance grows until it is whole, once there is one request in it.
fn tolerance(quota: Quota) -> Duration {
    quota.replenish_interval().saturating_mul(quota.burst_size().get() - 1)
}

/// What is left of a caller's allowance after a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    quota: Quota,
    left: u32,
}

impl Allowance {
    /// Tells of it in the headers of an answer (draft-ietf-httpapi-ratelimit-headers).
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let missing = self.quota.burst_size().get().saturating_sub(self.left);
        let until_full = self.quota.replenish_interval().saturating_mul(missing);
        tell(headers, self.quota, self.left, seconds(until_full));
    }
}

/// A caller without anything left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limited {
    quota: Quota,
    /// Until there is something again.
    wait: Duration,
}

impl IntoResponse for Limited {
    fn into_response(self) -> Response {
        let wait = seconds(self.wait).max(1);
        let problem = Problem::new("rate-limited", format!("too many requests: try again in {wait} s"));
        let mut response = problem.into_response();
        tell(response.headers_mut(), self.quota, 0, wait);
        response.headers_mut().insert(header::RETRY_AFTER, wait.into());
        response
    }
}

fn tell(headers: &mut HeaderMap, quota: Quota, left: u32, until: u64) {
    let (size, window) = (quota.burst_size(), seconds(quota.burst_size_replenished_in()).max(1));
    let policy = format!("\"requests\";q={size};w={window}");
    let state = format!("\"requests\";r={left};t={until}");
    for (name, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

/// Whole seconds, of which the last may have begun only.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
