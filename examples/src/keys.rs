//! `keys`: API keys, made, shown, revoked and rotated. A server that runs on the same store goes on meanwhile.

use crate::settings::keys::{Expiry, KeysCommand};
use crate::{Ended, Failure, open};
use serde_json::json;
use std::io::{self, Write};
use std::time::Duration;
use trade_core::access::{ApiKey, ApiKeys, KeyError, KeyId, NewKey, Token};
use trade_core::clock::{Clock, SystemClock};
use trade_core::store::Access;
use trade_core::values::{Label, Scope, Timestamp};
use trade_network::store::{StoreOptions, causes};

/// Keys that are read at once.
const PAGE: usize = 500;
/// Stations that are shown in a line.
const STATIONS_SHOWN: usize = 5;

/// Does it.
pub(crate) async fn run(url: String, command: KeysCommand) -> Ended {
    if url == "memory:" {
        return Err(Failure::Usage(
            "memory: holds nothing once its process has ended; name another --store".into(),
        ));
    }
    // The first key may come before the first server.
    let access = match command {
        KeysCommand::Create { .. } => Access::Migrate,
        KeysCommand::List { .. } => Access::ReadOnly,
        KeysCommand::Revoke(_) | KeysCommand::Rotate { .. } => Access::Existing,
    };
    let opened = open(&url, access, &StoreOptions::default()).await?;
    let ended = done(&ApiKeys::new(opened.keys()), command).await;
    opened.close().await;
    ended
}

async fn done(keys: &ApiKeys, command: KeysCommand) -> Ended {
    let now = SystemClock::new().now();
    match command {
        KeysCommand::Create { roles, stations, name, expires } => {
            let mut new = NewKey::new(roles, stations);
            new.name = name;
            new.expires_at = expires.map(|expiry| match expiry {
                Expiry::At(time) => time,
                Expiry::After(duration) => now.plus(duration),
            });
            let (key, token) = keys.create(new, now).await.map_err(failed)?;
            show(&key, &token)
        }
        KeysCommand::List { json } => list(keys, json).await,
        KeysCommand::Revoke(id) => revoke(keys, &id, now).await,
        KeysCommand::Rotate { id, grace } => rotate(keys, &id, grace, now).await,
    }
}

fn failed(error: KeyError) -> Failure {
    match error {
        KeyError::Invalid(error) => Failure::Usage(error.to_string()),
        KeyError::Store(error) => {
            Failure::Failed(format!("the keys cannot be read or stored: {}", causes(&error)))
        }
        error => Failure::Failed(error.to_string()),
    }
}

/// Prints a token, and nothing else, on standard output. It is shown this once: so whoever does not get it is told.
fn show(key: &ApiKey, token: &Token) -> Ended {
    print(token.reveal()).map_err(|error| {
        Failure::Failed(format!(
            "the key {} was stored, but could not be shown ({error}): revoke or rotate it",
            key.id
        ))
    })?;
    note(&format!("this is the key {}; it is shown this once, and cannot be read again", key.id));
    Ok(())
}

async fn revoke(keys: &ApiKeys, id: &KeyId, now: Timestamp) -> Ended {
    let key = keys.revoke(id, now).await.map_err(failed)?;
    let since = key.revoked_at.unwrap_or(now);
    note(&format!("the key {id} is revoked since {since}"));
    Ok(())
}

async fn rotate(keys: &ApiKeys, id: &KeyId, grace: Duration, now: Timestamp) -> Ended {
    let (key, token) = keys.rotate(id, grace, now).await.map_err(failed)?;
    show(&key, &token)?;
    note(&format!("the one before is taken until {}", now.plus(grace)));
    Ok(())
}

async fn list(keys: &ApiKeys, json: bool) -> Ended {
    let mut all = Vec::new();
    loop {
        let after = all.last().map(|key: &ApiKey| key.id.clone());
        let page = keys.list(after.as_ref(), PAGE).await.map_err(failed)?;
        let is_last = page.len() < PAGE;
        all.extend(page);
        if is_last {
            break;
        }
    }
    let text = if json { json!(all).to_string() } else { table(&all) };
    // A reader that went away is no reason to fail.
    let _ = print(&text);
    Ok(())
}

/// A line a key, in columns.
fn table(keys: &[ApiKey]) -> String {
    let head = ["ID", "ROLES", "STATIONS", "CREATED", "EXPIRES", "REVOKED", "LAST USED", "NAME"];
    let rows = std::iter::once(head.map(str::to_owned)).chain(keys.iter().map(row)).collect::<Vec<_>>();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(key: &ApiKey) -> [String; 8] {
    let time = |time: Option<Timestamp>| time.map_or_else(|| "-".into(), |time| time.to_string());
    let roles: Vec<_> = key.roles.iter().map(|role| role.as_str()).collect();
    [
        key.id.to_string(),
        roles.join(","),
        stations(&key.stations),
        key.created_at.to_string(),
        time(key.expires_at),
        time(key.revoked_at),
        time(key.last_used_at),
        key.name.as_ref().map_or("", Label::as_str).to_owned(),
    ]
}

fn stations(scope: &Scope) -> String {
    let Some(set) = scope.set() else { return "*".into() };
    let all = set.as_slice();
    let shown: Vec<_> = all.iter().take(STATIONS_SHOWN).map(|station| station.as_str()).collect();
    match all.len().saturating_sub(shown.len()) {
        0 if shown.is_empty() => "-".into(),
        0 => shown.join(","),
        more => format!("{} and {more} more", shown.join(",")),
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Tells a person something on standard error.
fn note(line: &str) {
    // There is nobody left to tell where it is closed.
    let _ = writeln!(io::stderr(), "{line}");
}
