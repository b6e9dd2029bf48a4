//! A trade by Express and better-sqlite3: what a user of Node.js would write.

use crate::environment::EXPRESS;
use crate::process::{Process, free_port, pinned};
use crate::report::Failure;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A running server.
#[derive(Debug)]
pub(crate) struct Express {
    _process: Process,
    pub(crate) address: SocketAddr,
    _folder: TempDir,
}

/// Why there is none on this machine; none where there is.
pub(crate) fn missing() -> Option<String> {
    modules().is_none().then(|| "Express with better-sqlite3 is not installed".to_owned())
}

fn modules() -> Option<PathBuf> {
    let modules = PathBuf::from(std::env::var_os(EXPRESS)?).join("node_modules");
    let built = modules.join("better-sqlite3/build/Release/better_sqlite3.node");
    (built.exists() && modules.join("express").exists()).then_some(modules)
}

impl Express {
    /// Starts it on one processor.
    pub(crate) fn start(processor: usize) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let script = Path::new(super::FOLDER).join("express.js");
        let mut command = pinned("node", processor);
        command.env("NODE_PATH", modules().ok_or("Express is not installed")?);
        command.env("NODE_ENV", "production");
        command.arg(script).arg(port.to_string()).arg(folder.path());
        let process = Process::start(&mut command, "the Express server", port)?;
        Ok(Self { _process: process, address: SocketAddr::from(([127, 0, 0, 1], port)), _folder: folder })
    }
}
