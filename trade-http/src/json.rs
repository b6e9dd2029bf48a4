//! JSON as it came: a tree that borrows from the body, and refuses an object with the same key twice.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::sync::LazyLock;

/// A number, as it is read whether or not an application turns on `serde_json/arbitrary_precision`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Integer(i64),
    /// An integer beyond `i64`.
    Large(u64),
    /// With a fraction or an exponent, or beyond both.
    Other(f64),
}

/// What stands for the name of a member in serde_json's own form of a number, with `arbitrary_precision`.
const NUMBER: &str = "$serde_json::private::Number";

/// Whether `arbitrary_precision` is on: such numbers keep their digits.
static NUMBERS_ARE_MAPS: LazyLock<bool> = LazyLock::new(|| {
    serde_json::from_str::<serde_json::Number>("1.10").is_ok_and(|one| one.to_string() == "1.10")
});

impl Number {
    /// Of the text of a JSON number.
    fn parse(text: &str) -> Option<Self> {
        // Of the integers, -0 alone is a number that no integer is.
        let integer = (text != "-0").then(|| text.parse().ok().map(Self::Integer)).flatten();
        let large = || text.parse().ok().map(Self::Large);
        let other = || text.parse().ok().filter(|number: &f64| number.is_finite()).map(Self::Other);
        integer.or_else(large).or_else(other)
    }
}

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    /// Members ascending by key, so that two objects of the same content are the same.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Why a text is no [`Json`].
#[derive(Debug)]
pub(crate) enum Unreadable {
    Malformed(serde_json::Error),
    /// It may be JSON, of more values than are read.
    TooManyValues,
}

impl<'a> Json<'a> {
    /// Reads one value, and nothing after it, of so many values at most: a text of few bytes can hold many of them, and
    /// each takes memory. Values nested more than 127 deep are refused.
    pub(crate) fn parse(bytes: &'a [u8], values_max: usize) -> Result<Self, Unreadable> {
        let room = Cell::new(Some(values_max));
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let value = Values(&room).deserialize(&mut deserializer);
        match value.and_then(|value| deserializer.end().map(|()| value)) {
            Ok(value) => Ok(value),
            Err(_) if room.get().is_none() => Err(Unreadable::TooManyValues),
            Err(error) => Err(Unreadable::Malformed(error)),
        }
    }
}

/// Reads values as long as there is room for one more; none once there was not.
#[derive(Clone, Copy)]
struct Values<'r>(&'r Cell<Option<usize>>);

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        self.0.set(self.0.get().and_then(|room| room.checked_sub(1)));
        if self.0.get().is_none() {
            return Err(D::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(i64::try_from(value).map_or(Number::Large(value), Number::Integer)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Integer(value)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Number::Other(value)))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(self)? {
            push(&mut list, value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(Key(key)) = access.next_key()? {
            if key == NUMBER && *NUMBERS_ARE_MAPS {
                let Key(text) = access.next_value()?;
                let number = Number::parse(&text).map(Json::Number);
                return number.ok_or_else(|| A::Error::custom("number out of range"));
            }
            let value = access.next_value_seed(self)?;
            push(&mut members, (key, value));
        }
        members.sort_by(|(a, _), (b, _): &(Cow<'_, str>, Json<'_>)| a.cmp(b));
        if members.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(A::Error::custom("an object has the same key twice"));
        }
        Ok(Json::Object(members))
    }
}

/// Adds to a list that most likely has no other: of many short ones, what they have in reserve would be most.
fn push<T>(list: &mut Vec<T>, value: T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.push(value);
}

#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(Number::Integer(value)) => serializer.serialize_i64(*value),
            Self::Number(Number::Large(value)) => serializer.serialize_u64(*value),
            Self::Number(Number::Other(value)) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(values) => serializer.collect_seq(values),
            Self::Object(members) => serializer.collect_map(members.iter().map(|(key, value)| (key, value))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        serde_json::to_string(&Json::parse(text.as_bytes(), 100).unwrap()).unwrap()
    }

    #[test]
    fn neither_order_nor_white_space_nor_escapes_make_another_value() {
        assert_eq!(
            canonical(r#" {"b" : [1, -2, 0.5, true], "a":{"x":null}}"#),
            canonical(r#"{"a":{"\u0078":null},"b":[1,-2,5e-1,true]}"#)
        );
        assert_ne!(canonical("[1,2]"), canonical("[2,1]"));
        assert_eq!(canonical(r#"{"b":"\u00e9","a":1}"#), r#"{"a":1,"b":"é"}"#);
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for bad in
            ["", " ", "{", "{}{}", "[1,]", "nul", r#"{"a":1,"a":1}"#, r#"[{"a":1,"\u0061":2}]"#, &deep, "01"]
        {
            assert!(matches!(Json::parse(bad.as_bytes(), 300), Err(Unreadable::Malformed(_))), "{bad}");
        }
        assert!(Json::parse(b"\"\xff\"", 1).is_err());
        assert!(Json::parse(br#""\ud800""#, 1).is_err());
    }

    #[test]
    fn no_more_values_are_read_than_there_is_room_for() {
        for (text, count) in [("1", 1), ("[[],[[]]]", 4), (r#"{"a":{"b":"c"},"d":null}"#, 4)] {
            assert!(Json::parse(text.as_bytes(), count).is_ok(), "{text}");
            let result = Json::parse(text.as_bytes(), count - 1);
            assert!(matches!(result, Err(Unreadable::TooManyValues)), "{text}: {result:?}");
        }
        // What is wrong before that is wrong.
        assert!(matches!(Json::parse(b"[1,,2,3]", 3), Err(Unreadable::Malformed(_))));
    }
}
