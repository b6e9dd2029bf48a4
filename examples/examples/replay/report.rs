//! The file that names every line that did not become stock, if one was asked for.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Lines with their reasons.
#[derive(Debug)]
pub(crate) struct Report {
    file: Option<(String, BufWriter<File>)>,
}

impl Report {
    /// An empty one. The file that is read must not be the one that is written.
    ///
    /// # Errors
    /// One line that says why it cannot be written.
    pub(crate) fn new(path: Option<&Path>, read: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else { return Ok(Self { file: None }) };
        let shown = path.display().to_string();
        let place = |path: Option<&Path>| path.and_then(|path| path.canonicalize().ok());
        if place(read).is_some_and(|read| place(Some(path)) == Some(read)) {
            return Err(format!("--report {shown}: is the file that is read"));
        }
        let file = File::create(path).map_err(|error| unwritten(&shown, &error))?;
        Ok(Self { file: Some((shown, BufWriter::new(file))) })
    }

    /// Adds lines of the file, by their numbers.
    ///
    /// # Errors
    /// One line that says why it cannot be written.
    pub(crate) fn add(
        &mut self,
        lines: impl IntoIterator<Item = (u64, impl AsRef<str>)>,
    ) -> Result<(), String> {
        let Some((shown, file)) = &mut self.file else { return Ok(()) };
        let mut lines = lines.into_iter();
        let written = lines.try_for_each(|(line, reason)| writeln!(file, "line {line}: {}", reason.as_ref()));
        // What was found so far is there, whatever comes next.
        written.and_then(|()| file.flush()).map_err(|error| unwritten(shown, &error))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> Option<&str> {
        self.file.as_ref().map(|(shown, _)| &**shown)
    }
}

fn unwritten(shown: &str, error: &std::io::Error) -> String {
    format!("the report {shown} cannot be written: {error}")
}
