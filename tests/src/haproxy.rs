//! HAProxy before the servers of a cluster, with the file that users are given.

use crate::database_server::free_ports;
use crate::process::Process;
use crate::server::root;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to find out which servers are there.
const CHECK_MAX: Duration = Duration::from_secs(60);
/// The names of servers in the files.
const NAMES: [&str; 3] = ["one", "two", "three"];

/// A running HAProxy. It is ended with this.
#[derive(Debug)]
pub struct Haproxy {
    port: u16,
    folder: TempDir,
    _process: Process,
}

impl Haproxy {
    /// Starts one with a file of `tests/haproxy`, before servers at these ports, the first of which is the one to use.
    pub async fn start(file: &str, servers: &[u16]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let port = free_ports(1)[0];
        let path = root().join("tests/haproxy").join(file);
        let mut text = std::fs::read_to_string(path).expect("the file is there");
        let usual = if file.starts_with("postgres") { 5_432 } else { 3_306 };
        for (name, server) in NAMES.iter().zip(servers) {
            text = replace(&text, &format!("{name} {name}:{usual}"), &format!("{name} 127.0.0.1:{server}"));
        }
        text = replace(&text, &format!("bind :{usual}"), &format!("bind 127.0.0.1:{port}"));
        let told = folder.path().join("told");
        text = format!("global\n    stats socket {}\n{text}", told.display());
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text).expect("the folder can be written to");
        let process = Process::start(Command::new("haproxy").args(["-q", "-db", "-f"]).arg(file));
        Self { port, folder, _process: process }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until it takes exactly these servers, by their place, as fit to be used.
    pub async fn await_fit(&self, servers: &[usize]) {
        let wanted: BTreeSet<_> = servers.iter().map(|server| NAMES[*server].to_owned()).collect();
        let begin = Instant::now();
        loop {
            let fit = self.fit();
            if fit.as_ref().is_ok_and(|fit| *fit == wanted) {
                return;
            }
            assert!(begin.elapsed() < CHECK_MAX, "HAProxy does not take {wanted:?} as fit, but {fit:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The servers that it may use, by their names, once it has checked them. Before its checks have failed often enough, it
    /// uses any.
    fn fit(&self) -> std::io::Result<BTreeSet<String>> {
        let mut socket = UnixStream::connect(self.socket())?;
        socket.write_all(b"show stat\n")?;
        let mut table = String::new();
        socket.read_to_string(&mut table)?;
        let rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
        // The columns `svname`, `status` and `check_status` (management.txt, 9.1).
        let used =
            rows.filter(|row| row.len() > 36 && NAMES.contains(&row[1]) && !row[17].starts_with("DOWN"));
        let named = |row: Vec<&str>| {
            let is_checked = row[17] == "UP" && row[36].starts_with('L');
            if is_checked { row[1].to_owned() } else { format!("{} (not known yet)", row[1]) }
        };
        Ok(used.map(named).collect())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("told")
    }
}

/// Puts something in place of what must be there.
fn replace(text: &str, what: &str, by: &str) -> String {
    assert!(text.contains(what), "the file has no {what:?}");
    text.replace(what, by)
}
