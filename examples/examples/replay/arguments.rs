//! The command line.

use super::dates::Order;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
Replays the invoices of a wholesaler through a trade network.

usage: replay [--store URL | --url URL] [--dates ORDER] [--report FILE] [FILE]

  --store URL   into this store, through the library: sqlite://path.db, memory:, or one of a server, such as
                mongodb://host/database?replicaSet=NAME (default sqlite://replay.db)
  --url URL     into a running server: http://127.0.0.1:8080
  --dates ORDER day-first or month-first: how dates such as 1/12/2010 are meant (by default as those tell that can only
                be one of both; a file in which none does, or two contradict each other, is refused)
  --report FILE writes the number of every line that is left out there, and why
  FILE          CSV, plain or gzip, with the columns InvoiceNo, StockCode, Description, Quantity, InvoiceDate,
                UnitPrice, CustomerID and Country; standard input when absent or -. Fields stand between commas,
                semicolons, tabs or bars, in UTF-8, or in UTF-16 with a byte order mark. Dates are 2010-12-01 or
                12/1/2010, with or without a time of day and an offset; a year has four digits

exit codes: 0 every line was taken or is left out for a named reason, and stock adds up; 1 not so, or no line could be
taken, or most were left out for one reason or could not be read (nothing is sent then); 2 bad arguments
";
const STORE: &str = "sqlite://replay.db";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    /// Replay the file, or standard input where there is none.
    Replay {
        into: Into,
        file: Option<PathBuf>,
        dates: Option<Order>,
        report: Option<PathBuf>,
    },
}

/// Where to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Into {
    Store(String),
    Server(String),
}

/// Reads the arguments, without the program's name.
///
/// # Errors
/// One line that says what is wrong.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Task, String> {
    use lexopt::prelude::*;
    let line = |error: lexopt::Error| format!("{error}; see --help");
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut store, mut url, mut file, mut dates, mut report) = (None, None, None, None, None);
    while let Some(argument) = parser.next().map_err(line)? {
        match argument {
            Short('h') | Long("help") => return Ok(Task::Help),
            Long("store") => store = Some(parser.value().and_then(|value| value.string()).map_err(line)?),
            Long("url") => url = Some(parser.value().and_then(|value| value.string()).map_err(line)?),
            Long("report") => report = Some(PathBuf::from(parser.value().map_err(line)?)),
            Long("dates") => {
                dates = Some(match parser.value().map_err(line)?.to_str() {
                    Some("day-first") => Order::DayFirst,
                    Some("month-first") => Order::MonthFirst,
                    _ => return Err("--dates must be day-first or month-first; see --help".into()),
                });
            }
            Value(path) if file.is_none() => file = Some(PathBuf::from(path)),
            other => return Err(line(other.unexpected())),
        }
    }
    let into = match (store, url) {
        (Some(_), Some(_)) => return Err("--store and --url exclude each other".into()),
        (store, None) => Into::Store(store.unwrap_or_else(|| STORE.into())),
        (None, Some(url)) => Into::Server(url),
    };
    if file.is_none() && std::io::stdin().is_terminal() {
        return Err("name a FILE, or pipe one in; see --help".into());
    }
    let file = file.filter(|path| path.as_os_str() != "-");
    Ok(Task::Replay { into, file, dates, report })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_words(words: &str) -> Result<Task, String> {
        read(words.split_whitespace().map(OsString::from))
    }

    #[test]
    fn a_file_goes_into_a_store_or_a_server() {
        let task = |into, file: Option<&str>| {
            Ok(Task::Replay { into, file: file.map(PathBuf::from), dates: None, report: None })
        };
        assert_eq!(read_words("a.csv"), task(Into::Store(STORE.into()), Some("a.csv")));
        assert_eq!(read_words("--store=memory: -"), task(Into::Store("memory:".into()), None));
        assert_eq!(
            read_words("--url http://h:1 a.csv"),
            task(Into::Server("http://h:1".into()), Some("a.csv"))
        );
        let Ok(Task::Replay { dates, report, .. }) = read_words("--dates day-first --report r.txt a.csv")
        else {
            panic!("a replay")
        };
        assert_eq!((dates, report), (Some(Order::DayFirst), Some("r.txt".into())));
        for bad in ["--store a --url b c", "a b", "--stor a", "--store", "-x", "--dates d/m a", "--report"] {
            let error = read_words(bad).expect_err(bad);
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
