//! Addresses that name several hosts, as `postgres://user@a,b:5433/database` does: they are tried in order.
//!
//! The drivers take one host an address, so there is one address for each.

use crate::errors::Errors;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use trade_core::store::{StoreError, StoreErrorKind};

/// The same address for each of its hosts.
///
/// # Errors
/// `Unsupported` where one of several has no name.
pub(crate) fn each_address<E: Errors>(url: &str) -> Result<Vec<String>, StoreError> {
    let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let hosts_at = authority.rfind('@').map_or(0, |at| at + 1);
    let (user, hosts) = authority.split_at(hosts_at);
    let hosts: Vec<_> = hosts.split(',').collect();
    if hosts.len() > 1 && hosts.iter().any(|host| host.is_empty() || host.starts_with(':')) {
        let detail = "one of the hosts in the address has no name";
        return Err(StoreError::new(StoreErrorKind::Unsupported, E::NAME, "connect", detail));
    }
    Ok(hosts.iter().map(|host| format!("{scheme}://{user}{host}{path}")).collect())
}

/// How the hosts of an address are connected to.
#[derive(Debug, Clone)]
pub(crate) struct Hosts<O> {
    each: Arc<[O]>,
    patience: Duration,
}

impl<O> Hosts<O> {
    /// Where there are several, each has a part of the time in which a connection must be made, so that all of them are
    /// tried in it. A reader waits for half of it only.
    pub(crate) fn new(each: Vec<O>, connect_timeout: Duration) -> Self {
        let patience = match u32::try_from(each.len()) {
            Ok(0 | 1) => Duration::MAX,
            count => connect_timeout / 2 / count.unwrap_or(u32::MAX),
        };
        Self { each: each.into(), patience }
    }

    pub(crate) fn each(&self) -> &[O] {
        &self.each
    }

    /// What the first host gives that can be connected to, and is none that it is not to be.
    ///
    /// # Errors
    /// What a host refuses for good, the others would as well. Else that of a host that has no room, which may be made, or
    /// that of the last.
    pub(crate) async fn first<'o, E: Errors, C, F>(
        &'o self,
        open: impl Fn(&'o O) -> F,
    ) -> Result<C, sqlx::Error>
    where
        F: Future<Output = Result<C, sqlx::Error>>,
    {
        let mut fault = None;
        for host in self.each() {
            let error = match timeout(self.patience, open(host)).await {
                Ok(Ok(opened)) => return Ok(opened),
                Ok(Err(error)) => error,
                Err(_) => sqlx::Error::PoolTimedOut,
            };
            if E::meaning(&error).0 != StoreErrorKind::Unavailable {
                return Err(error);
            }
            if !fault.as_ref().is_some_and(E::is_full) {
                fault = Some(error);
            }
        }
        Err(fault.unwrap_or(sqlx::Error::PoolTimedOut))
    }
}

/// What a host is told to be that only serves reads, where one that takes writes is wanted.
pub(crate) fn takes_no_writes() -> sqlx::Error {
    let detail = "no host was reached that takes writes: the last one is a replica, or was set read-only";
    sqlx::Error::Io(std::io::Error::other(detail))
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use super::*;
    use crate::postgres::Postgres;
    use std::io::{Error, ErrorKind};

    #[test]
    fn an_address_of_several_hosts_is_one_address_for_each() {
        let each = |url| each_address::<Postgres>(url).unwrap();
        assert_eq!(
            each("postgres://u:a%40b@a,b:5433,[::1]:1/d?sslmode=require"),
            ["a", "b:5433", "[::1]:1"].map(|host| format!("postgres://u:a%40b@{host}/d?sslmode=require"))
        );
        assert_eq!(each("mysql://a:1,b?x=y,z"), ["mysql://a:1?x=y,z", "mysql://b?x=y,z"]);
        for one in ["postgres://u:a,b@h/d,e", "postgres://h", "postgres:///d?host=/run", "postgres://:1/d"] {
            assert_eq!(each(one), [one]);
        }
        for nameless in ["postgres://u@a,/d", "postgres://u@,a/d", "postgres://a,:5433/d"] {
            let error = each_address::<Postgres>(nameless).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Unsupported, "{nameless}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_host_that_can_be_connected_to_is_taken_and_a_silent_one_left_in_time() {
        let hosts = |names: &[&'static str]| Hosts::new(names.to_vec(), Duration::from_secs(6));
        let open = async |name: &&'static str| match *name {
            "gone" => Err(sqlx::Error::Io(Error::from(ErrorKind::ConnectionRefused))),
            "silent" => std::future::pending().await,
            "standby" => Err(takes_no_writes()),
            "strange" => Err(sqlx::Error::Configuration("of another kind".into())),
            name => Ok(name),
        };
        let begin = tokio::time::Instant::now();
        let found = hosts(&["gone", "standby", "silent", "a", "b", "c"]).first::<Postgres, _, _>(open).await;
        assert_eq!((found.unwrap(), begin.elapsed().as_millis()), ("a", 500));
        let none = hosts(&["gone", "standby"]).first::<Postgres, _, _>(open).await.unwrap_err();
        assert!(none.to_string().contains("takes writes"), "{none}");
        let refused = hosts(&["strange", "a"]).first::<Postgres, _, _>(open).await.unwrap_err();
        assert!(matches!(refused, sqlx::Error::Configuration(_)), "{refused}");
        // The only one has all the time that there is.
        let only = hosts(&["silent"]);
        let only = timeout(Duration::from_secs(3_600), only.first::<Postgres, _, _>(open));
        assert!(only.await.is_err());
    }
}
