//! What was taken over, what was odd about it, and what was not taken over, and why.

use super::finding::{Collection, Odd, Oddity, Refusal, Refused};
use crate::Failure;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};

/// How many lines of a kind are shown where no file holds them all.
const SHOWN_MAX: usize = 5;

/// Counts, a few lines of each kind, and where there is a file, all lines.
#[derive(Debug)]
pub(crate) struct Report {
    tallies: [Tally; Collection::ALL.len()],
    odd: BTreeMap<Odd, Lines>,
    refused: BTreeMap<Refused, Lines>,
    file: Option<(String, BufWriter<File>)>,
}

/// What became of the documents of a collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) taken: u64,
    pub(crate) refused: u64,
}

#[derive(Debug, Default)]
struct Lines {
    count: u64,
    shown: Vec<String>,
}

impl Report {
    /// An empty report, all lines of which go to a file where one is named.
    ///
    /// # Errors
    /// [`Failure::Failed`] if the file cannot be made.
    pub(crate) fn new(path: Option<&str>) -> Result<Self, Failure> {
        let file = match path {
            None => None,
            Some(path) => {
                let file = File::create(path).map_err(|error| unwritten(path, &error))?;
                Some((path.to_owned(), BufWriter::new(file)))
            }
        };
        Ok(Self { tallies: Default::default(), odd: BTreeMap::new(), refused: BTreeMap::new(), file })
    }

    fn tally(&mut self, collection: Collection) -> &mut Tally {
        &mut self.tallies[collection as usize]
    }

    /// A document that is taken over.
    pub(crate) fn taken(&mut self, collection: Collection) {
        self.tally(collection).taken += 1;
    }

    /// A document that is not.
    pub(crate) fn refused(
        &mut self,
        collection: Collection,
        id: &str,
        refusal: &Refusal,
    ) -> Result<(), Failure> {
        self.tally(collection).refused += 1;
        let line = format!("{} {id}: {}", collection.name(), refusal.detail);
        self.write("not taken over", refusal.kind.words(), &line)?;
        self.refused.entry(refusal.kind).or_default().add(line);
        Ok(())
    }

    /// What is odd about a document that is taken over.
    pub(crate) fn odd(&mut self, collection: Collection, id: &str, oddity: &Oddity) -> Result<(), Failure> {
        let line = format!("{} {id}: {}", collection.name(), oddity.detail);
        self.write("odd", oddity.kind.words(), &line)?;
        self.odd.entry(oddity.kind).or_default().add(line);
        Ok(())
    }

    fn write(&mut self, what: &str, kind: &str, line: &str) -> Result<(), Failure> {
        match &mut self.file {
            None => Ok(()),
            Some((path, file)) => {
                writeln!(file, "{what}: {kind}: {line}").map_err(|error| unwritten(path, &error))
            }
        }
    }

    /// Whether every document of the source is accounted for.
    pub(crate) fn accounts_for(&self, counts: &[u64]) -> bool {
        self.tallies.iter().map(|tally| tally.taken + tally.refused).eq(counts.iter().copied())
    }

    /// The collections most of which are not taken over, on one line.
    pub(crate) fn mostly_left(&self) -> Option<String> {
        let tallies = self.tallies.iter().zip(Collection::ALL);
        let lost = tallies.filter(|(tally, _)| tally.refused > tally.taken).map(|(tally, collection)| {
            format!("{} of {} {}", tally.refused, tally.taken + tally.refused, collection.name())
        });
        let lost: Vec<_> = lost.collect();
        (!lost.is_empty()).then(|| format!("most was not taken over: {}", lost.join(", ")))
    }

    /// The report as text; its lines are in the file from then on.
    ///
    /// # Errors
    /// [`Failure::Failed`] if the file cannot be written.
    pub(crate) fn finish(mut self, from: &str, into: &str, notes: &[String]) -> Result<String, Failure> {
        let mut text = format!("taken over from {from} into {into}:");
        for (tally, collection) in self.tallies.iter().zip(Collection::ALL) {
            let Tally { taken, refused } = tally;
            let all = taken + refused;
            add(
                &mut text,
                format_args!("\n  {:<12}{taken} of {all}, {refused} not taken over", collection.name()),
            );
        }
        for note in notes {
            add(&mut text, format_args!("\n{note}"));
        }
        let is_whole = self.file.is_some();
        if !self.odd.is_empty() {
            text.push_str("\nodd, and taken over all the same:");
            let kinds = self.odd.iter().map(|(kind, lines)| (kind.words(), lines));
            kinds.for_each(|(words, lines)| lines.list(&mut text, words, is_whole));
        }
        if !self.refused.is_empty() {
            text.push_str("\nnot taken over:");
            let kinds = self.refused.iter().map(|(kind, lines)| (kind.words(), lines));
            kinds.for_each(|(words, lines)| lines.list(&mut text, words, is_whole));
        }
        if let Some((path, file)) = &mut self.file {
            let written = writeln!(file, "{text}").and_then(|()| file.flush());
            written.map_err(|error| unwritten(path, &error))?;
            add(&mut text, format_args!("\nevery line is in {path}"));
        }
        Ok(text)
    }
}

impl Lines {
    fn add(&mut self, line: String) {
        self.count += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(line);
        }
    }

    fn list(&self, text: &mut String, kind: &str, is_whole: bool) {
        add(text, format_args!("\n  {kind}: {}", self.count));
        for line in &self.shown {
            add(text, format_args!("\n    {line}"));
        }
        let more = self.count - self.shown.len() as u64;
        if more > 0 {
            let remedy = if is_whole { "" } else { " (--report FILE lists all)" };
            add(text, format_args!("\n    and {more} more{remedy}"));
        }
    }
}

fn add(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(line);
}

fn unwritten(path: &str, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("the report {path} cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_counts_every_kind_and_shows_a_few_lines_of_each() {
        let mut report = Report::new(None).unwrap();
        for number in 0..7 {
            report.taken(Collection::Trades);
            let oddity = Oddity::new(Odd::TradeWithoutCargo, format!("T-{number}"));
            report.odd(Collection::Trades, &format!("id{number}"), &oddity).unwrap();
        }
        let refusal = Refusal::new(Refused::UnknownStatus, "status \"lent\"");
        report.refused(Collection::Cargos, "c1", &refusal).unwrap();
        assert!(report.accounts_for(&[7, 1, 0]));
        assert!(!report.accounts_for(&[8, 1, 0]));
        assert_eq!(report.mostly_left().as_deref(), Some("most was not taken over: 1 of 1 cargos"));
        let text = report.finish("A", "B", &[]).unwrap();
        for line in [
            "  trades      7 of 7, 0 not taken over",
            "  cargos      0 of 1, 1 not taken over",
            "  trade without cargo, which was made: 7",
            "    trades id4: T-4",
            "    and 2 more (--report FILE lists all)",
            "  no such status: 1",
            "    cargos c1: status \"lent\"",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
        assert!(!text.contains("id5"), "{text}");
    }

    #[test]
    fn a_file_holds_every_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.txt");
        let mut report = Report::new(path.to_str()).unwrap();
        for number in 0..9 {
            let oddity = Oddity::new(Odd::TimeMissing, "none");
            report.odd(Collection::Trades, &format!("id{number}"), &oddity).unwrap();
        }
        report.finish("A", "B", &[]).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            text.lines().filter(|line| line.starts_with("odd: no time of creation: trades id")).count(),
            9
        );
    }
}
