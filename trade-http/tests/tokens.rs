//! Tokens (JWT) of an issuer: which let in, and those that somebody may try.
#![cfg(feature = "jwt")]
#![allow(clippy::unwrap_used)]

mod common;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::Network;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;
use trade_http::HttpOptions;
use trade_http::access::{Authenticator, TokenRules, Tokens};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "trade-network";

struct Signer {
    id: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

fn pkcs8(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
    rcgen::KeyPair::generate_for(algorithm).unwrap().serialize_der()
}

static RSA: LazyLock<Signer> = LazyLock::new(|| {
    let key = EncodingKey::from_rsa_der(include_bytes!("keys/rsa.der"));
    Signer { id: "rsa", algorithm: Algorithm::RS256, key }
});
static EC: LazyLock<Signer> = LazyLock::new(|| {
    let key = EncodingKey::from_ec_der(&pkcs8(&rcgen::PKCS_ECDSA_P256_SHA256));
    Signer { id: "ec", algorithm: Algorithm::ES256, key }
});
static ED: LazyLock<Signer> = LazyLock::new(|| {
    let key = EncodingKey::from_ed_der(include_bytes!("keys/ed25519.der"));
    Signer { id: "ed", algorithm: Algorithm::EdDSA, key }
});

impl Signer {
    /// Of a key that nobody knows.
    fn stranger() -> Self {
        let key = EncodingKey::from_ec_der(&pkcs8(&rcgen::PKCS_ECDSA_P256_SHA256));
        Self { id: "ec", algorithm: Algorithm::ES256, key }
    }

    fn jwk(&self) -> Value {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = self.id.into();
        jwk["use"] = "sig".into();
        jwk
    }

    fn header(&self) -> Value {
        json!({"alg": format!("{:?}", self.algorithm), "typ": "JWT", "kid": self.id})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let signature = crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Those of an auditor, with some others.
fn claims(others: Value) -> Value {
    let mut claims = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": now() + 60, "roles": ["auditor"],
        "stations": "*"});
    let Value::Object(others) = others else { panic!("{others}") };
    claims.as_object_mut().unwrap().extend(others);
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn rules() -> TokenRules {
    let mut rules = TokenRules::default();
    (rules.issuers, rules.audiences) = (vec![ISSUER.into()], vec![AUDIENCE.into()]);
    rules
}

async fn guarded(tokens: Tokens) -> Network {
    let access = Some(Authenticator::new().with_tokens(tokens));
    Network::with(HttpOptions { access, ..HttpOptions::default() }).await
}

fn write(path: &Path, keys: &[Value]) {
    // As those do who replace a file in one step.
    let beside = path.with_extension("new");
    std::fs::write(&beside, json!({ "keys": keys }).to_string()).unwrap();
    std::fs::rename(beside, path).unwrap();
}

async fn of_file(keys: &[Value]) -> (tempfile::TempDir, Network) {
    // Chosen once for the process, before anything is signed.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    write(&path, keys);
    let tokens = Tokens::of_file(path, rules());
    tokens.load().await.unwrap();
    (folder, guarded(tokens).await)
}

async fn status(network: &Network, token: &str) -> u16 {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str())];
    let got = timeout(Duration::from_secs(8), network.ask("GET", "/api/trades", &headers, None)).await;
    let got = got.expect("an answer in time");
    if got.status == 401 {
        let told = got.header("www-authenticate").to_owned();
        assert_eq!(told, "Bearer realm=\"trade-network\", error=\"invalid_token\"");
        assert!(token.len() < 9 || !got.text.contains(token), "{}", got.text);
    }
    got.status.as_u16()
}

#[tokio::test]
async fn a_token_of_the_issuer_lets_in_by_each_kind_of_key() {
    let (_folder, network) = of_file(&[RSA.jwk(), EC.jwk(), ED.jwk()]).await;
    for signer in [&*RSA, &EC, &ED] {
        assert_eq!(status(&network, &signer.token(&claims(json!({})))).await, 200, "{}", signer.id);
    }
    for good in [
        json!({"aud": ["other", AUDIENCE]}),
        json!({"nbf": now() - 5, "iat": now() - 5}),
        json!({"nbf": now() + 2, "iat": now() + 2}),
        json!({"roles": []}),
        json!({"jti": "x", "unknown": {"a": [1]}}),
    ] {
        assert_eq!(status(&network, &EC.token(&claims(good.clone()))).await, 200, "{good}");
    }
    for typ in [json!(null), json!("at+jwt"), json!("application/at+JWT"), json!("jwt")] {
        let mut header = EC.header();
        header["typ"] = typ.clone();
        let header = if typ.is_null() { json!({"alg": "ES256", "kid": "ec"}) } else { header };
        assert_eq!(status(&network, &EC.sign(&header, &claims(json!({})))).await, 200, "{header}");
    }
    // A header without the name of a key means the only one that fits.
    assert_eq!(status(&network, &EC.sign(&json!({"alg": "ES256"}), &claims(json!({})))).await, 200);
}

#[tokio::test]
async fn what_a_token_must_not_say_is_refused() {
    let (_folder, network) = of_file(&[RSA.jwk(), EC.jwk(), ED.jwk()]).await;
    for bad in [
        json!({"iss": "https://other.example"}),
        json!({"iss": null}),
        json!({"iss": 7}),
        json!({"aud": "other"}),
        json!({"aud": ["other"]}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"exp": null}),
        json!({"exp": now() - 60}),
        json!({"exp": "9999999999"}),
        json!({"exp": 1e300}),
        json!({"nbf": now() + 60}),
        json!({"iat": now() + 60}),
        json!({"sub": null}),
        json!({"sub": 7}),
        json!({"sub": ""}),
        json!({"sub": "a\u{0}b"}),
        json!({"sub": "x".repeat(300)}),
    ] {
        assert_eq!(status(&network, &EC.token(&claims(bad.clone()))).await, 401, "{bad}");
    }
}

#[tokio::test]
async fn a_token_cannot_say_how_it_is_to_be_checked() {
    let (_folder, network) = of_file(&[RSA.jwk(), EC.jwk(), ED.jwk()]).await;
    let good = claims(json!({}));
    let mine = Signer::stranger();
    // A shared secret of what everybody knows.
    let jwk = RSA.jwk();
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for secret in [modulus.as_slice(), jwk["n"].as_str().unwrap().as_bytes(), jwk.to_string().as_bytes()] {
        let key = EncodingKey::from_secret(secret).unwrap();
        for id in ["rsa", "ec"] {
            let message = format!("{}.{}", encoded(&json!({"alg": "HS256", "kid": id})), encoded(&good));
            let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
            assert_eq!(status(&network, &format!("{message}.{signature}")).await, 401);
        }
    }
    let changed = |changes: Value| {
        let mut header = EC.header();
        header.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        header
    };
    for header in [
        json!({"kid": "rsa"}),
        json!({"kid": "ed"}),
        json!({"kid": "unknown"}),
        json!({"kid": ""}),
        json!({"kid": "../../../dev/null"}),
        json!({"kid": "ec' OR '1'='1"}),
        json!({"kid": 7}),
        json!({"alg": "RS256"}),
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": ""}),
        json!({"alg": null}),
        json!({"alg": "ES384"}),
        json!({"alg": "HS256"}),
        json!({"crit": ["exp"]}),
        json!({"crit": []}),
        json!({"crit": ["b64"], "b64": true}),
        json!({"b64": false}),
        json!({"typ": "logout+jwt"}),
        json!({"typ": "dpop+jwt"}),
    ] {
        assert_eq!(status(&network, &EC.sign(&changed(header.clone()), &good)).await, 401, "{header}");
    }
    // Keys that the token brings along, or an address where they are said to be.
    let (jku, own) = (json!("https://attacker.example/jwks.json"), mine.jwk());
    for header in [
        json!({"jku": jku}),
        json!({"x5u": jku}),
        json!({"jwk": own}),
        json!({"kid": "mine", "jwk": own, "jku": jku}),
    ] {
        assert_eq!(status(&network, &mine.sign(&changed(header.clone()), &good)).await, 401, "{header}");
    }
    // They say nothing, so they do no harm either.
    assert_eq!(status(&network, &EC.sign(&changed(json!({"jku": jku})), &good)).await, 200);
}

#[tokio::test]
async fn what_is_no_whole_token_is_refused() {
    let (_folder, network) = of_file(&[EC.jwk()]).await;
    let token = EC.token(&claims(json!({})));
    let parts: Vec<_> = token.split('.').collect();
    let (header, body, signature) = (parts[0], parts[1], parts[2]);
    let none = encoded(&json!({"alg": "none", "kid": "ec"}));
    let other = encoded(&claims(json!({"sub": "eve"})));
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    let long = claims(json!({"x": "x".repeat(9_000)}));
    for bad in [
        format!("{header}.{body}."),
        format!("{header}.{body}"),
        format!("{header}.{body}.{signature}."),
        format!("{header}.{body}.{signature}.{signature}"),
        format!("{header}..{signature}"),
        format!(".{body}.{signature}"),
        format!("{none}.{body}."),
        format!("{none}.{body}.{signature}"),
        format!("{header}.{other}.{signature}"),
        format!("{header}.{body}.{zeros}"),
        format!("{header}.{body}.{signature}=="),
        format!("{header}.{body}.{}", &signature[..signature.len() - 2]),
        token[..token.len() / 2].to_owned(),
        token[1..].to_owned(),
        token.to_lowercase(),
        format!("{token} {token}"),
        format!("{}.{body}.{signature}", URL_SAFE_NO_PAD.encode("[]")),
        format!("{}.{body}.{signature}", URL_SAFE_NO_PAD.encode("{")),
        "...".into(),
        ".".repeat(8_000),
        "ey".into(),
        EC.token(&long),
        EC.token(&json!([])),
        EC.token(&json!("sub")),
        format!("tn_{token}"),
    ] {
        assert_eq!(status(&network, &bad).await, 401, "{bad}");
    }
    assert_eq!(status(&network, &token).await, 200);
}

#[tokio::test]
async fn a_key_is_used_for_nothing_but_what_it_is_for() {
    let with = |signer: &Signer, name: &str, value: Value| {
        let mut jwk = signer.jwk();
        jwk[name] = value;
        jwk
    };
    let good = claims(json!({}));
    for (jwk, signer) in [
        (with(&EC, "use", json!("enc")), &EC),
        (with(&EC, "key_ops", json!(["encrypt"])), &EC),
        (with(&EC, "alg", json!("ES384")), &EC),
        (with(&EC, "kty", json!("RSA")), &EC),
        (with(&EC, "crv", json!("P-384")), &EC),
        (with(&RSA, "alg", json!("RS512")), &RSA),
        (with(&RSA, "alg", json!("RSA-OAEP")), &RSA),
        (with(&RSA, "kty", json!("oct")), &RSA),
        (json!({"kty": "oct", "kid": "ec", "alg": "HS256", "k": "c2VjcmV0"}), &EC),
        (json!({"kty": "new", "kid": "ec"}), &EC),
        (json!(7), &EC),
    ] {
        let (_folder, network) = of_file(&[jwk.clone(), ED.jwk()]).await;
        assert_eq!(status(&network, &signer.token(&good)).await, 401, "{jwk}");
        assert_eq!(status(&network, &ED.token(&good)).await, 200, "the others of the set serve");
    }
    // Two that fit, and a token that does not say which.
    let mut second = Signer::stranger().jwk();
    second["kid"] = "second".into();
    let (_folder, network) = of_file(&[EC.jwk(), second]).await;
    assert_eq!(status(&network, &EC.sign(&json!({"alg": "ES256"}), &good)).await, 401);
    assert_eq!(status(&network, &EC.token(&good)).await, 200);
}

#[tokio::test]
async fn a_file_is_read_again_once_it_has_changed_and_its_keys_are_kept_while_it_is_damaged() {
    let (folder, network) = of_file(&[EC.jwk()]).await;
    let path = folder.path().join("jwks.json");
    let good = claims(json!({}));
    assert_eq!(status(&network, &ED.token(&good)).await, 401);
    let later = async || {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(3)).await;
        tokio::time::resume();
    };
    for damage in ["", "{", "{\"keys\":[]}", "{\"keys\":{}}", "[]"] {
        std::fs::write(&path, damage).unwrap();
        later().await;
        assert_eq!(status(&network, &EC.token(&good)).await, 200, "{damage}");
    }
    std::fs::remove_file(&path).unwrap();
    later().await;
    assert_eq!(status(&network, &EC.token(&good)).await, 200);
    write(&path, &[ED.jwk()]);
    later().await;
    assert_eq!(status(&network, &ED.token(&good)).await, 200);
    assert_eq!(status(&network, &EC.token(&good)).await, 401);
    let absent = Tokens::of_file(folder.path().join("absent"), rules());
    assert!(absent.load().await.unwrap_err().to_string().contains("absent"));
    let network = guarded(absent).await;
    assert_eq!(status(&network, &EC.token(&good)).await, 503);
}

#[cfg(feature = "jwks-url")]
mod at_an_address {
    use super::*;
    use axum::http::StatusCode;
    use axum::response::{IntoResponse, Response};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    #[derive(Debug, Clone)]
    enum Issuer {
        Keys(Vec<Value>),
        Slow(Vec<Value>),
        Text(String),
        Status(StatusCode),
        Silent,
        Elsewhere,
    }

    struct Served {
        issuer: Arc<Mutex<Issuer>>,
        asked: Arc<AtomicUsize>,
        url: String,
    }

    impl Served {
        async fn new(issuer: Issuer) -> Self {
            let (issuer, asked) = (Arc::new(Mutex::new(issuer)), Arc::new(AtomicUsize::new(0)));
            let (now, count) = (issuer.clone(), asked.clone());
            let answer = move || {
                count.fetch_add(1, Ordering::Relaxed);
                let now = now.lock().unwrap().clone();
                async move {
                    match now {
                        Issuer::Keys(keys) => json!({ "keys": keys }).to_string().into_response(),
                        Issuer::Slow(keys) => {
                            tokio::time::sleep(Duration::from_millis(200)).await;
                            json!({ "keys": keys }).to_string().into_response()
                        }
                        Issuer::Text(text) => text.into_response(),
                        Issuer::Status(status) => status.into_response(),
                        Issuer::Silent => std::future::pending::<Response>().await,
                        Issuer::Elsewhere => (StatusCode::FOUND, [("location", "/other")]).into_response(),
                    }
                }
            };
            let other = || async { json!({"keys": [ED.jwk()]}).to_string() };
            let router = axum::Router::new()
                .route("/jwks", axum::routing::get(answer))
                .route("/other", axum::routing::get(other));
            let address = common::sse::serve(router).await;
            Self { issuer, asked, url: format!("http://{address}/jwks?key=secret") }
        }

        fn set(&self, issuer: Issuer) {
            *self.issuer.lock().unwrap() = issuer;
        }
    }

    async fn later(seconds: u64) {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    }

    #[tokio::test]
    async fn whoever_hangs_up_while_keys_are_asked_for_keeps_nobody_from_them() {
        let served = Served::new(Issuer::Keys(vec![EC.jwk()])).await;
        let network = guarded(Tokens::of_url(&served.url, rules()).unwrap()).await;
        let good = claims(json!({}));
        assert_eq!(status(&network, &EC.token(&good)).await, 200);
        served.set(Issuer::Slow(vec![ED.jwk()]));
        later(61).await;
        let hasty = tokio::time::timeout(Duration::from_millis(50), status(&network, &ED.token(&good))).await;
        assert!(hasty.is_err(), "it is not answered yet");
        // It is asked for once a minute at most: only what was begun for the one who left can bring the key.
        let known = async {
            while status(&network, &ED.token(&good)).await != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), known).await.expect("the key is had");
    }

    #[tokio::test]
    async fn keys_are_asked_for_anew_for_one_that_is_not_known_once_a_minute_at_most() {
        let served = Served::new(Issuer::Keys(vec![EC.jwk()])).await;
        let network = guarded(Tokens::of_url(&served.url, rules()).unwrap()).await;
        let good = claims(json!({}));
        assert_eq!(status(&network, &EC.token(&good)).await, 200);
        served.set(Issuer::Keys(vec![ED.jwk()]));
        for _ in 0..20 {
            assert_eq!(status(&network, &ED.token(&good)).await, 401);
        }
        assert_eq!(served.asked.load(Ordering::Relaxed), 1);
        later(61).await;
        assert_eq!(status(&network, &ED.token(&good)).await, 200);
        assert_eq!(status(&network, &EC.token(&good)).await, 401);
        assert_eq!(served.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn keys_are_kept_while_the_issuer_is_away_slow_or_out_of_its_mind() {
        let served = Served::new(Issuer::Keys(vec![EC.jwk()])).await;
        let network = guarded(Tokens::of_url(&served.url, rules()).unwrap()).await;
        let good = claims(json!({}));
        assert_eq!(status(&network, &EC.token(&good)).await, 200);
        for (place, issuer) in [
            Issuer::Status(StatusCode::INTERNAL_SERVER_ERROR),
            Issuer::Silent,
            Issuer::Elsewhere,
            Issuer::Text("<html>".into()),
            Issuer::Text("{\"keys\":[]}".into()),
            Issuer::Text(format!("{{\"keys\":[{}]}}", "1,".repeat(2_000_000))),
        ]
        .into_iter()
        .enumerate()
        {
            served.set(issuer);
            later(61).await;
            // Who has a token of an unknown key may wait for it, and nobody else.
            let (unknown, known) = (ED.token(&good), EC.token(&good));
            let (unknown, known) = tokio::join!(status(&network, &unknown), async {
                timeout(Duration::from_secs(2), status(&network, &known)).await.expect("it need not wait")
            });
            assert_eq!((unknown, known), (401, 200), "{place}");
            assert_eq!(served.asked.load(Ordering::Relaxed), place + 2);
        }
    }

    #[tokio::test]
    async fn before_any_key_is_had_it_is_503_and_not_401() {
        let served = Served::new(Issuer::Status(StatusCode::BAD_GATEWAY)).await;
        let tokens = Tokens::of_url(&served.url, rules()).unwrap();
        let error = tokens.load().await.unwrap_err().to_string();
        assert!(error.contains("502") && !error.contains("secret"), "{error}");
        assert!(!format!("{tokens:?}").contains("secret"), "{tokens:?}");
        let network = guarded(tokens).await;
        let good = claims(json!({}));
        assert_eq!(status(&network, &EC.token(&good)).await, 503);
        served.set(Issuer::Keys(vec![EC.jwk()]));
        later(6).await;
        assert_eq!(status(&network, &EC.token(&good)).await, 200);
        for bad in ["ftp://x/y", "x", "", "http://", "https://ada:pw@issuer.example/jwks"] {
            assert!(Tokens::of_url(bad, rules()).is_err(), "{bad}");
        }
    }
}
