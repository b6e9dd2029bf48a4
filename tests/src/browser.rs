//! A headless Chromium with one page, which tells what it sees.

use crate::process::Process;
use axum::Router;
use axum::response::Html;
use axum::routing::{get, post};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// How long a page may take to tell something.
const PATIENCE: Duration = Duration::from_secs(60);
/// A line of text, told in order.
const TELL: &str = "let told = Promise.resolve();
    const tell = (text) => told = told.then(() => fetch('/told', {method: 'POST', body: text}));";

/// An origin that a page is to be of.
#[derive(Debug)]
pub struct Origin(TcpListener);

impl Origin {
    /// One of its own.
    pub async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a free port"))
    }

    /// As browsers write it.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().expect("its address"))
    }
}

/// A headless Chromium that keeps to itself, as far as it can be told to.
fn chromium(profile: &TempDir) -> Command {
    let mut chromium = Command::new("chromium");
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    chromium.args(["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]);
    chromium.arg("--disable-component-update");
    chromium.arg(format!("--user-data-dir={}", profile.path().display()));
    chromium.stdout(Stdio::null()).stderr(Stdio::null());
    chromium
}

/// The addresses that a page loads something from, itself among them.
pub async fn addresses_of(url: &str) -> BTreeSet<String> {
    let profile = tempfile::tempdir().expect("a temporary folder can be made");
    let log = profile.path().join("network.json");
    let mut chromium = chromium(&profile);
    // So much time of the page goes by as fast as it can.
    chromium.arg("--virtual-time-budget=15000").arg("--dump-dom");
    chromium.arg(format!("--log-net-log={}", log.display())).arg(url);
    let ended = timeout(PATIENCE, tokio::process::Command::from(chromium).kill_on_drop(true).status()).await;
    assert!(ended.expect("it ends in time").expect("it can be run").success());
    let log = std::fs::read(log).expect("what it did on the network");
    let log: Value = serde_json::from_slice(&log).expect("JSON");
    let of_requests = log["events"].as_array().expect("a list").iter();
    let addresses = of_requests.filter_map(|event| event["params"]["url"].as_str().map(str::to_owned));
    // What it asks its maker is not of the page.
    addresses.filter(|address| !address.contains(".google")).collect()
}

/// An open page.
#[derive(Debug)]
pub struct Page {
    told: UnboundedReceiver<String>,
    seen: Vec<String>,
    _browser: Process,
    _profile: TempDir,
}

impl Page {
    /// Opens a page that runs a script, which has a function `tell`. It may do all that a page of a server's own origin may.
    pub async fn open(script: &str) -> Self {
        Self::started(Origin::new().await, script, &["--disable-web-security"])
    }

    /// Opens such a page, which trusts any certificate.
    pub async fn open_trusting(script: &str) -> Self {
        Self::started(Origin::new().await, script, &["--disable-web-security", "--ignore-certificate-errors"])
    }

    /// Opens such a page of an origin, outside of which it may do only what servers allow.
    pub async fn open_at(origin: Origin, script: &str) -> Self {
        Self::started(origin, script, &[])
    }

    fn started(origin: Origin, script: &str, more: &[&str]) -> Self {
        let (tell, told) = unbounded_channel();
        let html = format!("<!doctype html><link rel=icon href=data:,><script>{TELL}\n{script}</script>");
        let told_here = move |line: String| async move {
            let _ = tell.send(line);
        };
        let pages = Router::new().route("/", get(async || Html(html))).route("/told", post(told_here));
        let url = origin.url();
        tokio::spawn(async move { axum::serve(origin.0, pages).await });
        let profile = tempfile::tempdir().expect("a temporary folder can be made");
        let mut chromium = chromium(&profile);
        chromium.args(more).args(["--remote-debugging-port=0", &url]);
        let browser = Process::start(&mut chromium);
        Self { told, seen: Vec::new(), _browser: browser, _profile: profile }
    }

    /// The next line that the page tells.
    pub async fn next(&mut self) -> String {
        let line = timeout(PATIENCE, self.told.recv()).await;
        let line = line.ok().flatten().unwrap_or_else(|| panic!("no more than {:?}", self.seen));
        self.seen.push(line.clone());
        line
    }
}
