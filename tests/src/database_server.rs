//! A database server of a test's own, to be killed.

use crate::replica_set;
use crate::server::root;
use std::ffi::OsStr;
use std::hash::BuildHasher;
use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take to be ready, repairing what a kill left included, and to end.
const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(30);
const PORTS_TRIED: usize = 5;
/// Below those that Linux gives to connections.
const PORTS: RangeInclusive<u16> = 20_000..=32_000;

/// The servers that `tests/servers` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    Postgres,
    /// Of a version that is newer than Debian's.
    Postgres18,
    Mariadb,
    /// MariaDB as a node of a cluster.
    Galera,
    Mongodb,
}

impl Product {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Postgres18 => "postgres18",
            Self::Mariadb => "mariadb",
            Self::Galera => "galera",
            Self::Mongodb => "mongodb",
        }
    }

    /// Whether a server that wrote this takes connections.
    fn takes_connections(self, log: &str) -> bool {
        match self {
            Self::Postgres | Self::Postgres18 => {
                log.contains("ready to accept connections")
                    || log.contains("ready to accept read-only connections")
            }
            Self::Mariadb => log.contains("ready for connections"),
            Self::Mongodb => log.contains("Waiting for connections"),
            Self::Galera => {
                log.contains("mariadbd: ready for connections") && log.contains("Synchronized with group")
            }
        }
    }
}

/// A server in a folder of its own. It is ended with this, and its folder removed.
#[derive(Debug)]
pub struct DatabaseServer {
    product: Product,
    folder: TempDir,
    port: u16,
    /// For MongoDB, the ports of all members of its replica set, if it is not one of itself alone; for Galera, what
    /// `tests/servers run` is told behind its port.
    others: Vec<u16>,
    /// Variables that `tests/servers` reads.
    settings: Vec<(&'static str, &'static str)>,
    process: Option<Child>,
}

impl DatabaseServer {
    /// Makes and starts an empty server on a free port of the loopback interface.
    pub fn start(product: Product) -> Self {
        Self::prepare(product, &[]).started()
    }

    /// The same, of a MongoDB whose cache is so small, in gigabytes.
    pub fn start_with_cache(gigabytes: &'static str) -> Self {
        Self::start_set(("MONGODB_CACHE_GB", gigabytes))
    }

    /// The same, of a MongoDB that takes so many connections.
    pub fn start_with_connections(most: &'static str) -> Self {
        Self::start_set(("MONGODB_CONNECTIONS_MAX", most))
    }

    fn start_set(setting: (&'static str, &'static str)) -> Self {
        let mut server = Self::prepare(Product::Mongodb, &[]);
        server.settings.push(setting);
        server.started()
    }

    /// The same, of a server that talks TLS: PostgreSQL or MariaDB.
    pub fn start_with_tls(product: Product) -> Self {
        Self::prepare(product, &["tls"]).started()
    }

    /// The file of the authority that vouches for a server that talks TLS, under the address 127.0.0.1.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("tls/ca.pem")
    }

    /// That of one that does not.
    pub fn other_authority(&self) -> PathBuf {
        self.folder.path().join("tls/other-ca.pem")
    }

    /// Starts it, prepared, on a free port.
    fn started(mut self) -> Self {
        // Another program may be faster to take a port that was free.
        for _ in 0..PORTS_TRIED {
            self.port = free_ports(1)[0];
            self.launch();
            if self.await_ready() {
                return self;
            }
        }
        panic!("{} does not start:\n{}", self.product.name(), self.log());
    }

    /// Makes an empty server, and does not start it.
    fn prepare(product: Product, how: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let status = script(["prepare".as_ref(), product.name().as_ref(), folder.path().as_os_str()])
            .args(how)
            .status();
        assert!(status.expect("tests/servers runs").success(), "{} cannot be prepared", product.name());
        Self { product, folder, port: 0, others: Vec::new(), settings: Vec::new(), process: None }
    }

    /// Makes a standby of PostgreSQL that follows the primary at a port, and starts it at another.
    pub(crate) fn start_standby(primary: u16, port: u16) -> Self {
        let mut standby = Self::prepare(Product::Postgres, &["standby", &primary.to_string()]);
        standby.port = port;
        standby.launch();
        assert!(standby.await_ready(), "a standby does not start:\n{}", standby.log());
        standby
    }

    /// Starts nodes of one cluster of Galera.
    pub(crate) fn start_nodes(count: usize) -> Vec<Self> {
        let prepare = |node| Self::prepare(Product::Galera, if node == 0 { &[] } else { &["joiner"] });
        let mut nodes: Vec<_> = (0..count).map(prepare).collect();
        let ports = free_ports(4 * count);
        let groups: Vec<_> = ports.iter().skip(1).step_by(4).copied().collect();
        for (number, (node, own)) in nodes.iter_mut().zip(ports.chunks(4)).enumerate() {
            node.port = own[0];
            node.others = own[1..].to_vec();
            if number > 0 {
                node.others.extend(&groups);
            }
            node.launch();
            assert!(node.await_ready(), "a node of Galera does not start:\n{}", node.log());
            // It makes a cluster once; later it joins the others, as they join it.
            node.others = [&own[1..], &groups].concat();
        }
        nodes
    }

    /// Starts members of one replica set.
    pub(crate) fn start_members(count: usize) -> Vec<Self> {
        let mut members: Vec<_> = (0..count).map(|_| Self::prepare(Product::Mongodb, &[])).collect();
        for _ in 0..PORTS_TRIED {
            let ports = free_ports(count);
            for (member, port) in members.iter_mut().zip(&ports) {
                member.port = *port;
                member.others.clone_from(&ports);
                member.launch();
            }
            if members.iter_mut().all(Self::await_ready) {
                return members;
            }
            // What one of them has of the set would be in the way of another.
            members = (0..count).map(|_| Self::prepare(Product::Mongodb, &[])).collect();
        }
        panic!("the members of a replica set do not start");
    }

    /// The URL of a database on it, or on its replica set, that is there from the start.
    pub fn url(&self) -> String {
        let is_of_set = self.product == Product::Mongodb && !self.others.is_empty();
        let ports = if is_of_set { self.others.clone() } else { vec![self.port] };
        let mut command = script(["url".as_ref(), self.product.name().as_ref()]);
        let output = command.args(ports.iter().map(u16::to_string)).output().expect("tests/servers runs");
        String::from_utf8(output.stdout).expect("a URL is text").trim().to_owned()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it has not been ended, though it may stand still.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Ends it as a power cut would: all of its processes at once, with nothing said to anyone.
    pub fn kill(&mut self) {
        // PostgreSQL serves each connection by a process, which outlives the one that is killed here.
        let workers = self.pause();
        let mut process = self.process.take().expect("it is running");
        process.kill().expect("it can be killed");
        process.wait().expect("its end can be awaited");
        for worker in &workers {
            signal("KILL", *worker);
        }
        wait_until("the workers are gone", STOP_MAX, || {
            workers.iter().all(|worker| !Path::new(&format!("/proc/{worker}")).exists())
        });
    }

    /// Has all of its processes stand still, as those of a machine do that hangs; answers those that are its children.
    pub fn pause(&self) -> Vec<u32> {
        let process = self.process.as_ref().expect("it is running").id();
        // While the first one stands still, it makes no more of them.
        signal("STOP", process);
        let workers = children(process);
        workers.iter().for_each(|worker| signal("STOP", *worker));
        workers
    }

    /// Has them go on.
    pub fn resume(&self) {
        let process = self.process.as_ref().expect("it is running").id();
        children(process).iter().for_each(|worker| signal("CONT", *worker));
        signal("CONT", process);
    }

    /// Ends it as it is ended before maintenance.
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("it is running");
        signal("TERM", process.id());
        wait_until("a server ends when it is told to", STOP_MAX, || {
            process.try_wait().expect("its state can be read").is_some()
        });
    }

    /// Whether there is a file or a folder in its data.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.folder.path().join("data").join(name).exists()
    }

    /// Starts it again, at the same port, on what is stored.
    pub fn restart(&mut self) {
        self.restart_unawaited();
        assert!(self.await_ready(), "{} does not start again:\n{}", self.product.name(), self.log());
    }

    /// The same, without waiting for it: it may have no connection left for who asks.
    pub fn restart_unawaited(&mut self) {
        assert!(self.process.is_none(), "it was killed before");
        self.launch();
    }

    /// Starts the process.
    fn launch(&mut self) {
        let port = self.port.to_string();
        let arguments: [&OsStr; 4] =
            ["run".as_ref(), self.product.name().as_ref(), self.folder.path().as_os_str(), port.as_ref()];
        let log = self.folder.path().join("log");
        std::fs::write(&log, "").expect("the log can be emptied");
        let mut command = script(arguments);
        let command = command.args(self.others.iter().map(u16::to_string));
        let process = command.envs(self.settings.iter().copied()).spawn();
        self.process = Some(process.expect("tests/servers runs"));
    }

    /// Whether the process took the port and becomes ready; otherwise it is ended.
    fn await_ready(&mut self) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < START_MAX {
            let process = self.process.as_mut().expect("it was launched");
            if process.try_wait().expect("its state can be read").is_some() {
                break;
            }
            if self.is_ready() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.end();
        false
    }

    /// Whether it can be used. A MongoDB has to be made a member of its replica set first.
    fn is_ready(&self) -> bool {
        if !self.product.takes_connections(&self.log()) {
            return false;
        }
        if self.product != Product::Mongodb {
            return true;
        }
        let (url, port) = (self.url(), self.port);
        // Whoever calls this may be on a runtime.
        let asking = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(replica_set::is_ready(&url, port))
        });
        asking.join().expect("no panic")
    }

    /// Ends it, if it is running.
    fn end(&mut self) {
        let Some(process) = &self.process else { return };
        // All of them end at once at this signal, and PostgreSQL gives its shared memory back, which it cannot when killed.
        signal("QUIT", process.id());
        // They may stand still.
        self.resume();
        let Some(mut process) = self.process.take() else { return };
        let begin = Instant::now();
        while begin.elapsed() < STOP_MAX {
            if !matches!(process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = process.kill();
        let _ = process.wait();
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for DatabaseServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn script<const N: usize>(arguments: [&OsStr; N]) -> Command {
    let mut command = Command::new(root().join("tests/servers"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Ports that nobody listens on, each another. They are none of those that the kernel gives to connections, so that one
/// is free still when its server, which was killed, is started again.
pub fn free_ports(count: usize) -> Vec<u16> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    while listeners.len() < count {
        let port = PORTS.start() + random() % (PORTS.end() - PORTS.start());
        listeners.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    listeners.iter().map(|listener| listener.local_addr().expect("its address").port()).collect()
}

/// A number that nobody foresees: the standard library seeds its maps with such.
fn random() -> u16 {
    let hash = std::hash::RandomState::new().hash_one(0);
    u16::try_from(hash & 0xffff).expect("16 bits")
}

fn signal(name: &str, pid: u32) {
    // It may be gone already.
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null()).status();
}

/// The processes whose parent is `parent`.
fn children(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("Linux's /proc").filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// `/proc/<pid>/stat` is the pid, the name in parentheses, the state, and the parent (proc(5)).
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn wait_until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
