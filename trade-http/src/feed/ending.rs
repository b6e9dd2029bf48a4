//! What ends a stream, whoever writes it: the application, or the login of its reader.

use super::lines;
use crate::access::LeaseEnd;
#[cfg(feature = "takeover")]
use crate::access::leases::LeaseState;
use crate::access::leases::OpenLease;
use bytes::Bytes;
use std::future::pending;
use tokio::sync::watch;

/// What a stream looks out for.
#[derive(Debug)]
pub(crate) struct Ending {
    shutdown: watch::Receiver<bool>,
    /// None of a login that nothing ends.
    lease: Option<OpenLease>,
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bye {
    Shutdown,
    TokenExpired,
    Revoked,
}

impl Bye {
    /// The last event of a stream.
    pub(super) fn lines(self) -> Bytes {
        match self {
            Self::Shutdown => lines::SHUTDOWN,
            Self::TokenExpired => lines::TOKEN_EXPIRED,
            Self::Revoked => lines::REVOKED,
        }
    }
}

impl From<LeaseEnd> for Bye {
    fn from(end: LeaseEnd) -> Self {
        match end {
            LeaseEnd::Expired => Self::TokenExpired,
            LeaseEnd::Revoked => Self::Revoked,
        }
    }
}

impl Ending {
    pub(super) fn new(shutdown: watch::Receiver<bool>, lease: Option<OpenLease>) -> Self {
        Self { shutdown, lease }
    }

    /// Why the stream is to end, if it is.
    pub(super) fn reached(&self) -> Option<Bye> {
        let by_lease = || self.lease.as_ref().and_then(OpenLease::end).map(Bye::from);
        if *self.shutdown.borrow() { Some(Bye::Shutdown) } else { by_lease() }
    }

    /// Waits until the stream is to end.
    pub(super) async fn come(&mut self) -> Bye {
        let Self { shutdown, lease } = self;
        tokio::select! {
            biased;
            _ = shutdown.wait_for(|begun| *begun) => Bye::Shutdown,
            bye = of(lease.as_ref()) => bye,
        }
    }

    /// The login of the reader, for who else writes the stream.
    #[cfg(feature = "takeover")]
    pub(crate) fn login(&self) -> Option<LeaseState> {
        self.lease.as_ref().map(OpenLease::state)
    }

    /// Waits until the login of the reader has ended.
    #[cfg(feature = "takeover")]
    pub(crate) async fn login_ended(&self) {
        of(self.lease.as_ref()).await;
    }
}

async fn of(lease: Option<&OpenLease>) -> Bye {
    match lease {
        Some(lease) => lease.ended().await.into(),
        None => pending().await,
    }
}
