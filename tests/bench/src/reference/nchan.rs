//! nginx with nchan, a C module that serves Server-Sent Events from memory.

use crate::certificate::Certificate;
use crate::client::Peer;
use crate::process::{Process, free_port};
use crate::report::Failure;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// A running nginx, with a channel for every name.
#[derive(Debug)]
pub(crate) struct Nchan {
    pub(crate) process: Process,
    pub(crate) peer: Peer,
    _folder: TempDir,
}

/// Why there is none on this machine; none where there is.
pub(crate) fn missing() -> Option<String> {
    let nginx = Command::new("nginx").arg("-v").output().is_ok_and(|output| output.status.success());
    let module = Path::new(MODULE).exists();
    (!nginx || !module).then(|| "nginx with nchan is not installed".to_owned())
}

impl Nchan {
    /// Starts it with room for so many connections, over TLS alone where there is a certificate.
    pub(crate) fn start(connections_max: u64, certificate: Option<&Certificate>) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let path = folder.path().join("nchan.conf");
        std::fs::write(&path, configuration(port, connections_max, certificate))?;
        let mut command = Command::new("nginx");
        command.arg("-e").arg(folder.path().join("error.log"));
        command.arg("-p").arg(folder.path()).arg("-c").arg(&path);
        let process = Process::start(&mut command, "nginx", port)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let peer = certificate.map_or_else(|| address.into(), |certificate| certificate.peer(address));
        Ok(Self { process, peer, _folder: folder })
    }
}

fn configuration(port: u16, connections_max: u64, certificate: Option<&Certificate>) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|kind| format!("{kind}_temp_path tmp;")).join(" ");
    let (ssl, keys) = match certificate {
        None => ("", String::new()),
        Some(Certificate { files, .. }) => (" ssl", tls(&files.certificate, &files.key)),
    };
    format!(
        "load_module {MODULE};
daemon off; pid nginx.pid; error_log error.log warn;
worker_processes 1; worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
  access_log off; {temporary}
  tcp_nodelay on; keepalive_requests 100000000;
  nchan_shared_memory_size 256M;
  server {{
    listen 127.0.0.1:{port}{ssl} backlog=8192; {keys}
    location ~ ^/sub/(\\w+)$ {{
      nchan_subscriber eventsource; nchan_channel_id $1;
      nchan_subscriber_first_message newest; nchan_subscriber_timeout 0;
    }}
    location ~ ^/pub/(\\w+)$ {{
      nchan_publisher http; nchan_channel_id $1;
      nchan_message_buffer_length 100; nchan_message_timeout 60s;
    }}
  }}
}}
",
        files = connections_max + 1_000,
    )
}

/// A record of 4 KiB holds every event, and takes a quarter of what nginx would keep for each connection by itself.
fn tls(certificate: &str, key: &str) -> String {
    format!(
        "ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3; ssl_buffer_size 4k;"
    )
}
