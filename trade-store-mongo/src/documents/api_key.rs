//! API keys: `{_id, version, usedAt?, record}`, the record as `ApiKey::encode` writes it. A use is noted without a version
//! more.

use super::receipt::binary;
use super::{Decoded, Fields, Unreadable, damaged, stored};
use mongodb::bson::raw::cstr;
use mongodb::bson::{RawDocument, RawDocumentBuf, rawdoc};
use trade_core::access::{ApiKey, InvalidKey, KeyId};

/// A key that is new.
///
/// # Errors
/// [`InvalidKey`] as [`ApiKey::encode`].
pub(crate) fn write(key: &ApiKey) -> Result<RawDocumentBuf, InvalidKey> {
    let mut document = rawdoc! { "_id": key.id.as_str(), "version": stored(key.version) };
    document.append(cstr!("record"), binary(&key.encode()?));
    Ok(document)
}

/// What its next version changes.
///
/// # Errors
/// As [`write`].
pub(crate) fn change(key: &ApiKey) -> Result<RawDocumentBuf, InvalidKey> {
    let mut fields = rawdoc! { "version": stored(key.version) };
    fields.append(cstr!("record"), binary(&key.encode()?));
    Ok(rawdoc! { "$set": fields })
}

pub(crate) fn read(document: &RawDocument) -> Decoded<ApiKey> {
    let id: &str = document.text("_id")?;
    let id = KeyId::new(id).map_err(damaged("_id"))?;
    let (version, used_at) = (document.count("version")?, document.maybe_time("usedAt")?);
    let key = ApiKey::decode(id.clone(), version, used_at, document.bytes("record")?);
    key.map_err(|error| Unreadable::Key(error, id))
}
