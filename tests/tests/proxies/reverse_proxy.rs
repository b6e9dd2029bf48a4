//! The proxies, each with the file that users are given.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tests::database_server::free_ports;
use tests::process::Process;
use tests::server::root;
use tokio::time::{Instant, sleep};

/// How long a proxy may take to start.
const START_MAX: Duration = Duration::from_secs(20);

/// Those that there is a file for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    Nginx,
    Haproxy,
    Caddy,
}

/// A running proxy before a server.
#[derive(Debug)]
pub(crate) struct ReverseProxy {
    url: String,
    _process: Process,
    _folder: TempDir,
}

impl ReverseProxy {
    /// Starts one with its file, which is changed before.
    pub(crate) async fn start(product: Product, server: &str, change: impl Fn(String) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let port = free_ports(1)[0];
        let server = server.strip_prefix("http://").expect("an http URL");
        let (name, listens, listen) = match product {
            Product::Nginx => ("nginx.conf", "listen 80;", format!("listen 127.0.0.1:{port};")),
            Product::Haproxy => ("haproxy.cfg", "bind :80", format!("bind 127.0.0.1:{port}")),
            Product::Caddy => ("Caddyfile", "http://trade.example.com", format!("http://127.0.0.1:{port}")),
        };
        let file = root().join("examples/proxies").join(name);
        let text = std::fs::read_to_string(file).expect("the file is there");
        assert!(text.contains(listens) && text.contains("127.0.0.1:8080"), "{name}");
        let text = change(text).replace("127.0.0.1:8080", server).replace(listens, &listen);
        let process = Process::start(&mut command(product, folder.path(), &text));
        let url = format!("http://127.0.0.1:{port}");
        await_answer(&url).await;
        Self { url, _process: process, _folder: folder }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// What runs a proxy in the foreground, in a folder of its own.
fn command(product: Product, folder: &Path, text: &str) -> Command {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("the folder can be written to");
        path
    };
    let file = write("proxy", text);
    let mut command;
    match product {
        Product::Nginx => {
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {};", folder.join(kind).display()))
                .concat();
            let main = format!(
                "daemon off; pid {}; error_log stderr crit; events {{}} http {{ access_log off; {temporary} include {}; }}",
                folder.join("pid").display(),
                file.display()
            );
            command = Command::new("nginx");
            command.arg("-p").arg(folder).arg("-e").arg("stderr").arg("-c").arg(write("main", &main));
        }
        Product::Haproxy => {
            command = Command::new("haproxy");
            command.arg("-q").arg("-db").arg("-f").arg(file);
        }
        Product::Caddy => {
            let file =
                write("proxy", &format!("{{\n\tadmin off\n\tlog {{\n\t\tlevel ERROR\n\t}}\n}}\n{text}"));
            command = Command::new("caddy");
            command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file).env("HOME", folder);
        }
    }
    command
}

async fn await_answer(url: &str) {
    let deadline = Instant::now() + START_MAX;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    loop {
        let answer = client.get(format!("{url}/health/ready")).send().await;
        if answer.as_ref().is_ok_and(|answer| answer.status() == 200) {
            return;
        }
        assert!(Instant::now() < deadline, "the proxy does not start: {answer:?}");
        sleep(Duration::from_millis(50)).await;
    }
}
