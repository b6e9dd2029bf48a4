//! `/keys`: who gets in, for those who may manage it.

use crate::app::App;
use crate::body::Received;
use crate::call::Call;
use crate::cursor::{KeyCursor, Paging};
use crate::fields::{Node, Value};
use crate::input::Input;
use crate::operation::{Operation, of_read};
use crate::page::{Next, PageOf, Rows};
use crate::problem::{FieldFault, Problem};
use crate::query::{Asked, Id, IdBeforeEnd, Limit, Parameter, parameters};
use crate::reply::{self, Reply};
use crate::value::{List, body};
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::json;
use std::borrow::Cow;
use std::time::Duration;
use trade_core::access::{ApiKey, ApiKeys, KeyError, KeyId, NewKey, Right, Role, StationRoles, Token};
use trade_core::values::{InvalidValue, Label, Scope, StationId, StationSet, Timestamp};

/// The operations on API keys.
pub(super) fn operations() -> Vec<Operation> {
    const TAG: &str = "keys";
    let create = Operation::new(TAG, "Makes an API key, whose token is told this once", create)
        .at(Method::POST, "/api/keys", "createKey")
        .answers::<KeyWithToken>(StatusCode::CREATED, "The key and its token.", &["Location"])
        .refuses(&["malformed-json", "unsupported-media-type", "body-too-large", "request-timeout"]);
    let list = Operation::new(TAG, "API keys, by id; the revoked and the expired ones too", list)
        .at(Method::GET, "/api/keys", "listKeys")
        .answers::<PageOf<ApiKey>>(StatusCode::OK, "A page of them.", &[]);
    let one = Operation::new(TAG, "One API key", one)
        .at(Method::GET, "/api/keys/{keyId}", "getKey")
        .answers::<OneKey>(StatusCode::OK, "The key.", &[])
        .refuses(&["key-not-found"]);
    let revoke = Operation::new(TAG, "Revokes an API key, for ever", revoke)
        .at(Method::POST, "/api/keys/{keyId}/revoke", "revokeKey")
        .answers::<OneKey>(StatusCode::OK, "The key.", &[])
        .refuses(&["key-not-found"]);
    let rotate = Operation::new(TAG, "Gives an API key another token, which is told this once", rotate)
        .at(Method::POST, "/api/keys/{keyId}/rotate", "rotateKey")
        .answers::<KeyWithToken>(StatusCode::OK, "The key and its token.", &[])
        .refuses(&["key-not-found", "key-revoked"]);
    let all = [create, list, one, revoke, rotate];
    all.map(|operation| of_read(operation).refuses(&["forbidden", "not-found"])).into()
}

/// A key.
#[derive(Serialize, JsonSchema)]
struct OneKey {
    /// The key.
    key: ApiKey,
}

/// A key, with the token that lets in whoever has it.
#[derive(Serialize, JsonSchema)]
struct KeyWithToken {
    /// The key.
    key: ApiKey,
    /// Its token: it is stored nowhere, and told this once.
    #[schemars(regex(pattern = r"^tn_[a-z0-9]{12}_[0-9a-f]{72}$"), example = format!("tn_a1b2c3d4e5f6_{}", "0".repeat(72)))]
    token: String,
}

body! {
    /// An API key to be made.
    #[schemars(example = json!({ "name": "night shift", "roles": ["trader", "viewer"], "stations": ["ceres"] }))]
    pub(crate) struct KeyToMake("keys") {
        /// What people call it.
        "name" => name: Option<Label>,
        /// What it may do.
        "roles" => roles: List<Role, 1, { Role::ALL.len() }>,
        /// Where: stations, or `*` alone, which is all of them.
        "stations" => stations: Stations,
        /// From when on it is refused.
        "expiresAt" => expires_at: Option<Timestamp>,
    }
}

/// The stations of a key.
#[derive(Debug)]
pub(crate) struct Stations(Scope);

impl Value for Stations {
    fn read(node: Node<'_>) -> Option<Self> {
        let names = node.list((1, StationSet::COUNT_MAX, "stations"), |_, node| match node.string()? {
            "*" => Some(None),
            _ => StationId::read(node).map(Some),
        })?;
        let scope = match &names[..] {
            [None] => Ok(Scope::All),
            names if names.contains(&None) => Err(InvalidValue::new("must hold * alone, or stations")),
            names => Scope::of(names.iter().flatten().cloned()),
        };
        match scope {
            Ok(scope) => Some(Self(scope)),
            Err(InvalidValue(detail)) => node.fault(detail),
        }
    }
}

impl JsonSchema for Stations {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Stations".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let one = schemas.subschema_for::<StationId>();
        json_schema!({ "oneOf": [
            { "type": "array", "items": { "const": "*" }, "minItems": 1, "maxItems": 1 },
            { "type": "array", "items": one, "minItems": 1, "maxItems": StationSet::COUNT_MAX },
        ] })
    }
}

parameters! {
    /// Which key.
    pub(crate) struct WhichKey {
        /// The key.
        "keyId" => id: Id<KeyId>,
    }

    /// Which key, and no more.
    pub(crate) struct KeyBeforeEnd {
        /// The key.
        "keyId" => id: IdBeforeEnd<KeyId>,
    }

    /// How a key is rotated.
    pub(crate) struct Rotation {
        /// The key.
        "keyId" => id: IdBeforeEnd<KeyId>,
        /// For so many seconds the token of before is taken still.
        "graceSeconds" => grace: Grace,
    }

    /// Which page of the keys.
    pub(crate) struct KeyList {
        /// The most keys of the page.
        "limit" => limit: Limit<500, 50>,
        /// The `nextCursor` of the page before.
        "cursor" => paging: Paging<KeyCursor>,
    }
}

/// How long the token of before is taken: a day where it is absent.
#[derive(Debug)]
pub(crate) struct Grace(Duration);

impl Grace {
    const SECONDS: usize = 24 * 60 * 60;
    const SECONDS_MAX: usize = 366 * Self::SECONDS;
}

impl Parameter for Grace {
    fn read(input: &Input<'_>, name: &str) -> Option<Self> {
        let seconds = input.integer_within(name, 0..=Self::SECONDS_MAX).unwrap_or(Self::SECONDS);
        Some(Self(Duration::from_secs(u64::try_from(seconds).ok()?)))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": Self::SECONDS_MAX, "default": Self::SECONDS })
    }
}

/// The keys of the store, where access is by those, for who may manage them.
fn keys<'a>(app: &'a App, call: &Call) -> Result<&'a ApiKeys, Problem> {
    let keys = app.options.access.as_ref().and_then(|access| access.api_keys());
    let keys = keys.ok_or_else(|| Problem::new("not-found", "this server asks nobody for API keys"))?;
    if StationRoles::default().may(&call.principal, Right::ManageKeys) {
        Ok(keys)
    } else {
        Err(Problem::new("forbidden", "API keys are for the role admin"))
    }
}

async fn create(State(app): State<App>, received: Received<(), KeyToMake>) -> Reply {
    let KeyToMake { name, roles, stations, expires_at } = received.command(|(), body, _| Some(body))?.command;
    let (keys, now) = (keys(&app, &received.call)?, app.clock.now());
    if expires_at.is_some_and(|end| end <= now) {
        let fault = FieldFault { field: "expiresAt".into(), detail: "must be later than now".into() };
        return Err(Problem::invalid(vec![fault], 1));
    }
    let mut new = NewKey::new(roles.0, stations.0);
    (new.name, new.expires_at) = (name, expires_at);
    let (key, token) = keys.create(new, now).await?;
    tracing::info!(key = %key.id, by = %received.call.principal.actor(), "an API key was made");
    let id = key.id.clone();
    reply::located(told_once(StatusCode::CREATED, key, &token), &received.call, &id)
}

async fn list(State(app): State<App>, asked: Asked<KeyList>) -> Reply {
    let KeyList { limit: Limit(limit), paging } = asked.parameters;
    let after = paging.from.as_ref().map(|KeyCursor(id)| id);
    let mut found = keys(&app, &asked.call)?.list(after, limit + 1).await?;
    let is_last = found.len() <= limit;
    found.truncate(limit);
    let mut rows = Rows::of::<ApiKey>();
    let fitting = rows.add(&found)?;
    let is_last = is_last && fitting == found.len();
    found.truncate(rows.count());
    let end = found.last().filter(|_| !is_last).map(|key| KeyCursor(key.id.clone()));
    rows.reply(&Next::after(end.map(|end| paging.next(&end))))
}

async fn one(State(app): State<App>, asked: Asked<WhichKey>) -> Reply {
    let Id(id) = asked.parameters.id;
    let key = keys(&app, &asked.call)?.get(&id).await?.ok_or(KeyError::NotFound(id))?;
    reply::json(StatusCode::OK, &OneKey { key })
}

async fn revoke(State(app): State<App>, asked: Asked<KeyBeforeEnd>) -> Reply {
    let IdBeforeEnd(id) = asked.parameters.id;
    let key = keys(&app, &asked.call)?.revoke(&id, app.clock.now()).await?;
    tracing::info!(key = %key.id, by = %asked.call.principal.actor(), "an API key was revoked");
    reply::json(StatusCode::OK, &OneKey { key })
}

async fn rotate(State(app): State<App>, asked: Asked<Rotation>) -> Reply {
    let Rotation { id: IdBeforeEnd(id), grace: Grace(grace) } = asked.parameters;
    let (key, token) = keys(&app, &asked.call)?.rotate(&id, grace, app.clock.now()).await?;
    tracing::info!(key = %key.id, by = %asked.call.principal.actor(), "an API key was rotated");
    told_once(StatusCode::OK, key, &token)
}

/// No cache keeps a token.
fn told_once(status: StatusCode, key: ApiKey, token: &Token) -> Reply {
    let mut response = reply::json(status, &KeyWithToken { key, token: token.reveal().into() })?;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
