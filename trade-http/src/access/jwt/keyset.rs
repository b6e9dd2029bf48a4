//! The keys of an issuer (JWKS, RFC 7517 §5).

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Deserialize;
use serde_json::Value;

/// What is signed by a public key. `none` and what is signed by a shared secret are not among them.
pub(super) const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// Keys of a set that are looked at.
const KEYS_MAX: usize = 100;

/// The keys of an issuer that can check a token.
#[derive(Debug, Clone)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug, Clone)]
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Key {
    /// None of a key that is for something else.
    fn of(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        let is_for_signatures =
            common.public_key_use.as_ref().is_none_or(|one| *one == PublicKeyUse::Signature);
        let operations = common.key_operations.as_ref();
        let verifies = operations.is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !is_for_signatures || !verifies {
            return None;
        }
        let fits = |algorithm: &Algorithm| {
            let named = common.key_algorithm.is_none_or(|named| named == KeyAlgorithm::from(*algorithm));
            named && is_of_kind(&jwk.algorithm, *algorithm)
        };
        let algorithms: Vec<_> = ALGORITHMS.into_iter().filter(fits).collect();
        let key = DecodingKey::from_jwk(jwk).ok().filter(|_| !algorithms.is_empty())?;
        Some(Self { id: common.key_id.clone(), algorithms, key })
    }
}

fn is_of_kind(parameters: &AlgorithmParameters, algorithm: Algorithm) -> bool {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match parameters {
        AlgorithmParameters::RSA(_) => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => algorithm == ES256,
            EllipticCurve::P384 => algorithm == ES384,
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(key) => key.curve == EllipticCurve::Ed25519 && algorithm == EdDSA,
        _ => false,
    }
}

impl KeySet {
    /// Reads a set. Keys that are for something else, or of a form that is not known, are passed by; none where no key
    /// is left.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(bytes).ok()?;
        let jwks =
            set.keys.into_iter().take(KEYS_MAX).filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let keys: Vec<_> = jwks.filter_map(|jwk| Key::of(&jwk)).collect();
        if keys.is_empty() { None } else { Some(Self(keys)) }
    }

    /// The key that a token was signed with, as its header says. A header that names none means the only one that fits.
    pub(super) fn find(&self, header: &Header) -> Option<&DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| {
            let named = header.kid.is_none() || header.kid == key.id;
            named && key.algorithms.contains(&header.alg)
        });
        let first = fitting.next()?;
        if header.kid.is_none() && fitting.next().is_some() { None } else { Some(&first.key) }
    }
}
