//! Programs beside ours, run as children and ended by their process ids.

use crate::report::Failure;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STOP_MAX: Duration = Duration::from_secs(5);
const START_MAX: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// A running program. It is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: &'static str,
    /// The signal that asks it to end.
    end: &'static str,
}

impl Process {
    /// Starts a program, and waits until something listens at its port.
    pub(crate) fn start(command: &mut Command, name: &'static str, port: u16) -> Result<Self, Failure> {
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        let child = spawned.map_err(|error| format!("{name} cannot be started: {error}"))?;
        let mut process = Self { child, name, end: "-TERM" };
        let begin = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = process.child.try_wait()? {
                return Err(format!("{name} ended before it was ready: {status}").into());
            }
            if begin.elapsed() > START_MAX {
                return Err(format!("{name} is not ready after {START_MAX:?}").into());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(process)
    }

    /// The same, asked to end by another signal than `-TERM`.
    #[must_use]
    pub(crate) fn ended_by(mut self, signal: &'static str) -> Self {
        self.end = signal;
        self
    }

    /// The resident memory of it and its children, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64, Failure> {
        let mut bytes = resident_bytes(self.child.id())?;
        for child in children(self.child.id()) {
            bytes += resident_bytes(child)?;
        }
        Ok(bytes)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked first: a program with children of its own ends them then.
        let children = children(self.child.id());
        signal(self.end, self.child.id());
        let begin = Instant::now();
        while begin.elapsed() < STOP_MAX {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        eprintln!("{} does not end by itself", self.name);
        children.into_iter().for_each(|child| signal("-KILL", child));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(signal: &str, pid: u32) {
    // One that is gone already needs none.
    let _ = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
}

fn children(pid: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// The resident memory of a process, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("VmRSS is not told")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// A port of the loopback interface that was free a moment ago.
pub(crate) fn free_port() -> Result<u16, Failure> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A command on one processor only, where there are several.
pub(crate) fn pinned(program: &str, processor: usize) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &processor.to_string(), program]);
    command
}
