use super::InvalidValue;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an application keeps with a trade, a shipment or a station: at most 20 texts by their names. It is given back
/// as it came, and never interpreted.
///
/// A name has 1–40 characters of `A–Z a–z 0–9 _ . -`, a text 0–500 characters, none of them a control character. Cheap to
/// clone.
///
/// ```
/// use trade_core::values::Metadata;
///
/// let metadata = Metadata::new([("orderNumber", "4711"), ("note", "")])?;
/// assert_eq!(metadata.get("orderNumber"), Some("4711"));
/// assert!(Metadata::new([("order number", "4711")]).is_err());
/// # Ok::<(), trade_core::values::InvalidValue>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Metadata(Arc<BTreeMap<Box<str>, Box<str>>>);

impl Metadata {
    /// The most members.
    pub const MEMBERS_MAX: usize = 20;
    /// The most characters of a name.
    pub const NAME_LENGTH_MAX: usize = 40;
    /// The most characters (Unicode scalar values) of a text.
    pub const TEXT_LENGTH_MAX: usize = 500;

    /// Checks and keeps names and texts. Of two of one name the later counts.
    ///
    /// # Errors
    /// [`InvalidValue`] if there are too many, or one is not of its form.
    pub fn new<N, T>(members: impl IntoIterator<Item = (N, T)>) -> Result<Self, InvalidValue>
    where
        N: AsRef<str>,
        T: AsRef<str>,
    {
        let mut checked = BTreeMap::new();
        for (name, text) in members {
            let (name, text) = (name.as_ref(), text.as_ref());
            Self::check_name(name)?;
            Self::check_text(text)?;
            checked.insert(name.into(), text.into());
            if checked.len() > Self::MEMBERS_MAX {
                return Err(InvalidValue(format!("must hold at most {} members", Self::MEMBERS_MAX)));
            }
        }
        Ok(Self(Arc::new(checked)))
    }

    /// Checks a name.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is not of its form.
    pub fn check_name(name: &str) -> Result<(), InvalidValue> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if name.is_empty() || name.len() > Self::NAME_LENGTH_MAX || !name.bytes().all(allowed) {
            let most = Self::NAME_LENGTH_MAX;
            return Err(InvalidValue(format!(
                "must have a name of 1 to {most} characters of A-Z a-z 0-9 _ . -"
            )));
        }
        Ok(())
    }

    /// Checks a text.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is not of its form.
    pub fn check_text(text: &str) -> Result<(), InvalidValue> {
        let length = text.chars().take(Self::TEXT_LENGTH_MAX + 1).count();
        if length > Self::TEXT_LENGTH_MAX || text.chars().any(char::is_control) {
            let most = Self::TEXT_LENGTH_MAX;
            return Err(InvalidValue(format!("must be 0 to {most} characters without control characters")));
        }
        Ok(())
    }

    /// The text of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|text| &**text)
    }

    /// Names and texts, ascending by the names' bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (&**name, &**text))
    }

    /// How many lines of goods take as much memory.
    pub(crate) fn lines(metadata: Option<&Self>) -> usize {
        const BYTES_OF_A_LINE: usize = 64;
        let bytes =
            metadata.map_or(0, |metadata| metadata.iter().map(|(name, text)| name.len() + text.len()).sum());
        usize::div_ceil(bytes, BYTES_OF_A_LINE)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Metadata {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = BTreeMap::<String, String>::deserialize(deserializer)?;
        Self::new(members).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_texts_and_their_number_are_bounded() {
        let name = "n".repeat(40);
        let text = "ü".repeat(500);
        assert!(Metadata::new([(&name, &text)]).is_ok());
        for (name, text) in [
            ("n".repeat(41), String::new()),
            (String::new(), String::new()),
            ("a b".into(), String::new()),
            ("ü".into(), String::new()),
            ("a".into(), "ü".repeat(501)),
            ("a".into(), "a\u{7}".into()),
        ] {
            assert!(Metadata::new([(&name, &text)]).is_err(), "{name} {text}");
        }
        let members = |count: usize| (0..count).map(|n| (format!("n{n}"), ""));
        assert_eq!(Metadata::new(members(20)).map(|metadata| metadata.len()), Ok(20));
        assert!(Metadata::new(members(21)).is_err());
    }

    #[test]
    fn it_is_read_back_as_it_is_written() {
        let metadata = Metadata::new([("b", "2"), ("a", "")]).unwrap();
        let json = serde_json::to_string(&metadata).unwrap();
        assert_eq!(json, r#"{"a":"","b":"2"}"#);
        assert_eq!(serde_json::from_str::<Metadata>(&json).unwrap(), metadata);
        assert!(serde_json::from_str::<Metadata>(r#"{"a":1}"#).is_err());
        assert_eq!(serde_json::from_str::<Metadata>("{}").unwrap(), Metadata::default());
    }
}
