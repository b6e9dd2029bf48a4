//! Database servers, with the settings they come with: what they acknowledge is on disk.

use super::{Kind, mongo};
use crate::process::{Process, free_port};
use crate::report::Failure;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tempfile::TempDir;

/// Where Debian keeps the programs of each version of PostgreSQL.
const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) kind: Kind,
    /// The address of a database that is there always.
    pub(super) url: String,
    // Ended before its folder is removed.
    _process: Option<Process>,
    _folder: Option<TempDir>,
}

impl Server {
    /// The server that others use at this moment, or a new one.
    pub(super) fn share(kind: Kind) -> Result<Arc<Self>, Failure> {
        static RUNNING: Mutex<[Weak<Server>; 3]> = Mutex::new([const { Weak::new() }; 3]);
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let running = match kind {
            Kind::Postgres => &mut running[0],
            Kind::MySql => &mut running[1],
            Kind::Mongo => &mut running[2],
        };
        if let Some(server) = running.upgrade() {
            return Ok(server);
        }
        let server = Arc::new(match (address(kind), kind) {
            (Some(url), kind) => Self { kind, url, _process: None, _folder: None },
            (None, Kind::Postgres) => start_postgres()?,
            (None, Kind::MySql) => start_mariadb()?,
            (None, Kind::Mongo) => start_mongodb()?,
        });
        *running = Arc::downgrade(&server);
        Ok(server)
    }

    /// The address of another database on it.
    pub(super) fn database(&self, name: &str) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let host = rest.split('/').next().unwrap_or_default();
        let mark = if options.is_empty() { "" } else { "?" };
        format!("{scheme}://{host}/{name}{mark}{options}")
    }
}

/// The server that is to be used, where one is named.
fn address(kind: Kind) -> Option<String> {
    let variable = match kind {
        Kind::Postgres => "TRADE_TEST_POSTGRES_URL",
        Kind::MySql => "TRADE_TEST_MYSQL_URL",
        Kind::Mongo => "TRADE_TEST_MONGODB_URL",
    };
    std::env::var(variable).ok().filter(|url| !url.is_empty())
}

/// Why there is no server of a kind here; none where there is.
pub(super) fn missing(kind: Kind) -> Option<String> {
    if address(kind).is_some() {
        return None;
    }
    let (programs, name): (&[_], _) = match kind {
        Kind::Postgres => (&["initdb", "postgres"], "PostgreSQL"),
        Kind::MySql => (&["mariadb-install-db", "mariadbd"], "MariaDB"),
        Kind::Mongo => (&["mongod"], "MongoDB"),
    };
    programs.iter().any(|name| program(name).is_none()).then(|| format!("{name} is not installed"))
}

/// A program, found among those of the newest PostgreSQL or by the search path.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir(POSTGRES_VERSIONS).into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = versions.into_iter().map(|(_, folder)| folder).chain(std::env::split_paths(&path));
    // Servers are in folders that not every search path has.
    let folders = folders.chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn start_postgres() -> Result<Server, Failure> {
    let folder = tempfile::tempdir()?;
    let owner = owner("postgres", folder.path())?;
    let data = folder.path().join("data");
    let mut initdb = as_user("initdb", owner)?;
    initdb.arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"]);
    run(&mut initdb)?;
    let port = free_port()?;
    let mut postgres = as_user("postgres", owner)?;
    postgres.arg("-D").arg(&data).args(["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}")]);
    postgres.args(["-c", &format!("unix_socket_directories={}", folder.path().display())]);
    // A client that ends without a word is no news.
    postgres.args(["-c", "log_min_messages=panic"]);
    // At the usual signal it would wait for its clients to go.
    let process = Process::start(&mut postgres, "PostgreSQL", port)?.ended_by("-INT");
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    Ok(Server { kind: Kind::Postgres, url, _process: Some(process), _folder: Some(folder) })
}

fn start_mariadb() -> Result<Server, Failure> {
    let folder = tempfile::tempdir()?;
    let owner = owner("mysql", folder.path())?;
    let data = format!("--datadir={}", folder.path().join("data").display());
    let mut install = as_user("mariadb-install-db", owner)?;
    install.args(["--no-defaults", &data, "--skip-test-db", "--auth-root-authentication-method=normal"]);
    run(&mut install)?;
    let port = free_port()?;
    let mut mariadbd = as_user("mariadbd", owner)?;
    mariadbd.args(["--no-defaults", &data, "--bind-address=127.0.0.1", &format!("--port={port}")]);
    mariadbd.arg(format!("--socket={}", folder.path().join("socket").display()));
    mariadbd.arg(format!("--log-error={}", folder.path().join("error.log").display()));
    let process = Process::start(&mut mariadbd, "MariaDB", port)?;
    let url = format!("mysql://root@127.0.0.1:{port}/mysql");
    Ok(Server { kind: Kind::MySql, url, _process: Some(process), _folder: Some(folder) })
}

/// A replica set of one. Called from a thread that may wait, within a runtime.
fn start_mongodb() -> Result<Server, Failure> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let mut mongod = Command::new(program("mongod").ok_or("mongod is not installed")?);
    mongod.args(["--replSet", mongo::REPLICA_SET, "--bind_ip", "127.0.0.1", "--nounixsocket", "--port"]);
    mongod.arg(port.to_string()).arg("--dbpath").arg(folder.path());
    let process = Process::start(&mut mongod, "MongoDB", port)?;
    tokio::runtime::Handle::current().block_on(mongo::initiate(port))?;
    let url = format!("mongodb://127.0.0.1:{port}/?replicaSet={}", mongo::REPLICA_SET);
    Ok(Server { kind: Kind::Mongo, url, _process: Some(process), _folder: Some(folder) })
}

/// The user and group a server is to run as, and to whom its folder is given: these servers refuse to be run by root.
fn owner(name: &str, folder: &Path) -> Result<Option<(u32, u32)>, Failure> {
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let ids = |user: &str| -> Option<(u32, u32)> {
        let line = users.lines().find(|line| line.split(':').next() == Some(user))?;
        let mut ids = line.split(':').skip(2).map(str::parse);
        Some((ids.next()?.ok()?, ids.next()?.ok()?))
    };
    let owner = ids(name).or_else(|| ids("nobody")).ok_or("there is no user to run a server as")?;
    chown(folder, Some(owner.0), Some(owner.1))?;
    Ok(Some(owner))
}

fn as_user(name: &str, owner: Option<(u32, u32)>) -> Result<Command, Failure> {
    let program = program(name).ok_or_else(|| format!("{name} is not installed"))?;
    let Some((user, group)) = owner else { return Ok(Command::new(program)) };
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
    // The folder this runs in may be closed to that user.
    command.arg(program).current_dir("/");
    Ok(command)
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let output = command.output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{} {}: {text}", command.get_program().display(), output.status).into());
    }
    Ok(())
}
