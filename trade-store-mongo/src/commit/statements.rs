//! Many documents of one collection in as few commands as they go in.

use super::turn::{OPERATION, Turn};
use crate::classify::{DUPLICATE_KEY, NAME, undone};
use mongodb::bson::{Bson, Document, RawArrayBuf, RawDocumentBuf, rawdoc};
use trade_core::store::{StoreError, StoreErrorKind};

/// A command is a document of at most 16 MB, and each of its statements has some bytes around it.
const COMMAND_BYTES_MAX: usize = 12 << 20;
/// The most statements of a command (`maxWriteBatchSize`).
const COMMAND_STATEMENTS_MAX: usize = 100_000;
/// The largest document; the server takes little more.
const DOCUMENT_BYTES_MAX: usize = 15 << 20;
/// What stands around a statement in its list.
const OVERHEAD_BYTES: usize = 16;

/// What the statements of a collection do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Each makes a document, of a key that another commit may have made first.
    Insert,
    /// The same, of a key past the head, which nobody can have made.
    Append,
    /// Each changes one document, which is there and of the version that it should have.
    Update,
}

/// Statements for one collection.
#[derive(Debug)]
pub(super) struct Statements {
    collection: &'static str,
    sort: Sort,
    commands: Vec<(RawArrayBuf, u64)>,
    bytes: usize,
    oversized: bool,
}

impl Statements {
    pub(super) fn new(collection: &'static str, sort: Sort) -> Self {
        Self { collection, sort, commands: Vec::new(), bytes: 0, oversized: false }
    }

    /// Adds a document to make.
    pub(super) fn add(&mut self, statement: RawDocumentBuf) {
        let bytes = statement.as_bytes().len();
        self.oversized |= bytes > DOCUMENT_BYTES_MAX;
        let full = self.commands.last().is_none_or(|(_, count)| {
            self.bytes + bytes > COMMAND_BYTES_MAX || *count >= COMMAND_STATEMENTS_MAX as u64
        });
        if full {
            self.commands.push((RawArrayBuf::new(), 0));
            self.bytes = 0;
        }
        self.bytes += bytes + OVERHEAD_BYTES;
        if let Some((list, count)) = self.commands.last_mut() {
            list.push(statement);
            *count += 1;
        }
    }

    /// Adds a change of the one document that a filter finds.
    pub(super) fn update(&mut self, filter: RawDocumentBuf, change: RawDocumentBuf) {
        self.add(rawdoc! { "q": filter, "u": change });
    }

    /// Runs them in a transaction.
    ///
    /// # Errors
    /// `Conflict` where something is not as it should be, `Corrupt` where there are documents past the head of the log,
    /// `TooLarge` where a document is larger than the server takes, or all of them are.
    pub(super) async fn run(self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        if self.oversized {
            let detail = format!("a document for {} is larger than the server takes", self.collection);
            return Err(StoreError::new(StoreErrorKind::TooLarge, NAME, OPERATION, detail));
        }
        for (list, count) in self.commands {
            let mut command = match self.sort {
                Sort::Update => rawdoc! { "update": self.collection, "updates": list },
                Sort::Insert | Sort::Append => rawdoc! { "insert": self.collection, "documents": list },
            };
            command.append(mongodb::bson::raw::cstr!("maxTimeMS"), turn.link.millis_max());
            let run = turn.link.database.run_raw_command(command).session(&mut turn.session);
            let reply = turn.link.answered(OPERATION, run).await?;
            self.sort.check(self.collection, &reply.map_err(undone(OPERATION))?, count)?;
        }
        Ok(())
    }
}

impl Sort {
    /// Checks that each statement did what it should.
    fn check(self, collection: &str, reply: &Document, expected: u64) -> Result<(), StoreError> {
        let failed = |kind, detail: String| Err(StoreError::new(kind, NAME, OPERATION, detail));
        if let Some(Bson::Document(error)) =
            reply.get_array("writeErrors").ok().and_then(|errors| errors.first())
        {
            let code = error.get_i32("code").unwrap_or(0);
            return match (code, self) {
                (DUPLICATE_KEY, Self::Append) => failed(
                    StoreErrorKind::Corrupt,
                    format!("there are documents in {collection} past the head of the log"),
                ),
                (DUPLICATE_KEY, _) => {
                    failed(StoreErrorKind::Conflict, format!("a document of {collection} exists already"))
                }
                _ => {
                    let (kind, detail) = crate::classify::meaning_of_code(code);
                    failed(kind, format!("{collection}: {detail} (code {code})"))
                }
            };
        }
        let written = reply.get_i32("n").ok().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        if written == expected {
            return Ok(());
        }
        // A document may be of another version than expected though nobody moved the head, where what the commit was made
        // from was not of one moment.
        failed(
            StoreErrorKind::Conflict,
            format!("{written} documents of {collection} were written instead of {expected}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::doc;

    fn of(count: usize, bytes: usize) -> Statements {
        let mut statements = Statements::new("log", Sort::Append);
        let text = "x".repeat(bytes);
        (0..count).for_each(|_| statements.add(rawdoc! { "text": &*text }));
        statements
    }

    #[test]
    fn statements_are_split_where_a_command_would_be_too_large() {
        assert_eq!(of(0, 0).commands.len(), 0);
        assert_eq!(of(1_000, 1_000).commands.len(), 1);
        let split = of(30, 1 << 20);
        assert_eq!(split.commands.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [11, 11, 8]);
        assert!(split.commands.iter().all(|(list, _)| list.as_bytes().len() < 16 << 20));
        let many = of(COMMAND_STATEMENTS_MAX + 1, 1);
        assert_eq!(many.commands.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [100_000, 1]);
    }

    #[test]
    fn what_cannot_be_split_is_noticed() {
        assert!(!of(1, 14 << 20).oversized);
        assert!(of(1, 16 << 20).oversized);
    }

    #[test]
    fn an_answer_says_whether_every_statement_did_what_it_should() {
        let kind = |sort: Sort, reply| sort.check("x", &reply, 2).map_err(|error| error.kind);
        assert_eq!(kind(Sort::Update, doc! { "n": 2, "nModified": 2 }), Ok(()));
        assert_eq!(kind(Sort::Update, doc! { "n": 1 }), Err(StoreErrorKind::Conflict));
        let taken = doc! { "n": 1, "writeErrors": [{ "index": 1, "code": DUPLICATE_KEY }] };
        assert_eq!(kind(Sort::Insert, taken.clone()), Err(StoreErrorKind::Conflict));
        assert_eq!(kind(Sort::Append, taken), Err(StoreErrorKind::Corrupt));
        let invalid = doc! { "n": 0, "writeErrors": [{ "index": 0, "code": 121 }] };
        assert_eq!(kind(Sort::Insert, invalid), Err(StoreErrorKind::Internal));
    }
}
