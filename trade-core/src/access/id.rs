use crate::values::{InvalidValue, serde_as_text};
use std::fmt;
use std::sync::Arc;

/// The id of an API key: twelve characters of `a–z 0–9`. It is no secret: events name it as their actor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// The characters of an id.
    pub const LENGTH: usize = 12;

    /// Checks and wraps an id.
    ///
    /// # Errors
    /// [`InvalidValue`] if it has another form.
    pub fn new(text: &str) -> Result<Self, InvalidValue> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if text.len() != Self::LENGTH || !text.bytes().all(allowed) {
            return Err(InvalidValue::new("must be 12 characters of a-z 0-9"));
        }
        Ok(Self(text.into()))
    }

    /// A new id: 60 random bits.
    ///
    /// # Errors
    /// [`InvalidValue`] if the system has no random numbers.
    pub fn generate() -> Result<Self, InvalidValue> {
        const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut bytes = [0; Self::LENGTH];
        getrandom::fill(&mut bytes).map_err(|_| no_randomness())?;
        let text: String = bytes.iter().map(|byte| char::from(DIGITS[usize::from(byte % 32)])).collect();
        Self::new(&text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<&str> for KeyId {
    type Error = InvalidValue;
    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        Self::new(text)
    }
}

serde_as_text!(KeyId);

pub(super) fn no_randomness() -> InvalidValue {
    InvalidValue::new("the system has no random numbers")
}
