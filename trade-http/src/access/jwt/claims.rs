//! What a token says of its user.

use super::rules::TokenRules;
use crate::access::lease::{Assurance, Lease};
use crate::access::refusal::LoginError;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use trade_core::access::Role;
use trade_core::event::Actor;
use trade_core::policy::Principal;
use trade_core::values::{Scope, StationId, Timestamp};

/// The longest subject (OpenID Connect Core §2).
const SUBJECT_BYTES_MAX: usize = 255;
/// Stations and roles that are looked at.
const WORDS_MAX: usize = 2_000;
/// Methods that a login is made by.
const METHODS_MAX: usize = 16;

/// Who has a token of these claims, and until when it is good.
pub(super) fn read(
    claims: Map<String, Value>,
    rules: &TokenRules,
    now: Timestamp,
) -> Result<(Principal, Lease), LoginError> {
    let until = times(&claims, rules.leeway, now)?;
    let subject = claims.get("sub").and_then(Value::as_str).filter(|subject| {
        (1..=SUBJECT_BYTES_MAX).contains(&subject.len()) && !subject.chars().any(char::is_control)
    });
    let subject = subject.ok_or(LoginError::Invalid("the token names no user"))?;
    let assurance = assurance(&claims);
    let actor = Actor::User(subject.into());
    let claims = Value::Object(claims);
    let roles = words(&claims, &rules.roles_claim);
    let roles = roles.into_iter().filter_map(|word| Role::ALL.iter().find(|role| role.as_str() == word));
    let stations = words(&claims, &rules.stations_claim);
    let scope = if stations.contains(&"*") {
        Scope::All
    } else {
        let known = stations.into_iter().filter_map(|word| StationId::new(word).ok());
        Scope::of(known).map_err(|_| LoginError::Invalid("the token names too many stations"))?
    };
    let principal = Principal::new(actor).with_roles(roles.map(|role| role.as_str())).with_stations(scope);
    Ok((principal, Lease::new(Some(until)).with_assurance(assurance)))
}

/// Until when the token is good, if it is good now.
fn times(claims: &Map<String, Value>, leeway: Duration, now: Timestamp) -> Result<Timestamp, LoginError> {
    let malformed = LoginError::Invalid("the token has a time that is none");
    let time = |name: &str| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => date(value).map(Some).ok_or(malformed),
    };
    let until = time("exp")?.ok_or(LoginError::Invalid("the token does not say when it expires"))?;
    if until.plus(leeway) <= now {
        return Err(LoginError::Invalid("the token has expired"));
    }
    for name in ["nbf", "iat"] {
        if time(name)?.is_some_and(|from| from > now.plus(leeway)) {
            return Err(LoginError::Invalid("the token is not good yet"));
        }
    }
    Ok(until)
}

/// Seconds since 1970, perhaps with a fraction.
fn date(value: &Value) -> Option<Timestamp> {
    let seconds = value.as_f64().filter(|seconds| (0.0..1e12).contains(seconds))?;
    #[allow(clippy::cast_possible_truncation, reason = "it is in the range")]
    Timestamp::from_millis((seconds * 1_000.0) as i64).ok()
}

/// The words of a claim; none where it is of another form.
fn words<'c>(claims: &'c Value, name: &str) -> Vec<&'c str> {
    let claim = if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) };
    match claim {
        Some(Value::String(text)) => text.split_ascii_whitespace().take(WORDS_MAX).collect(),
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).take(WORDS_MAX).collect(),
        _ => Vec::new(),
    }
}

fn assurance(claims: &Map<String, Value>) -> Assurance {
    let methods = claims.get("amr").and_then(Value::as_array).into_iter().flatten();
    let methods = methods.filter_map(Value::as_str).take(METHODS_MAX);
    Assurance {
        class: claims.get("acr").and_then(Value::as_str).map(Arc::from),
        methods: methods.map(Arc::from).collect(),
        at: claims.get("auth_time").and_then(date),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn read_at(claims: Value) -> Result<(Principal, Lease), LoginError> {
        let Value::Object(mut members) = claims else { panic!("{claims}") };
        members.entry("exp").or_insert((NOW + 60).into());
        members.entry("sub").or_insert("ada".into());
        members.retain(|_, value| !value.is_null());
        read(members, &TokenRules::default(), Timestamp::from_millis(NOW * 1_000).unwrap())
    }

    #[test]
    fn roles_and_stations_are_lists_or_words_and_what_is_not_known_is_passed_by() {
        for claims in [
            json!({"roles": ["viewer", "king", 7, "trader"], "stations": ["ceres", "vesta", "no station"]}),
            json!({"roles": "viewer king trader", "stations": " ceres  vesta "}),
        ] {
            let (principal, _) = read_at(claims).unwrap();
            assert_eq!(principal.roles().collect::<Vec<_>>(), ["trader", "viewer"]);
            let stations = ["ceres", "vesta"].map(|id| StationId::new(id).unwrap());
            assert_eq!(*principal.stations(), Scope::of(stations).unwrap());
            assert_eq!(principal.actor().to_string(), "user:ada");
        }
        for stations in [json!("*"), json!(["*"]), json!(["ceres", "*"])] {
            assert_eq!(*read_at(json!({"stations": stations})).unwrap().0.stations(), Scope::All);
        }
        for stations in [json!(null), json!(7), json!([]), json!(""), json!({"*": true}), json!("**")] {
            assert_eq!(*read_at(json!({"stations": stations})).unwrap().0.stations(), Scope::nothing());
        }
        let many: Vec<_> = (0..1_001).map(|n| format!("s-{n}")).collect();
        assert!(read_at(json!({"stations": many})).is_err());
    }

    #[test]
    fn claims_are_found_under_other_names() {
        let rules = TokenRules {
            roles_claim: "/realm_access/roles".into(),
            stations_claim: "https://x.example/stations".into(),
            ..TokenRules::default()
        };
        let claims = json!({"exp": NOW + 9, "sub": "a", "roles": ["admin"],
            "realm_access": {"roles": ["viewer"]}, "https://x.example/stations": "*"});
        let Value::Object(claims) = claims else { panic!() };
        let (principal, _) = read(claims, &rules, Timestamp::from_millis(NOW * 1_000).unwrap()).unwrap();
        assert_eq!(principal.roles().collect::<Vec<_>>(), ["viewer"]);
        assert_eq!(*principal.stations(), Scope::All);
    }

    #[test]
    fn times_are_checked_with_a_little_leeway() {
        for good in [
            json!({"exp": NOW - 4}),
            json!({"exp": NOW as f64 + 0.5}),
            json!({"nbf": NOW + 4, "iat": NOW + 4}),
            json!({"nbf": NOW - 9, "iat": NOW - 9_999_999}),
        ] {
            assert!(read_at(good.clone()).is_ok(), "{good}");
        }
        for bad in [
            json!({"exp": null}),
            json!({"exp": NOW - 5}),
            json!({"exp": "2100-01-01"}),
            json!({"exp": (NOW + 60).to_string()}),
            json!({"exp": 1e300}),
            json!({"exp": -1}),
            json!({"exp": [NOW + 60]}),
            json!({"nbf": NOW + 6}),
            json!({"nbf": "soon"}),
            json!({"iat": NOW + 6}),
        ] {
            assert!(read_at(bad.clone()).is_err(), "{bad}");
        }
        let (_, lease) = read_at(json!({"exp": NOW - 4})).unwrap();
        assert_eq!(lease.until().unwrap().millis(), (NOW - 4) * 1_000);
    }

    #[test]
    fn a_user_has_a_name_of_text() {
        for bad in [json!(null), json!(7), json!(""), json!("a\nb"), json!("x".repeat(256)), json!(["ada"])] {
            assert!(read_at(json!({"sub": bad})).is_err(), "{bad}");
        }
        assert!(read_at(json!({"sub": "x".repeat(255)})).is_ok());
    }

    #[test]
    fn how_a_user_has_logged_in_is_kept() {
        let claims = json!({"acr": "phr", "amr": ["pwd", "otp"], "auth_time": NOW - 60});
        let (_, lease) = read_at(claims).unwrap();
        let Assurance { class, methods, at } = lease.assurance();
        assert_eq!(class.as_deref(), Some("phr"));
        assert_eq!(methods.iter().map(|method| &**method).collect::<Vec<_>>(), ["pwd", "otp"]);
        assert_eq!(at.unwrap().millis(), (NOW - 60) * 1_000);
    }
}
