//! The server as a process of its own.

use crate::tls::Files;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long the server may take to start, and to stop after a signal.
const START_MAX: Duration = Duration::from_secs(30);
/// How often a server is started whose store may not be ready.
const STARTS_MAX: usize = 5;
pub const STOP_MAX: Duration = Duration::from_secs(10);
/// On a free port of the loopback interface.
const ANYWHERE: &str = "http://127.0.0.1:0";

/// The server's binary: that of `TRADE_TEST_SERVER`, or one built here.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("TRADE_TEST_SERVER") {
        Some(path) => path.into(),
        None => build(
            &["--package", "trade-network", "--all-features", "--bin", "trade-network"],
            "trade-network",
        ),
    })
}

/// The `replay` example: that of `TRADE_TEST_REPLAY`, or one built here.
pub fn replay_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("TRADE_TEST_REPLAY") {
        Some(path) => path.into(),
        None => build(&["--package", "trade-network", "--all-features", "--example", "replay"], "replay"),
    })
}

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace")
}

fn build(target: &[&str], name: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = std::process::Command::new(cargo)
        .current_dir(root())
        .args(["build", "--quiet", "--message-format=json-render-diagnostics"])
        .args(target)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{name} does not build");
    let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let made = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut executables = made.filter(|message| message["target"]["name"] == name);
    let executable = executables.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.expect("cargo names what it built")
}

/// A running server. It is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts a server on a store, on a free port of the loopback interface.
    pub async fn start(store: &str) -> Self {
        Self::start_at(ANYWHERE, store).await
    }

    /// The same, where an earlier one listened.
    pub async fn start_at(url: &str, store: &str) -> Self {
        Self::spawn(Command::new(binary()), url, store, "warn").await
    }

    /// The same for a server whose store is going to fail: what it says about that is expected, and too much to read. It is
    /// started again where its store was not ready, as whoever keeps servers running does: a cluster of several databases
    /// on a busy machine may be too late with its first answers.
    pub async fn start_silent(store: &str) -> Self {
        for _ in 1..STARTS_MAX {
            if let Some(server) = Self::try_spawn(Command::new(binary()), ANYWHERE, store, "off").await {
                return server;
            }
        }
        Self::spawn(Command::new(binary()), ANYWHERE, store, "off").await
    }

    /// The same with more arguments.
    pub async fn start_with(store: &str, more: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.args(more);
        Self::spawn(command, ANYWHERE, store, "warn").await
    }

    /// The same in a process that may open so many files and connections.
    pub async fn start_with_descriptors(count: usize, store: &str) -> Self {
        let mut limited = Command::new("bash");
        limited.args(["-c", &format!("ulimit -n {count}; exec \"$0\" \"$@\"")]).arg(binary());
        Self::spawn(limited, ANYWHERE, store, "warn").await
    }

    /// The same with a clock that goes by what stands in a file, such as `+0` or `+10y` (faketime(1)): what the machine's
    /// clock is ahead. Time that nobody sets goes on as it does.
    pub async fn start_with_clock(file: &Path, store: &str) -> Self {
        let mut command = Command::new(binary());
        let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
            .map(|machine| format!("/usr/lib/{machine}/faketime/libfaketimeMT.so.1"))
            .into_iter()
            .find(|path| Path::new(path).exists());
        command
            .env("LD_PRELOAD", library.expect("libfaketime is installed"))
            .env("FAKETIME_TIMESTAMP_FILE", file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Self::spawn(command, ANYWHERE, store, "off").await
    }

    /// The same with more arguments and a log of every request, for whoever holds the other end of standard error to read, or not.
    pub async fn start_logging(store: &str, more: &[&str], to: Stdio) -> Self {
        let mut command = Command::new(binary());
        command.args(more).stderr(to);
        Self::spawn(command, ANYWHERE, store, "info").await
    }

    /// The same with a log of everything there is to tell.
    pub async fn start_tracing(store: &str, more: &[&str], to: Stdio) -> Self {
        let mut command = Command::new(binary());
        command.args(more).stderr(to);
        Self::spawn(command, ANYWHERE, store, "trace").await
    }

    /// The same, on one processor only.
    pub async fn start_on(processor: usize, store: &str) -> Self {
        let mut pinned = Command::new("taskset");
        pinned.args(["--cpu-list", &processor.to_string()]).arg(binary());
        Self::spawn(pinned, ANYWHERE, store, "warn").await
    }

    async fn spawn(command: Command, url: &str, store: &str, log: &str) -> Self {
        let started = Self::try_spawn(command, url, store, log).await;
        started.expect("it does not end before it is ready")
    }

    /// None where it ends before it is ready.
    async fn try_spawn(mut command: Command, url: &str, store: &str, log: &str) -> Option<Self> {
        let address = url.split_once("://").expect("a URL").1;
        let mut child = command
            .args(["--listen", address, "--store", store, "--log", log])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the server can be started");
        let stdout = child.stdout.take().expect("its output is piped");
        let mut lines = BufReader::new(stdout).lines();
        let ready = tokio::time::timeout(START_MAX, lines.next_line()).await;
        let line = ready.expect("it is ready in time").expect("its output can be read");
        let url = line?.strip_prefix("listening on ").expect("the ready line names the address").to_owned();
        Some(Self { child, url })
    }

    /// The same with a certificate, over TLS alone.
    pub async fn start_with_tls(store: &str, files: &Files) -> Self {
        Self::start_with_tls_at(ANYWHERE, store, files).await
    }

    /// The same, where an earlier one listened.
    pub async fn start_with_tls_at(url: &str, store: &str, files: &Files) -> Self {
        let mut command = Command::new(binary());
        command.args(["--tls-cert", &files.certificate, "--tls-key", &files.key]);
        Self::spawn(command, url, store, "warn").await
    }

    /// Where it listens, such as `http://127.0.0.1:43210`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it is running")
    }

    /// Its resident memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("Linux's /proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS is told");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("in kB");
        kib * 1024
    }

    /// Ends it as a power cut would.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let sent =
            std::process::Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Sends it a signal by name, and waits for its end.
    pub async fn stop(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        let ended = tokio::time::timeout(STOP_MAX, self.child.wait()).await;
        ended.expect("it ends within 10 s").expect("its end can be awaited")
    }
}

/// Runs a subcommand of the server to its end.
pub async fn run(arguments: &[&str]) -> std::process::Output {
    let run = Command::new(binary()).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    tokio::time::timeout(Duration::from_secs(120), run)
        .await
        .expect("it ends in time")
        .expect("it can be run")
}

/// How often an audit is made again that a commit came in the way of.
const AUDITS_MAX: usize = 20;

/// Asserts that the fold of a store's log equals its tables. What a server that was killed had sent to its database may
/// land a moment later: then the audit asks to be made again.
pub async fn assert_verified(store: &str) {
    for _ in 0..AUDITS_MAX {
        let output = run(&["verify", "--store", store]).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
        if output.status.success() {
            return;
        }
        assert!(told.contains("written to during the audit"), "{told}");
    }
    panic!("the store is written to all the time");
}
