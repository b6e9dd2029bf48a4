//! Where and when a run was made, and with what.

use serde_json::{Value, json};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use trade_core::clock::{Clock, SystemClock};

/// The head of a report: names and values, in order.
#[derive(Debug)]
pub(crate) struct Environment(Vec<(&'static str, String)>);

/// The folder with what the Express reference needs, if it is there: set by the `run` script.
pub(crate) const EXPRESS: &str = "TRADE_BENCH_EXPRESS";

impl Environment {
    /// Looks around.
    pub(crate) fn gather(settings: String) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        Self(vec![
            ("date", SystemClock::new().now().to_string()),
            ("machine", format!("{}, {cores} cores, {}", cpu(), memory())),
            ("kernel", file("/proc/sys/kernel/osrelease")),
            ("load at the start", file("/proc/loadavg")),
            ("commit", output("git", &["describe", "--always", "--dirty"])),
            ("rustc", output("rustc", &["--version"])),
            ("SQLite", rusqlite::version().to_owned()),
            ("PostgreSQL", version("postgres")),
            ("MariaDB", version("mariadbd")),
            ("MongoDB", version("mongod")),
            ("nginx", output("nginx", &["-v"])),
            ("nchan", output("dpkg-query", &["-W", "-f=${Version}", "libnginx-mod-nchan"])),
            ("node", output("node", &["--version"])),
            ("express", npm_version("express")),
            ("better-sqlite3", npm_version("better-sqlite3")),
            ("mongoose", npm_version("mongoose")),
            ("settings", settings),
        ])
    }

    pub(crate) fn markdown(&self) -> String {
        let lines = self.0.iter().map(|(name, value)| format!("- {name}: {value}\n"));
        lines.collect()
    }

    pub(crate) fn json(&self) -> Value {
        self.0
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

const UNKNOWN: &str = "unknown";

fn file(path: &str) -> String {
    std::fs::read_to_string(path).map_or_else(|_| UNKNOWN.to_owned(), |text| text.trim().to_owned())
}

/// The value of the first line of a file that begins with `name`.
fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn cpu() -> String {
    field("/proc/cpuinfo", "model name").unwrap_or_else(|| UNKNOWN.to_owned())
}

fn memory() -> String {
    let kib = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok())
        .unwrap_or(0);
    format!("{} GiB", kib >> 20)
}

/// The first line a program prints, on either output.
fn output(program: impl AsRef<OsStr>, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).current_dir(tests::server::root()).output() else {
        return "not installed".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.lines().next().unwrap_or(UNKNOWN).trim().to_owned()
}

fn version(program: &str) -> String {
    let path = crate::database::program(program);
    path.map_or_else(|| "not installed".to_owned(), |path| output(path, &["--version"]))
}

fn npm_version(package: &str) -> String {
    let read = || {
        let folder = std::env::var_os(EXPRESS)?;
        let path = Path::new(&folder).join("node_modules").join(package).join("package.json");
        let manifest: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        Some(manifest["version"].as_str()?.to_owned())
    };
    read().unwrap_or_else(|| "not installed".to_owned())
}
