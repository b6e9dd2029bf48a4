//! What the server is told: flag, then environment variable, then default.

use keys::KeysCommand;
use setting::{Setting, Value};
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use trade_http::access::TokenRules;
use trade_http::{CorsOrigins, RateLimit, TrustedProxies};
use trade_network::store::{StoreOptions, names_no_server, why_no_replica};
use values::{
    address, addresses, allowed_hosts, cors_origins, filter, format_of, listed, number, rate_limit,
    trusted_proxies,
};

mod access;
pub(crate) mod keys;
mod setting;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use access::{Access, Issuer, Jwks, Required};
pub(crate) use values::LogFormat;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
A network of stations that trade: REST and Server-Sent Events over one store.

usage: trade-network [OPTIONS]                 serves until SIGTERM or Ctrl-C; a second one ends it at once
       trade-network verify [--store URL]      proves that the log and the tables agree; only reads
       trade-network clock [--store URL] [--into URL]
                                               tells whether the newest step is dated ahead of the clock; with --into it
                                               copies the network to an empty store, and dates nothing later than now
       trade-network keys create --role ROLE[,ROLE] --station STATION[,STATION]|'*' [--name NAME] [--expires WHEN]
                                               makes an API key and prints it, this once (roles: viewer, trader, carrier,
                                               stockkeeper, auditor, admin; WHEN: 90d, 12h, or 2027-01-31T00:00:00Z)
       trade-network keys list [--json]        shows the keys, without what would let anybody in
       trade-network keys revoke ID            lets nobody in any more who has this key
       trade-network keys rotate ID [--grace 24h]
                                               gives the key another text and prints it; the one before is taken as long
                                               still; each of the four takes --store URL
       trade-network import-legacy --from mongodb://user:password@host/database [--store URL] [--report FILE]
                                               takes over the collections trades, cargos and inventories of an older
                                               network, from which it only reads, and prints what was odd

options (flag, else environment variable, else default):
  --listen ADDRESS    TRADE_LISTEN      127.0.0.1:8080 (port 0 picks a free one)
  --store URL         TRADE_STORE       sqlite://trade-network.db (or postgres://user:password@host/database,
                                        mysql://user:password@host/database, memory:,
                                        mongodb://user:password@host,host/database?replicaSet=NAME)
  --store-read URL    TRADE_STORE_READ  no other (or a replica of postgres:// or mysql:// that lists are read from)
  --store-read-lag SECONDS              10 (how far that replica may be behind; TRADE_STORE_READ_LAG)
  --store-connections COUNT             8 (that read; TRADE_STORE_CONNECTIONS; for stores of a server)
  --store-poll MILLISECONDS             100 (how often to look for what other servers wrote; TRADE_STORE_POLL; as above)
  --tls-cert FILE     TRADE_TLS_CERT    no TLS (or a certificate with its chain, in PEM; read again when it changes, and on
                                        SIGHUP)
  --tls-key FILE      TRADE_TLS_KEY     no TLS (or its private key, in PEM)
  --log FILTER        TRADE_LOG         info (such as warn or info,trade_core=debug)
  --log-format FORM   TRADE_LOG_FORMAT  pretty (or json)
  --auth MODE         TRADE_AUTH        auto: off where only this machine reaches the server, else required (or required,
                                        off); where it is required each request needs an API key (see keys) or a token
  --jwks FILE|URL     TRADE_JWKS        no tokens (or the keys of an issuer of tokens, JWKS, in a file or at an https URL)
  --jwt-issuer NAME[,NAME]              any (what iss must be; TRADE_JWT_ISSUER)
  --jwt-audience NAME[,NAME]            any (what aud must have one of; TRADE_JWT_AUDIENCE)
  --jwt-roles-claim NAME                roles (the claim of the user's roles, or a JSON pointer; TRADE_JWT_ROLES_CLAIM)
  --jwt-stations-claim NAME             stations (that of their stations; TRADE_JWT_STATIONS_CLAIM)
  --buyers-may-initiate                 no (traders may buy, too; TRADE_BUYERS_MAY_INITIATE=true)
  --allowed-host NAME[,NAME]            names of this machine only (with access off, others that clients may call the
                                        server by, such as a proxy's; TRADE_ALLOWED_HOST)
  --cors-origin ORIGIN[,ORIGIN]|*       none (whose pages may call the server from a browser, such as
                                        https://app.example.com; with * any page may; TRADE_CORS_ORIGIN)
  --connections-max COUNT               20000 (open connections; TRADE_CONNECTIONS_MAX)
  --streams-max COUNT                   10000 (open streams of events; TRADE_STREAMS_MAX)
  --rate-limit N[/BURST]|off            200/400, off where access control is (requests of a caller: so many a second, and so
                                        many at once; TRADE_RATE_LIMIT)
  --trusted-proxy ADDRESS[,ADDRESS]     none (proxies or networks of them whose X-Forwarded-For is believed, such as
                                        10.0.0.0/8; TRADE_TRUSTED_PROXY)
  --from URL          TRADE_IMPORT_FROM    (of import-legacy: the database that is taken over)
  --report FILE       TRADE_IMPORT_REPORT  (of import-legacy: where every line of its report goes)
  --into URL          TRADE_CLOCK_INTO     (of clock: the store that is copied into)
  -h, --help
  -V, --version

exit codes: 0 done, 1 failed (a store that cannot be opened, does not agree, or is dated ahead; most of a collection that
cannot be taken over), 2 bad usage
";

/// What the program is to do.
#[derive(Debug)]
pub(crate) enum Task {
    /// Serve.
    Serve(Box<Settings>),
    /// Check the store at this address.
    Verify { store: String },
    /// Compare the clock with the store at this address, and copy that into another one if need be.
    Clock { store: String, into: Option<String> },
    /// Do something with the API keys in the store at this address.
    Keys { store: String, command: KeysCommand },
    /// Take over an older network's database.
    Import(Box<Import>),
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
}

/// How the server works.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) access: Access,
    pub(crate) cors: CorsOrigins,
    pub(crate) bounds: Bounds,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) store: String,
    pub(crate) store_options: StoreOptions,
    pub(crate) log: EnvFilter,
    pub(crate) log_format: LogFormat,
}

/// What to take over, and where to.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "mongodb"),
    allow(dead_code, reason = "nothing is taken over by a build without MongoDB")
)]
pub(crate) struct Import {
    /// The source's address.
    pub(crate) from: String,
    /// The target's.
    pub(crate) store: String,
    /// The file that every line of the report goes to.
    pub(crate) report: Option<String>,
}

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// How much may be open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) connections: usize,
    pub(crate) streams: usize,
}

impl Bounds {
    /// Files and connections that are not a client's: the store's, the listener, and those that are turned away.
    const RESERVED: usize = 112;

    /// The same, where a process may open so many files and connections. Streams leave a tenth of the connections to
    /// those who come for something else.
    pub(crate) fn within(self, descriptors: usize) -> Self {
        let room = descriptors.saturating_sub(Self::RESERVED).max(1);
        let connections = self.connections.min(room);
        // What few clients would notice is no news.
        if connections < self.connections / 2 {
            tracing::warn!(
                descriptors,
                connections,
                "the system allows for fewer open connections than are asked for"
            );
        }
        Self { connections, streams: self.streams.min(connections - connections / 10) }
    }
}

/// Reads the arguments (without the program's name) and the environment.
///
/// # Errors
/// One line that says what is wrong.
pub(crate) fn read(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Task, String> {
    use lexopt::prelude::*;
    let mut settings = [
        Setting::new("--listen", "TRADE_LISTEN", "127.0.0.1:8080"),
        Setting::new("--store", "TRADE_STORE", "sqlite://trade-network.db"),
        Setting::new("--log", "TRADE_LOG", "info"),
        Setting::new("--log-format", "TRADE_LOG_FORMAT", "pretty"),
        Setting::new("--auth", "TRADE_AUTH", "auto"),
        Setting::new("--allowed-host", "TRADE_ALLOWED_HOST", ""),
        Setting::new("--cors-origin", "TRADE_CORS_ORIGIN", ""),
        Setting::new("--connections-max", "TRADE_CONNECTIONS_MAX", "20000"),
        Setting::new("--streams-max", "TRADE_STREAMS_MAX", "10000"),
        Setting::new("--rate-limit", "TRADE_RATE_LIMIT", ""),
        Setting::new("--trusted-proxy", "TRADE_TRUSTED_PROXY", ""),
        Setting::new("--tls-cert", "TRADE_TLS_CERT", ""),
        Setting::new("--tls-key", "TRADE_TLS_KEY", ""),
        Setting::new("--store-read", "TRADE_STORE_READ", ""),
        Setting::new("--store-read-lag", "TRADE_STORE_READ_LAG", "10"),
        Setting::new("--store-connections", "TRADE_STORE_CONNECTIONS", "8"),
        Setting::new("--store-poll", "TRADE_STORE_POLL", "100"),
    ];
    let mut logins = [
        Setting::new("--jwks", "TRADE_JWKS", ""),
        Setting::new("--jwt-issuer", "TRADE_JWT_ISSUER", ""),
        Setting::new("--jwt-audience", "TRADE_JWT_AUDIENCE", ""),
        Setting::new("--jwt-roles-claim", "TRADE_JWT_ROLES_CLAIM", "roles"),
        Setting::new("--jwt-stations-claim", "TRADE_JWT_STATIONS_CLAIM", "stations"),
        Setting::switch("--buyers-may-initiate", "TRADE_BUYERS_MAY_INITIATE"),
    ];
    let mut others = [
        Setting::new("--from", "TRADE_IMPORT_FROM", "").only_for("import-legacy"),
        Setting::new("--report", "TRADE_IMPORT_REPORT", "").only_for("import-legacy"),
        Setting::new("--into", "TRADE_CLOCK_INTO", "").only_for("clock"),
    ];
    let mut subcommand: Option<String> = None;
    let mut of_keys = None;
    let mut parser = lexopt::Parser::from_args(arguments);
    let line = |error: lexopt::Error| error.to_string();
    while let Some(argument) = parser.next().map_err(line)? {
        match argument {
            Short('h') | Long("help") => return Ok(Task::Help),
            Short('V') | Long("version") => return Ok(Task::Version),
            Long(name) => {
                let mut all = settings.iter_mut().chain(&mut logins).chain(&mut others);
                let known = all.find(|setting| setting.flag.strip_prefix("--") == Some(name));
                let setting = known.ok_or_else(|| format!("unknown option --{name}; see --help"))?;
                setting.given = Some(match setting.is_switch {
                    true => "true".into(),
                    false => parser.value().map_err(line)?.string().map_err(line)?,
                });
            }
            Value(word) if subcommand.as_deref().is_some_and(|first| is_for_help(first, &word)) => {
                return Ok(Task::Help);
            }
            Value(word) if subcommand.is_none() => {
                let word = word.string().map_err(line)?;
                if word == "keys" {
                    // What follows is none of the others'.
                    let given = keys::read(&mut parser)?;
                    let Some(command) = given.command else { return Ok(Task::Help) };
                    of_keys = Some(command);
                    let store = settings.iter_mut().find(|setting| setting.flag == "--store");
                    store
                        .into_iter()
                        .for_each(|store| store.given = given.store.clone().or(store.given.take()));
                }
                subcommand = Some(word);
            }
            other => return Err(format!("{}; see --help", other.unexpected())),
        }
    }
    for given in settings.iter().chain(&logins).chain(&others).filter(|setting| setting.given.is_some()) {
        given.check_use(subcommand.as_deref())?;
    }
    task(subcommand.as_deref(), of_keys, (&settings, &logins), &others, &environment)
}

/// Whether two words ask how a subcommand is used, in either order.
fn is_for_help(first: &str, second: &OsStr) -> bool {
    let is_subcommand =
        |word: &OsStr| ["verify", "clock", "keys", "import-legacy"].iter().any(|name| word == *name);
    if first == "help" { is_subcommand(second) } else { is_subcommand(first.as_ref()) && second == "help" }
}

fn task(
    subcommand: Option<&str>,
    of_keys: Option<KeysCommand>,
    (settings, logins): (&[Setting; 17], &[Setting; 6]),
    [from, report, into]: &[Setting; 3],
    environment: &impl Fn(&str) -> Option<OsString>,
) -> Result<Task, String> {
    let [
        listen,
        store,
        log,
        log_format,
        auth,
        allowed,
        origins,
        connections,
        streams,
        rate,
        proxies,
        certificate,
        key,
        options @ ..,
    ] = settings;
    let given = |setting: &Setting| {
        let value = setting.value(environment)?;
        Ok::<_, String>((!value.text.is_empty()).then_some(value))
    };
    let store = || address(store.value(environment)?);
    match subcommand {
        Some("keys") if let Some(command) = of_keys => Ok(Task::Keys { store: store()?, command }),
        None => {
            let listen = addresses(&listen.value(environment)?)?;
            let store = store()?;
            let access = access(&auth.value(environment)?, &listen, allowed, logins, environment)?;
            let has_access_control = matches!(access, Access::Required(_));
            Ok(Task::Serve(Box::new(Settings {
                access,
                listen,
                cors: cors_origins(&origins.value(environment)?)?,
                bounds: Bounds {
                    connections: number(&connections.value(environment)?, 1..=1_000_000)?,
                    streams: number(&streams.value(environment)?, 1..=1_000_000)?,
                },
                rate_limit: rate_limit(&rate.value(environment)?, has_access_control)?,
                trusted_proxies: trusted_proxies(&proxies.value(environment)?)?,
                tls: tls_files(certificate, key, environment)?,
                store_options: store_options(&store, options, environment)?,
                store,
                log: filter(&log.value(environment)?)?,
                log_format: format_of(&log_format.value(environment)?)?,
            })))
        }
        Some("verify") => Ok(Task::Verify { store: store()? }),
        Some("clock") => Ok(Task::Clock { store: store()?, into: given(into)?.map(address).transpose()? }),
        Some("import-legacy") => {
            let from = from.value(environment)?;
            if !from.text.starts_with("mongodb://") {
                // The text may hold a password.
                return Err(format!("{}: must be an address such as mongodb://host/database", from.origin));
            }
            let report = given(report)?.map(|path| path.text);
            Ok(Task::Import(Box::new(Import { from: from.text, store: store()?, report })))
        }
        Some("help") => Ok(Task::Help),
        Some(other) => Err(format!("unknown subcommand {other:?}; see --help")),
    }
}

/// Both of them, or none. What is in them is seen when they are read.
fn tls_files(
    certificate: &Setting,
    key: &Setting,
    environment: &impl Fn(&str) -> Option<OsString>,
) -> Result<Option<TlsFiles>, String> {
    let (certificate, key) = (certificate.value(environment)?, key.value(environment)?);
    match (certificate.text.is_empty(), key.text.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(TlsFiles { certificate: certificate.text.into(), key: key.text.into() })),
        (false, true) => Err(format!("{}: is of no use without --tls-key", certificate.origin)),
        (true, false) => Err(format!("{}: is of no use without --tls-cert", key.origin)),
    }
}

/// How a store of a server connects. What the store has no use for is refused, not passed over.
fn store_options(
    store: &str,
    [read, lag, connections, poll]: &[Setting; 4],
    environment: &impl Fn(&str) -> Option<OsString>,
) -> Result<StoreOptions, String> {
    let mut options = StoreOptions::default();
    let (read, lag) = (read.value(environment)?, lag.value(environment)?);
    if read.text.is_empty() {
        if !lag.is_default {
            return Err(format!("{}: is of no use without --store-read", lag.origin));
        }
    } else {
        // The text may hold a password.
        if let Some(reason) = why_no_replica(store, &read.text) {
            return Err(format!("{}: {reason}", read.origin));
        }
        options.read_url = Some(read.text);
        options.read_lag = Duration::from_secs(number(&lag, 1..=3_600)? as u64);
    }
    let (connections, poll) = (connections.value(environment)?, poll.value(environment)?);
    for unused in [&connections, &poll] {
        if !unused.is_default && names_no_server(store) {
            return Err(format!("{}: a store in a file or in memory has no use for it", unused.origin));
        }
    }
    options.connections_max = number(&connections, 1..=1_000)?;
    options.poll_interval = Duration::from_millis(number(&poll, 1..=60_000)? as u64);
    Ok(options)
}

/// Who gets in. What has no use then is refused, but for names of hosts, which a proxy may need at another time.
fn access(
    mode: &Value,
    listen: &[SocketAddr],
    allowed: &Setting,
    [jwks, issuers, audiences, roles, stations, buyers]: &[Setting; 6],
    environment: &impl Fn(&str) -> Option<OsString>,
) -> Result<Access, String> {
    let is_required = access::is_required(&mode.text, listen).map_err(|reason| mode.refused(&reason))?;
    let given = |setting: &Setting| setting.value(environment);
    let unused = |settings: &[&Setting], without: &str| {
        let mut values = settings.iter().map(|setting| given(setting));
        values.try_for_each(|value| match value? {
            value if value.is_default => Ok(()),
            value => Err(format!("{}: is of no use without {without}", value.origin)),
        })
    };
    if !is_required {
        unused(&[jwks, issuers, audiences, roles, stations, buyers], "--auth required")?;
        return Ok(Access::Off(allowed_hosts(&given(allowed)?)?));
    }
    let buyers = given(buyers)?;
    let buyers_may_initiate = buyers.text.parse().map_err(|_| buyers.refused("must be true or false"))?;
    let jwks = given(jwks)?.text;
    if jwks.is_empty() {
        unused(&[issuers, audiences, roles, stations], "--jwks")?;
        return Ok(Access::Required(Required { issuer: None, buyers_may_initiate }));
    }
    // An empty one that is given is a variable of a script that was not set, and would let anybody in.
    let names = |setting| {
        let value = given(setting)?;
        let names: Vec<_> = listed(&value.text).map(str::to_owned).collect();
        if names.is_empty() && !value.is_default {
            return Err(value.refused("must not be empty; leave it out where any will do"));
        }
        Ok(names)
    };
    let mut rules = TokenRules::default();
    (rules.issuers, rules.audiences) = (names(issuers)?, names(audiences)?);
    (rules.roles_claim, rules.stations_claim) = (given(roles)?.text, given(stations)?.text);
    let issuer = Some(Issuer { jwks: jwks.into(), rules });
    Ok(Access::Required(Required { issuer, buyers_may_initiate }))
}
