//! A program that a test starts beside itself.

use std::process::{Child, Command, Stdio};

/// What was started for a test, with all that it started, until this is dropped.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts a program that `tests/run` installs. Debian keeps those of administrators out of the way of users.
    pub fn start(command: &mut Command) -> Self {
        use std::os::unix::process::CommandExt;
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin")).stdin(Stdio::null()).process_group(0);
        Self(command.spawn().expect("it is installed: see tests/run"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}
