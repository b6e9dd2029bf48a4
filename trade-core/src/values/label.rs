use super::{InvalidValue, serde_as_text};
use std::{fmt, sync::Arc};

/// A name or a location: 1–200 characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<str>);

impl Label {
    /// The most characters (Unicode scalar values) of a label.
    pub const LENGTH_MAX: usize = 200;

    /// Checks and wraps a label.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is empty, too long, or holds a control character.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidValue> {
        let text = text.as_ref();
        let length = text.chars().take(Self::LENGTH_MAX + 1).count();
        if length == 0 || length > Self::LENGTH_MAX || text.chars().any(char::is_control) {
            return Err(InvalidValue::new("must be 1 to 200 characters without control characters"));
        }
        Ok(Self(text.into()))
    }

    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Label {
    type Error = InvalidValue;
    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        Self::new(text)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Label);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_counts_characters_not_bytes() {
        assert!(Label::new("ü".repeat(200)).is_ok());
        assert!(Label::new("u".repeat(201)).is_err());
        assert!(Label::new("").is_err());
        assert!(Label::new("a\u{7}b").is_err());
    }
}
