//! A headless Chromium with one page, which tells what it sees.

use axum::Router;
use axum::response::Html;
use axum::routing::{get, post};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tests::process::Process;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// How long a page may take to tell something.
const PATIENCE: Duration = Duration::from_secs(60);
/// A line of text, told in order.
const TELL: &str = "let told = Promise.resolve();
    const tell = (text) => told = told.then(() => fetch('/told', {method: 'POST', body: text}));";

/// An open page.
#[derive(Debug)]
pub(crate) struct Page {
    told: UnboundedReceiver<String>,
    seen: Vec<String>,
    _browser: Process,
    _profile: TempDir,
}

impl Page {
    /// Opens a page that runs a script, which has a function `tell`.
    pub(crate) async fn open(script: &str) -> Self {
        let (tell, told) = unbounded_channel();
        let html = format!("<!doctype html><link rel=icon href=data:,><script>{TELL}\n{script}</script>");
        let told_here = move |line: String| async move {
            let _ = tell.send(line);
        };
        let pages = Router::new().route("/", get(async || Html(html))).route("/told", post(told_here));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(async move { axum::serve(listener, pages).await });
        let profile = tempfile::tempdir().expect("a temporary folder can be made");
        let mut chromium = Command::new("chromium");
        // The page is of another origin than the server, whose streams are for pages of its own.
        chromium.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-web-security",
        ]);
        chromium.args([
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-sync",
        ]);
        chromium.args(["--disable-component-update", "--remote-debugging-port=0"]);
        chromium
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("http://{address}/"));
        let browser = Process::start(chromium.stdout(Stdio::null()).stderr(Stdio::null()));
        Self { told, seen: Vec::new(), _browser: browser, _profile: profile }
    }

    /// The next line that the page tells.
    pub(crate) async fn next(&mut self) -> String {
        let line = timeout(PATIENCE, self.told.recv()).await;
        let line = line.ok().flatten().unwrap_or_else(|| panic!("no more than {:?}", self.seen));
        self.seen.push(line.clone());
        line
    }
}
