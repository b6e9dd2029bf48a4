//! The form of a key that stores keep: the number of the form, and postcard.

use super::id::KeyId;
use super::key::ApiKey;
use super::role::Role;
use super::token::Digest;
use crate::resource::Version;
use crate::store::{StoreError, StoreErrorKind};
use crate::values::{Label, Scope, Timestamp, from_stored};
use serde::{Deserialize, Serialize};
use std::fmt::Display;

const FORM: u8 = 1;

/// Bytes that are no key, or one that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// They are not what any version has written.
    #[error("not a key: {0}")]
    Damaged(String),
    /// They are of a form that this version does not know.
    #[error("the key was written by a newer version: it has form {0}, and {FORM} is the newest one known")]
    Newer(u8),
}

impl InvalidKey {
    fn damaged(detail: impl Display) -> Self {
        Self::Damaged(detail.to_string())
    }

    /// The error of a store that finds such a key.
    pub fn in_store(self, store: &'static str, operation: &'static str, id: &KeyId) -> StoreError {
        let kind = match self {
            Self::Damaged(_) => StoreErrorKind::Corrupt,
            Self::Newer(_) => StoreErrorKind::NewerVersion,
        };
        StoreError::new(kind, store, operation, format!("the key {id} cannot be read: {self}"))
            .caused_by(self)
    }
}

#[derive(Serialize, Deserialize)]
struct KeyRecord<'a> {
    name: Option<&'a str>,
    roles: Vec<u8>,
    /// None for all of them.
    stations: Option<Vec<&'a str>>,
    digest: [u8; 32],
    previous: Option<([u8; 32], i64)>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl ApiKey {
    /// What a store keeps of it beside its id, its version and its use.
    ///
    /// # Errors
    /// [`InvalidKey::Damaged`] where it cannot be written, which is a defect.
    pub fn encode(&self) -> Result<Vec<u8>, InvalidKey> {
        let stations = self.stations.set().map(|set| set.as_slice());
        let record = KeyRecord {
            name: self.name.as_ref().map(Label::as_str),
            roles: self.roles.iter().map(|role| role.code()).collect(),
            stations: stations.map(|set| set.iter().map(|station| station.as_str()).collect()),
            digest: *self.digest.as_bytes(),
            previous: self.previous.as_ref().map(|(digest, until)| (*digest.as_bytes(), until.millis())),
            created_at: self.created_at.millis(),
            expires_at: self.expires_at.map(Timestamp::millis),
            revoked_at: self.revoked_at.map(Timestamp::millis),
        };
        postcard::to_extend(&record, vec![FORM]).map_err(InvalidKey::damaged)
    }

    /// Reads a key back, of whatever version.
    ///
    /// # Errors
    /// [`InvalidKey`] if the bytes are damaged or of a newer form.
    pub fn decode(
        id: KeyId,
        version: Version,
        last_used_at: Option<Timestamp>,
        bytes: &[u8],
    ) -> Result<Self, InvalidKey> {
        let body = match bytes.split_first() {
            Some((&FORM, body)) => body,
            Some((&form, _)) if form > FORM => return Err(InvalidKey::Newer(form)),
            _ => return Err(InvalidKey::damaged("it is empty, or of no form")),
        };
        let record: KeyRecord<'_> = match postcard::take_from_bytes(body).map_err(InvalidKey::damaged)? {
            (record, []) => record,
            (_, rest) => return Err(InvalidKey::damaged(format!("{} bytes are behind it", rest.len()))),
        };
        let time = |millis| Timestamp::from_millis(millis).map_err(InvalidKey::damaged);
        let role = |code: &u8| Role::from_code(*code).ok_or_else(|| InvalidKey::damaged("a role of no name"));
        let stations = match record.stations {
            None => Scope::All,
            Some(ids) => {
                let ids = ids.into_iter().map(from_stored).collect::<Result<Vec<_>, _>>();
                ids.and_then(Scope::of).map_err(InvalidKey::damaged)?
            }
        };
        Ok(Self {
            id,
            name: record.name.map(from_stored).transpose().map_err(InvalidKey::damaged)?,
            roles: record.roles.iter().map(role).collect::<Result<_, _>>()?,
            stations,
            digest: Digest::from_bytes(record.digest),
            previous: match record.previous {
                Some((digest, until)) => Some((Digest::from_bytes(digest), time(until)?)),
                None => None,
            },
            created_at: time(record.created_at)?,
            expires_at: record.expires_at.map(time).transpose()?,
            revoked_at: record.revoked_at.map(time).transpose()?,
            last_used_at,
            version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{NewKey, Token};

    fn key() -> ApiKey {
        let id = KeyId::new("a1b2c3d4e5f6").unwrap();
        let stations = Scope::of(["ceres".try_into().unwrap(), "vesta".try_into().unwrap()]).unwrap();
        let mut new = NewKey::new([Role::Admin, Role::Viewer], stations);
        new.name = Some(Label::new("ops").unwrap());
        let time = |millis| Timestamp::from_millis(millis).unwrap();
        new.expires_at = Some(time(3_000));
        let token = Token::new(id.clone(), [1; 32]);
        let mut key = ApiKey::new(id, new, &token, time(1_000));
        key.previous = Some((Token::new(key.id.clone(), [2; 32]).digest(), time(2_000)));
        key.revoked_at = Some(time(2_500));
        (key.last_used_at, key.version) = (Some(time(2_100)), 4);
        key
    }

    /// What is stored outlives the program: these bytes are read for good.
    #[test]
    fn the_bytes_of_a_key_stay_what_they_are() {
        let bytes = key().encode().unwrap();
        let shown: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(shown, include_str!("../../tests/stored/key-1.hex").trim());
    }

    #[test]
    fn a_key_is_read_back_and_damage_is_told() {
        let (key, bytes) = (key(), key().encode().unwrap());
        let read = |bytes: &[u8]| ApiKey::decode(key.id.clone(), 4, key.last_used_at, bytes);
        assert_eq!(read(&bytes).unwrap(), key);
        for end in 0..bytes.len() {
            assert!(matches!(read(&bytes[..end]), Err(InvalidKey::Damaged(_))), "{end}");
        }
        assert!(matches!(read(&[&bytes[..], &[0]].concat()), Err(InvalidKey::Damaged(_))));
        assert_eq!(read(&[2, 0]), Err(InvalidKey::Newer(2)));
    }
}
