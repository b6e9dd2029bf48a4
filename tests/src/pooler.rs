//! PgBouncer in front of a PostgreSQL server.

use crate::address::Address;
use std::fmt::Write;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to start.
const START_MAX: Duration = Duration::from_secs(20);

/// A pooler of a test's own, killed with this. It lets everybody in, and connects to the server as the user of its
/// address.
#[derive(Debug)]
pub struct Pooler {
    process: Child,
    port: u16,
    server: Address,
    _folder: TempDir,
}

impl Pooler {
    /// Starts one, with settings beside those that every test needs.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(server: &str, settings: &[(&str, &str)]) -> Self {
        let server = Address::parse(server);
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, ini(&server, port, settings)).expect("a file can be written");
        // It refuses to run as root, and is then somebody else.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open).expect("the folder is ours");
        let is_root =
            fs::metadata(folder.path()).is_ok_and(|folder| std::os::unix::fs::MetadataExt::uid(&folder) == 0);
        let mut command = Command::new("setpriv");
        if is_root {
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
        }
        command.args(["--pdeathsig=KILL", "pgbouncer", "--quiet"]).arg(&file).stderr(Stdio::null());
        // Debian keeps it where only administrators look.
        let path = std::env::var("PATH").unwrap_or_default();
        let process = command.env("PATH", format!("{path}:/usr/sbin")).spawn().expect("setpriv runs");
        let mut pooler = Self { process, port, server, _folder: folder };
        pooler.await_ready();
        pooler
    }

    fn await_ready(&mut self) {
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begin.elapsed() < START_MAX, "pgbouncer does not start");
            assert!(matches!(self.process.try_wait(), Ok(None)), "pgbouncer ended");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The URL of the same database by way of it.
    pub fn url(&self) -> String {
        self.server.by_way_of(self.port).to_string()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ini(server: &Address, port: u16, settings: &[(&str, &str)]) -> String {
    let (host, server_port) = server.host();
    // Of what must be encoded in an address, the tests' own server has this.
    let password = server.password().unwrap_or_default().replace("%40", "@").replace('\'', "''");
    let mut ini = format!(
        "[databases]\n* = host={host} port={server_port} user={} password='{password}'\n[pgbouncer]\n\
         listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n",
        server.user()
    );
    for (name, value) in settings {
        // Writing to a string cannot fail.
        let _ = writeln!(ini, "{name} = {value}");
    }
    ini
}
