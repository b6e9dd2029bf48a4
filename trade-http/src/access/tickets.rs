//! Tickets for streams: a browser's `EventSource` sends no header, and a key in an address would be in every log.
//!
//! A ticket is in the memory of the server that has given it, and holds at no other one: so it is certain that it is used
//! once.

use super::authenticator::Login;
use super::refusal::LoginError;
use crate::problem::Problem;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use trade_core::values::{InvalidValue, Timestamp};

/// How long a ticket is good for.
const TIME_MAX: Duration = Duration::from_secs(60);
/// Tickets that are open at once, of all callers and of one.
const COUNT_MAX: usize = 10_000;
const OF_ONE_MAX: usize = 100;
const BYTES: usize = 32;

/// Those that were given, by a hash of their text.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Mutex<HashMap<[u8; 32], Given>>);

#[derive(Debug)]
struct Given {
    login: Login,
    until: Timestamp,
}

impl Tickets {
    /// Gives a ticket for a login, and tells until when it is good. Of a caller who has very many, the oldest is good no
    /// longer.
    pub(crate) fn give(&self, login: Login, now: Timestamp) -> Result<(String, Timestamp), Problem> {
        let mut random = [0; BYTES];
        getrandom::fill(&mut random).map_err(|error| {
            tracing::error!(%error, "the system has no random numbers");
            Problem::internal()
        })?;
        let text = random.iter().fold(String::with_capacity(2 * BYTES), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        let until = login.lease.until().map_or(now.plus(TIME_MAX), |end| end.min(now.plus(TIME_MAX)));
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|_, ticket| ticket.until > now);
        let actor = login.principal.actor();
        let of_one = given.iter().filter(|(_, ticket)| ticket.login.principal.actor() == actor);
        let (count, oldest) =
            of_one.fold((0, None::<(&[u8; 32], Timestamp)>), |(count, oldest), (hash, ticket)| {
                let older = oldest.filter(|(_, until)| *until <= ticket.until);
                (count + 1, older.or(Some((hash, ticket.until))))
            });
        if let Some(oldest) = oldest.filter(|_| count >= OF_ONE_MAX).map(|(hash, _)| *hash) {
            given.remove(&oldest);
        }
        if given.len() >= COUNT_MAX {
            return Err(Problem::new("overloaded", "there are too many open tickets: try again"));
        }
        given.insert(hash(&text), Given { login, until });
        Ok((text, until))
    }

    /// Takes a ticket back, for the login that it was given for.
    pub(crate) async fn take(&self, text: &str, now: Timestamp) -> Result<Login, LoginError> {
        const REFUSED: LoginError =
            LoginError::Invalid("the ticket is not known to this server, was used already, or is too old");
        let given = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(text));
        let Given { login, .. } = given.filter(|ticket| ticket.until > now).ok_or(REFUSED)?;
        // What it was given for may be over by now.
        login.lease.check(now).await.map_err(|_| REFUSED)?;
        Ok(login)
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// A ticket as it stands in an address. Who it is of was found out before.
#[derive(Debug)]
pub(crate) struct TicketText;

impl TryFrom<&str> for TicketText {
    type Error = InvalidValue;

    fn try_from(_: &str) -> Result<Self, InvalidValue> {
        Ok(Self)
    }
}

impl JsonSchema for TicketText {
    fn schema_name() -> Cow<'static, str> {
        "TicketText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A ticket.", "type": "string", "pattern": "^[0-9a-f]{64}$",
            "examples": ["0".repeat(2 * BYTES)],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::lease::Lease;
    use super::*;
    use trade_core::event::Actor;
    use trade_core::policy::Principal;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000).unwrap()
    }

    fn login(name: &str, until: Option<i64>) -> Login {
        Login { principal: Principal::new(Actor::User(name.into())), lease: Lease::new(until.map(at)) }
    }

    #[tokio::test]
    async fn a_ticket_is_good_once_and_for_a_minute() {
        let tickets = Tickets::default();
        let (text, until) = tickets.give(login("ada", None), at(0)).unwrap();
        assert_eq!(until, at(60));
        assert_eq!(tickets.take(&text, at(59)).await.unwrap().principal, login("ada", None).principal);
        assert!(tickets.take(&text, at(59)).await.is_err());
        let (late, _) = tickets.give(login("ada", None), at(0)).unwrap();
        assert!(tickets.take(&late, at(60)).await.is_err());
        let (short, until) = tickets.give(login("ada", Some(9)), at(0)).unwrap();
        assert_eq!(until, at(9));
        assert!(tickets.take(&short, at(9)).await.is_err());
    }

    #[tokio::test]
    async fn a_caller_who_asks_for_very_many_loses_their_own_oldest() {
        let tickets = Tickets::default();
        let (other, _) = tickets.give(login("bob", None), at(0)).unwrap();
        let (oldest, _) = tickets.give(login("ada", None), at(1)).unwrap();
        for _ in 0..OF_ONE_MAX {
            tickets.give(login("ada", None), at(2)).unwrap();
        }
        assert_eq!(tickets.0.lock().unwrap().len(), 1 + OF_ONE_MAX);
        assert!(tickets.take(&oldest, at(3)).await.is_err());
        assert!(tickets.take(&other, at(3)).await.is_ok());
    }
}
