//! `Idempotency-Key`: what makes two requests the same request.

use crate::call::Call;
use crate::fields::Faults;
use crate::json::Json;
use sha2::{Digest, Sha256};
use trade_core::command::{Fingerprint, Idempotency, RequestId};

/// The header.
const HEADER: &str = "Idempotency-Key";
const LENGTH_MAX: usize = 255;

/// The key of a request, where it has one.
pub(crate) fn key<'c>(call: &'c Call, faults: &Faults) -> Option<&'c [u8]> {
    let mut values = call.headers.get_all(HEADER).iter();
    let key = values.next()?.as_bytes();
    let well_formed = (1..=LENGTH_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    if values.next().is_some() || !well_formed {
        return faults.add(HEADER, format!("must be one of 1 to {LENGTH_MAX} visible ASCII characters"));
    }
    Some(key)
}

/// The same for the same key, caller, method, resource and body, on every server and for good: receipts are kept by it.
pub(crate) fn identify(call: &Call, key: &[u8], body: &Json<'_>) -> Result<Idempotency, serde_json::Error> {
    let mut request = Sha256::new();
    let caller = call.principal.actor().to_string();
    let resource = call.resource();
    for part in [caller.as_bytes(), call.method.as_str().as_bytes(), resource.as_bytes(), key] {
        // With its length before it, no part can be taken for the end of another.
        request.update((part.len() as u64).to_be_bytes());
        request.update(part);
    }
    let mut content = Sha256::new();
    serde_json::to_writer(&mut content, body)?;
    Ok(Idempotency { request: RequestId(first(request)), fingerprint: Fingerprint(first(content)) })
}

fn first(hash: Sha256) -> [u8; 16] {
    let hash: [u8; 32] = hash.finalize().into();
    std::array::from_fn(|index| hash[index])
}
