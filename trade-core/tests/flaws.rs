//! What the simulation is worth: flaws in the committer, the view, receipts, the bus, sessions and the shutdown, each of
//! which a simulated network must show.
//!
//! That each flaw can be made is looked at always. `TRADE_FLAWS=1 cargo test -p trade-core --features testing --test flaws`
//! makes them one after the other in a copy of the workspace, and runs the simulation on each, which takes some minutes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// How many seeds each flaw is given.
const SEEDS: u64 = 2_000;

/// Something that is wrong, and how it is made so.
struct Flaw {
    what: &'static str,
    /// In which file of `src`.
    file: &'static str,
    /// What stands there once.
    right: &'static str,
    wrong: &'static str,
}

const FLAWS: [Flaw; 15] = [
    Flaw {
        what: "receipts are not looked up",
        file: "service/committer/base.rs",
        right: "requests: self.asking().flat_map(Pending::receipt_ids).collect(),",
        wrong: "requests: std::collections::BTreeSet::new(),",
    },
    Flaw {
        what: "callers are answered before the commit",
        file: "service/committer/group.rs",
        right: "let needs_no_commit = self.is_clean(draft);",
        wrong: "let needs_no_commit = true;",
    },
    Flaw {
        what: "the base is kept after a commit that failed",
        file: "service/committer/mod.rs",
        right: "self.base = Some(base.take_back(commit));",
        wrong: "self.base = Some(base);",
    },
    Flaw {
        what: "the base is kept after a commit behind what others wrote",
        file: "service/committer/mod.rs",
        right: "if is_behind {",
        wrong: "if is_behind && commit.log.is_empty() {",
    },
    Flaw {
        what: "the policy is not asked about what is presumed to be new",
        file: "service/committer/group.rs",
        right: "asker: pending.asker.clone(),",
        wrong: "asker: pending.asker.clone().filter(|_| pending.asks),",
    },
    Flaw {
        what: "subscribers hear of everything",
        file: "service/session.rs",
        right: "EventFilter { scope: filter.scope.within(self.scope()), ..filter }",
        wrong: "filter",
    },
    Flaw {
        what: "an unknown outcome is forgotten",
        file: "service/committer/mod.rs",
        right: "closed.undecided(error.kind == StoreErrorKind::OutcomeUnknown)",
        wrong: "closed.undecided(false)",
    },
    Flaw {
        what: "who is to be tried again is dropped",
        file: "service/committer/queue.rs",
        right: "self.put_back(again);",
        wrong: "drop(again);",
    },
    Flaw {
        what: "a command with a key leaves no receipt",
        file: "service/committer/group.rs",
        right: "if let Some(span) = span(made) {",
        wrong: "if let Some(span) = span(made).filter(|_| pending.request.idempotency.is_none()) {",
    },
    Flaw {
        what: "a command without a key that is tried again leaves no receipt of its first attempt",
        file: "service/committer/group.rs",
        right: "None => self.receive_attempt(pending.receipt_id().unwrap_or(self.attempt), Some(steps), time),",
        wrong: "None => self.receive_attempt(self.attempt, Some(steps), time),",
    },
    Flaw {
        what: "steps are published where they were to stand, not where they stand",
        file: "service/committer/group.rs",
        right: "record.last += moved",
        wrong: "record.last += moved - moved",
    },
    Flaw {
        what: "an atomic batch that is refused is not undone",
        file: "rules/mod.rs",
        right: "Err(rejection) if batch.atomic => {\n                    self.view.undo();",
        wrong: "Err(rejection) if batch.atomic => {\n                    self.view.keep();",
    },
    Flaw {
        what: "readers are not woken",
        file: "bus/mod.rs",
        right: "*head = Some(end);\n            }\n            newer\n",
        wrong: "*head = Some(end);\n            }\n            false\n",
    },
    Flaw {
        what: "a level that others changed is not followed",
        file: "view/follow.rs",
        right: "*stock = StockSlot { level: *level, listed: true, stored: true, changed: false }",
        wrong: "*stock = StockSlot { listed: true, stored: true, changed: false, ..*stock }",
    },
    Flaw {
        what: "a shutdown forgets who waits",
        file: "service/mod.rs",
        right: "committer.ended().await;",
        wrong: "committer.abort();\n        committer.ended().await;",
    },
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn source(of: &Path, flaw: &Flaw) -> PathBuf {
    of.join("trade-core/src").join(flaw.file)
}

#[test]
fn every_flaw_can_be_made() {
    for flaw in &FLAWS {
        let text = fs::read_to_string(source(&workspace(), flaw)).unwrap();
        assert_eq!(text.matches(flaw.right).count(), 1, "{}: {}", flaw.file, flaw.right);
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        match name.to_str() {
            Some("target" | ".git") => {}
            _ if kind.is_dir() => copy(&entry.path(), &to.join(name))?,
            _ if kind.is_file() => drop(fs::copy(entry.path(), to.join(name))?),
            _ => {}
        }
    }
    Ok(())
}

/// Plays a workspace's networks. Answers the first seed that does not hold.
fn first_that_fails(workspace: &Path) -> io::Result<Option<u64>> {
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(workspace).env("CARGO_TARGET_DIR", workspace.join("target"));
    build.args(["test", "--no-run", "-p", "trade-core", "--features", "testing", "--test", "simulation"]);
    let built = build.output()?;
    let told = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{told}");
    // Cargo names it in brackets.
    let named = told.lines().rev().find_map(|line| line.trim().strip_suffix(')')?.split_once(" ("));
    let program = workspace.join(named.expect("Cargo names what it built").1);
    for seed in 0..SEEDS {
        let mut play = Command::new(&program);
        play.current_dir(workspace)
            .env("TRADE_SIMULATION_SEED", seed.to_string())
            .arg("seed_of_the_environment");
        if !play.output()?.status.success() {
            return Ok(Some(seed));
        }
    }
    Ok(None)
}

#[test]
fn every_flaw_shows() {
    if std::env::var_os("TRADE_FLAWS").is_none() {
        println!("note: no flaw is made: TRADE_FLAWS=1 makes them, which takes some minutes");
        return;
    }
    let copied = tempfile::tempdir().unwrap();
    copy(&workspace(), copied.path()).unwrap();
    assert_eq!(first_that_fails(copied.path()).unwrap(), None, "without a flaw everything holds");
    let mut missed = Vec::new();
    for flaw in &FLAWS {
        let path = source(copied.path(), flaw);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(flaw.right, flaw.wrong)).unwrap();
        let failed = first_that_fails(copied.path()).unwrap();
        println!("{}: first seed that fails: {failed:?}", flaw.what);
        missed.extend(failed.is_none().then_some(flaw.what));
        fs::write(&path, text).unwrap();
    }
    assert!(missed.is_empty(), "not shown: {missed:?}");
}
