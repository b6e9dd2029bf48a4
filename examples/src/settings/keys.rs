//! The arguments of `keys`: what is to be done to which key.

use lexopt::Parser;
use lexopt::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;
use trade_core::access::{KeyId, Role};
use trade_core::values::{InvalidValue, Label, Scope, StationId, Timestamp};

/// How long the token of before is taken after a rotation, where nothing else is said.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeysCommand {
    /// Make a key.
    Create { roles: BTreeSet<Role>, stations: Scope, name: Option<Label>, expires: Option<Expiry> },
    /// Show the keys.
    List { json: bool },
    /// Let nobody in any more who has this key.
    Revoke(KeyId),
    /// Give a key a new token.
    Rotate { id: KeyId, grace: Duration },
}

/// When a key ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// At this time.
    At(Timestamp),
    /// So long after it was made.
    After(Duration),
}

/// What stands behind the word `keys`.
#[derive(Debug)]
pub(crate) struct Given {
    /// None where help is asked for.
    pub(crate) command: Option<KeysCommand>,
    /// The address of the store, if it is there.
    pub(crate) store: Option<String>,
}

/// The options as they were given, each at most once.
#[derive(Debug, Default)]
struct Options {
    given: Vec<(&'static str, String)>,
    json: bool,
}

impl Options {
    fn take(&mut self, flag: &str) -> Option<String> {
        let place = self.given.iter().position(|(name, _)| *name == flag)?;
        Some(self.given.swap_remove(place).1)
    }

    fn needed(&mut self, flag: &str, example: &str) -> Result<String, String> {
        self.take(flag).ok_or_else(|| format!("keys create needs {flag}, such as {flag} {example}"))
    }
}

const FLAGS: [&str; 6] = ["--role", "--station", "--name", "--expires", "--grace", "--store"];

/// Reads the arguments that are left.
///
/// # Errors
/// One line that says what is wrong.
pub(crate) fn read(parser: &mut Parser) -> Result<Given, String> {
    let line = |error: lexopt::Error| error.to_string();
    let (mut words, mut options) = (Vec::new(), Options::default());
    while let Some(argument) = parser.next().map_err(line)? {
        match argument {
            Short('h') | Long("help") => return Ok(Given { command: None, store: None }),
            Long("json") => options.json = true,
            Long(name) => {
                let flag = FLAGS.into_iter().find(|flag| flag.strip_prefix("--") == Some(name));
                let flag = flag.ok_or_else(|| format!("--{name} is no option of keys; see --help"))?;
                let value = parser.value().map_err(line)?.string().map_err(line)?;
                if options.take(flag).is_some() {
                    return Err(format!("{flag} is given twice"));
                }
                options.given.push((flag, value));
            }
            Value(word) => words.push(word.string().map_err(line)?),
            other @ Short(_) => return Err(format!("{}; see --help", other.unexpected())),
        }
    }
    let store = options.take("--store");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let command = match *words {
        ["help", ..] | [_, "help"] => return Ok(Given { command: None, store }),
        ["create"] => create(&mut options)?,
        ["list"] => KeysCommand::List { json: std::mem::take(&mut options.json) },
        ["revoke", id] => KeysCommand::Revoke(key_id(id)?),
        ["rotate", id] => rotate(id, &mut options)?,
        ["revoke" | "rotate"] => {
            return Err(format!("keys {} needs the ID of a key; see keys list", words[0]));
        }
        [] => return Err("keys needs one of create, list, revoke and rotate; see --help".into()),
        _ => {
            // A key that was pasted is not repeated.
            let shown = words.iter().map(|word| if word.contains("tn_") { "tn_…" } else { word });
            return Err(format!("unknown: keys {}; see --help", shown.collect::<Vec<_>>().join(" ")));
        }
    };
    let unused = options.given.first().map(|(flag, _)| *flag).or(options.json.then_some("--json"));
    match unused {
        Some(flag) => Err(format!("{flag} is no option of keys {}; see --help", words[0])),
        None => Ok(Given { command: Some(command), store }),
    }
}

fn create(options: &mut Options) -> Result<KeysCommand, String> {
    let roles = options.needed("--role", "viewer")?;
    let stations = options.needed("--station", "'*'")?;
    let refused = |flag: &str, text: &str, error: InvalidValue| format!("{flag} {text:?}: {error}");
    let name = options
        .take("--name")
        .map(|text| Label::new(text.as_str()).map_err(|error| refused("--name", &text, error)));
    let expires = options.take("--expires").map(|text| expiry(&text));
    Ok(KeysCommand::Create {
        roles: listed("--role", &roles, |role| Role::try_from(role).map_err(|error| error.to_string()))?,
        stations: match stations.as_str() {
            "*" => Scope::All,
            some => {
                let ids =
                    listed("--station", some, |id| StationId::new(id).map_err(|error| error.to_string()))?;
                Scope::of(ids).map_err(|error| format!("--station: {error}"))?
            }
        },
        name: name.transpose()?,
        expires: expires.transpose()?,
    })
}

fn rotate(id: &str, options: &mut Options) -> Result<KeysCommand, String> {
    let grace = options.take("--grace").map(|text| {
        duration(&text).ok_or_else(|| format!("--grace {text:?}: must be a time such as 24h, 30m or 0s"))
    });
    Ok(KeysCommand::Rotate { id: key_id(id)?, grace: grace.transpose()?.unwrap_or(GRACE) })
}

/// An id, which is not repeated where it is none: it may be a token.
fn key_id(text: &str) -> Result<KeyId, String> {
    KeyId::new(text).map_err(|error| format!("the ID of the key {error}; see keys list"))
}

/// What stands between commas, each of which must be something.
fn listed<T: Ord>(
    flag: &str,
    text: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<BTreeSet<T>, String> {
    let each =
        text.split(',').map(|part| read(part.trim()).map_err(|error| format!("{flag} {part:?}: {error}")));
    each.collect()
}

fn expiry(text: &str) -> Result<Expiry, String> {
    let at = || Timestamp::try_from(text).ok().map(Expiry::At);
    let expected = "must be a time such as 2027-01-31T00:00:00Z, or how long from now, such as 90d or 12h";
    duration(text).map(Expiry::After).or_else(at).ok_or_else(|| format!("--expires {text:?}: {expected}"))
}

/// A whole number of seconds, minutes, hours, days or weeks.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return None,
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_number)?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(arguments: &[&str]) -> Result<Given, String> {
        read(&mut Parser::from_args(arguments))
    }

    fn command(arguments: &[&str]) -> KeysCommand {
        given(arguments).unwrap().command.unwrap()
    }

    #[test]
    fn a_key_is_described_by_roles_stations_name_and_end() {
        let stations = Scope::of(["ceres".try_into().unwrap(), "vesta".try_into().unwrap()]).unwrap();
        let described = command(&[
            "create",
            "--role=viewer,trader",
            "--station",
            "vesta, ceres",
            "--name",
            "night shift",
            "--expires",
            "90d",
        ]);
        let expected = KeysCommand::Create {
            roles: [Role::Viewer, Role::Trader].into(),
            stations,
            name: Some("night shift".try_into().unwrap()),
            expires: Some(Expiry::After(Duration::from_secs(90 * 86_400))),
        };
        assert_eq!(described, expected);
        let at = ["--role", "admin", "create", "--station", "*", "--expires", "2027-01-31T01:00:00+01:00"];
        let expected = KeysCommand::Create {
            roles: [Role::Admin].into(),
            stations: Scope::All,
            name: None,
            expires: Some(Expiry::At("2027-01-31T00:00:00Z".try_into().unwrap())),
        };
        assert_eq!(command(&at), expected);
    }

    #[test]
    fn a_key_is_named_by_its_id() {
        let id = KeyId::new("a1b2c3d4e5f6").unwrap();
        assert_eq!(command(&["revoke", "a1b2c3d4e5f6"]), KeysCommand::Revoke(id.clone()));
        let rotated = command(&["rotate", "a1b2c3d4e5f6"]);
        assert_eq!(rotated, KeysCommand::Rotate { id: id.clone(), grace: GRACE });
        let rotated = command(&["rotate", "--grace", "0s", "a1b2c3d4e5f6"]);
        assert_eq!(rotated, KeysCommand::Rotate { id, grace: Duration::ZERO });
        assert_eq!(command(&["list"]), KeysCommand::List { json: false });
        let given = given(&["list", "--json", "--store", "memory:"]).unwrap();
        assert_eq!(given.command, Some(KeysCommand::List { json: true }));
        assert_eq!(given.store.as_deref(), Some("memory:"));
    }

    #[test]
    fn what_is_wrong_is_one_line_that_names_it() {
        for (arguments, named) in [
            (&[][..], "create, list, revoke and rotate"),
            (&["make"], "keys make"),
            (&["list", "all"], "keys list all"),
            (&["create", "--station", "*"], "--role"),
            (&["create", "--role", "viewer"], "--station"),
            (&["create", "--role", "king", "--station", "*"], "king"),
            (&["create", "--role", "viewer,", "--station", "*"], "--role"),
            (&["create", "--role", "viewer", "--station", "a b"], "--station"),
            (&["create", "--role", "viewer", "--station", ""], "--station"),
            (&["create", "--role", "viewer", "--station", "*,ceres"], "--station"),
            (&["create", "--role", "viewer", "--station", "*", "--name", ""], "--name"),
            (&["create", "--role", "viewer", "--station", "*", "--expires", "soon"], "--expires"),
            (&["create", "--role", "viewer", "--station", "*", "--expires", "+1d"], "--expires"),
            (&["create", "--role", "viewer", "--station", "*", "--grace", "1d"], "--grace"),
            (&["create", "--role", "viewer", "--role", "admin", "--station", "*"], "twice"),
            (&["create", "--role", "viewer", "--station", "*", "--json"], "--json"),
            (&["list", "--name", "x"], "--name is no option of keys list"),
            (&["list", "--listen", "x"], "--listen"),
            (&["list", "-x"], "-x"),
            (&["revoke"], "ID"),
            (&["rotate"], "ID"),
            (&["rotate", "a1b2c3d4e5f6", "--grace", "1"], "--grace"),
            (&["rotate", "a1b2c3d4e5f6", "--grace", "99999999999999999999w"], "--grace"),
            (&["revoke", "tn_a1b2c3d4e5f6_00"], "12 characters"),
        ] {
            let line = given(arguments).unwrap_err();
            assert!(line.contains(named) && !line.contains('\n'), "{arguments:?}: {line}");
        }
        const PASTED: &str = "tn_a1b2c3d4e5f6_00";
        for arguments in
            [&["revoke", PASTED][..], &[PASTED], &["revoke", PASTED, "extra"], &["create", PASTED]]
        {
            let line = given(arguments).unwrap_err();
            assert!(!line.contains("a1b2"), "{arguments:?}: {line}");
        }
        for help in [&["--help"][..], &["help"], &["create", "--help"], &["create", "help"]] {
            assert_eq!(given(help).unwrap().command, None, "{help:?}");
        }
    }
}
