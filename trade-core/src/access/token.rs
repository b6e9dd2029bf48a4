//! The text of a key, and what is kept of it.
//!
//! `tn_<id>_<secret>`: the id is twelve characters of `a–z 0–9`; the secret is 256 random bits and a CRC-32 of all that is
//! before it, both in hexadecimal. By prefix and checksum whoever looks for leaked secrets tells a key from anything else,
//! without asking a server.

use super::id::{KeyId, no_randomness};
use crate::values::InvalidValue;
use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write};
use subtle::ConstantTimeEq;

const PREFIX: &str = "tn_";
const SECRET_BYTES: usize = 32;
const SECRET_LENGTH: usize = SECRET_BYTES * 2;
const CHECKSUM_LENGTH: usize = 8;

/// A key as its holder has it. Whoever has it gets in: it stands in no debug output, and should stand in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    id: KeyId,
    text: String,
}

impl Token {
    /// The token of a key with this secret. To ensure that nobody can guess it, the bytes must come from a generator for
    /// cryptography, as those of [`Self::generate`] do.
    pub fn new(id: KeyId, secret: [u8; SECRET_BYTES]) -> Self {
        let mut text = format!("{PREFIX}{id}_");
        for byte in secret {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        let _ = write!(text, "{:08x}", crc32fast::hash(text.as_bytes()));
        Self { id, text }
    }

    /// The token of a key with a new secret, from the random numbers of the system.
    ///
    /// # Errors
    /// [`InvalidValue`] if the system has none.
    pub fn generate(id: KeyId) -> Result<Self, InvalidValue> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(|_| no_randomness())?;
        Ok(Self::new(id, secret))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is none, or was changed by accident: its checksum is wrong. It does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let wrong = || InvalidValue::new("is not an API key");
        let (id, secret) =
            text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or_else(wrong)?;
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if secret.len() != SECRET_LENGTH + CHECKSUM_LENGTH || !secret.bytes().all(is_hex) {
            return Err(wrong());
        }
        let (before, checksum) = text.split_at(text.len() - CHECKSUM_LENGTH);
        if format!("{:08x}", crc32fast::hash(before.as_bytes())) != checksum {
            return Err(InvalidValue::new("is not an API key as it was given out: its checksum is wrong"));
        }
        Ok(Self { id: KeyId::new(id)?, text: text.into() })
    }

    /// Whose it is.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Its text, for whom it is to be given to.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What is stored of it.
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.text.as_bytes()).into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({PREFIX}{}_…)", self.id)
    }
}

/// What is stored of a token: its SHA-256. The token holds 256 random bits, so that nothing slower is needed.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes, which were stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Compared in constant time, so that how long it takes tells nothing about the digest.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token::new(KeyId::new("a1b2c3d4e5f6").unwrap(), [7; 32])
    }

    #[test]
    fn a_token_is_read_back_and_a_changed_one_is_not() {
        let text = token().reveal().to_owned();
        assert!(text.starts_with("tn_a1b2c3d4e5f6_0707") && text.len() == 88, "{text}");
        assert_eq!(Token::parse(&text).unwrap(), token());
        for place in 0..text.len() {
            let mut changed = text.clone();
            let other = if &text[place..=place] == "0" { "1" } else { "0" };
            changed.replace_range(place..=place, other);
            assert!(Token::parse(&changed).is_err(), "{changed}");
        }
        for wrong in
            ["", "tn_", "tn__", "tn_a1b2c3d4e5f6_", &text[..87], &format!("{text}0"), &text.to_uppercase()]
        {
            assert!(Token::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_debug_output_shows_a_secret() {
        let shown = format!("{:?} {:?}", token(), token().digest());
        assert!(!shown.contains("0707") && !shown.contains("7, 7"), "{shown}");
        let wrong = Token::parse(&token().reveal().replace("07", "08")).unwrap_err();
        assert!(!format!("{wrong} {wrong:?}").contains("0808"), "{wrong:?}");
    }

    #[test]
    fn each_secret_is_another() {
        let id = KeyId::generate().unwrap();
        let (one, other) = (Token::generate(id.clone()).unwrap(), Token::generate(id).unwrap());
        assert_ne!(one.digest(), other.digest());
        assert_eq!(Token::parse(one.reveal()).unwrap().digest(), one.digest());
    }
}
