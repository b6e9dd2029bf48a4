//! What keeps what servers tell each other from everyone else.
//!
//! Whoever may connect to a database may listen to its notifications, and send some, even those who may read no table.
//! So what is told of trades is sealed by a secret that stands in a table: who may read the log may read it too, and finds
//! it in a dump of the database. Others can still be noisy, so that what is told is not heard; that costs time alone.

use super::Postgres;
use crate::engine::classify;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use sqlx::postgres::PgConnection;
use trade_core::resource::Sequence;
use trade_core::store::StoreError;

/// The length of the secret, and of the random bytes before what is sealed: each has a key of its own.
const KEY_BYTES: usize = 32;

/// Seals with AES-256-GCM (NIST SP 800-38D), by keys that HKDF (RFC 5869) makes of the secret.
#[derive(Debug, Clone)]
pub(super) struct Seal(Prk);

impl Seal {
    /// That of a network, whose secret is made by whoever first may, and is `to_make` it. None for a user who may not
    /// read it.
    ///
    /// # Errors
    /// [`StoreError`] where the server cannot be asked.
    pub(super) async fn of(connection: &mut PgConnection, to_make: bool) -> Result<Option<Self>, StoreError> {
        for may_make in [to_make, false] {
            let read = sqlx::query_scalar("SELECT secret FROM tn_secret WHERE one = 1");
            match read.fetch_optional(&mut *connection).await {
                Ok(None) if may_make => {}
                Ok(found) => return Ok(found.map(|secret: Vec<u8>| Self::new(&secret))),
                Err(sqlx::Error::Database(_)) => return Ok(None),
                Err(error) => return Err(classify::<Postgres>("connect")(error)),
            }
            let mut fresh = vec![0; KEY_BYTES];
            if SystemRandom::new().fill(&mut fresh).is_err() {
                return Ok(None);
            }
            let make = "INSERT INTO tn_secret (one, secret) VALUES (1, $1) ON CONFLICT (one) DO NOTHING";
            match sqlx::query(make).bind(fresh).execute(&mut *connection).await {
                // Another may have made it, or this user may not: what is there is read.
                Ok(_) | Err(sqlx::Error::Database(_)) => {}
                Err(error) => return Err(classify::<Postgres>("connect")(error)),
            }
        }
        Ok(None)
    }

    pub(super) fn new(secret: &[u8]) -> Self {
        Self(Salt::new(HKDF_SHA256, &[]).extract(secret))
    }

    fn key(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let purpose = [b"steps told ahead", salt];
        let made = self.0.expand(&purpose, &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(made)))
    }

    /// Seals what follows a sequence. None where that cannot be done.
    pub(super) fn close(&self, after: Sequence, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let mut sealed = vec![0; KEY_BYTES];
        SystemRandom::new().fill(&mut sealed).ok()?;
        self.key(&sealed)?.seal_in_place_append_tag(nonce(), about(after), &mut bytes).ok()?;
        sealed.append(&mut bytes);
        Some(sealed)
    }

    /// Opens what was sealed. None of anything else.
    pub(super) fn open<'b>(&self, after: Sequence, sealed: &'b mut [u8]) -> Option<&'b [u8]> {
        let (salt, sealed) = sealed.split_at_mut_checked(KEY_BYTES)?;
        let opened = self.key(salt)?.open_in_place(nonce(), about(after), sealed).ok()?;
        Some(opened)
    }
}

/// Every key is used once.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn about(after: Sequence) -> Aad<[u8; 8]> {
    Aad::from(after.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_knows_the_secret_opens_what_was_sealed_and_only_as_it_was() {
        let seal = Seal::new(b"secret");
        let sealed = seal.close(7, b"tea".to_vec()).unwrap();
        assert_eq!(seal.open(7, &mut sealed.clone()), Some(&b"tea"[..]));
        assert_eq!(seal.open(8, &mut sealed.clone()), None);
        assert_eq!(Seal::new(b"other").open(7, &mut sealed.clone()), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open(7, &mut changed), None);
            assert_eq!(seal.open(7, &mut sealed[..at].to_vec()), None);
        }
        let again = seal.close(7, b"tea".to_vec()).unwrap();
        assert_ne!(again, sealed, "each has a key of its own");
    }
}
