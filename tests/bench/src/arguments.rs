//! The command line.

use crate::engine::Engine;
use crate::worker::Part;
use lexopt::{Arg, Parser, ValueExt};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage: ./tests/bench/run [--engine sqlite|postgres|mysql|mongodb|memory] [--only NAME[,NAME]] [--rounds N]
                         [--seconds S] [--json FILE] [--large] [--list]

  --engine   the store that is measured (sqlite)
  --only     these rows, by their names or the beginnings of them; --list names them
  --rounds   rounds of each row, at least 3 for a figure that counts (3)
  --seconds  how long each side of a round works (3)
  --json     writes the report there as well
  --large    rows about many trades take 10 000 000 instead of 1 000 000
  --list     only names the rows";

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Arguments {
    pub(crate) engine: Engine,
    pub(crate) only: Vec<String>,
    pub(crate) rounds: usize,
    pub(crate) duration: Duration,
    pub(crate) json: Option<PathBuf>,
    pub(crate) large: bool,
    pub(crate) list: bool,
    pub(crate) help: bool,
    /// Only tells which programs the rows asked for need beside ours.
    pub(crate) needs: bool,
    /// This process is a part of the load of another.
    pub(crate) worker: Option<Part>,
}

impl Arguments {
    /// Reads them.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub(crate) fn parse(mut parser: Parser) -> Result<Self, lexopt::Error> {
        let mut arguments = Self {
            engine: Engine::Sqlite,
            only: Vec::new(),
            rounds: 3,
            duration: Duration::from_secs(3),
            json: None,
            large: false,
            list: false,
            help: false,
            needs: false,
            worker: None,
        };
        let mut part = Part { url: String::new(), callers: 1, first: 0 };
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("engine") => arguments.engine = parser.value()?.parse()?,
                Arg::Long("only") => {
                    let names = parser.value()?.string()?;
                    arguments.only.extend(names.split(',').map(str::to_owned));
                }
                Arg::Long("rounds") => arguments.rounds = parser.value()?.parse_with(rounds)?,
                Arg::Long("seconds") => arguments.duration = parser.value()?.parse_with(seconds)?,
                Arg::Long("json") => arguments.json = Some(parser.value()?.into()),
                Arg::Long("large") => arguments.large = true,
                Arg::Long("list") => arguments.list = true,
                Arg::Long("help") => arguments.help = true,
                Arg::Long("needs") => arguments.needs = true,
                Arg::Long("worker") => part.url = parser.value()?.string()?,
                Arg::Long("callers") => part.callers = parser.value()?.parse()?,
                Arg::Long("first") => part.first = parser.value()?.parse()?,
                // Cargo tells every benchmark that it is one.
                Arg::Long("bench") => {}
                _ => return Err(argument.unexpected()),
            }
        }
        arguments.worker = Some(part).filter(|part| !part.url.is_empty());
        Ok(arguments)
    }

    /// Whether a row is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only.as_str()))
    }
}

fn rounds(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|rounds| (1..=100).contains(rounds)).ok_or("rounds are 1 to 100")
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or("seconds are 0.1 to 600")
}
