//! Stores that servers of a test share, in a folder of the test's own.

use tempfile::TempDir;

/// A folder that is removed at the end.
#[derive(Debug)]
pub struct World {
    folder: TempDir,
}

impl World {
    /// A new folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder can be made") }
    }

    /// The URL of a SQLite store in it.
    pub fn sqlite(&self) -> String {
        format!("sqlite://{}", self.path("network.db"))
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("temporary folders have plain names").to_owned()
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
