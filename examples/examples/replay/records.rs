//! The records of a file of separated values (RFC 4180), each with the physical lines that it stands on.
//!
//! A quoted field may hold line breaks, and a quote that was never meant swallows whatever comes up to the next one. A
//! reader that believes every quote cannot tell the two apart. This one does: a record of several lines is believed
//! only where its form is perfect and none of its lines is a record by itself. Where it is not, its first line is named,
//! and the next line begins a record of its own. No line is lost.

use super::line::Reason;

/// Lines that one record may span: no remark has so many.
const RECORD_LINES_MAX: u64 = 100;

/// What the records of a file have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) delimiter: u8,
    pub(crate) columns: usize,
    /// Columns that hold neither line breaks nor quotes.
    pub(crate) plain: Vec<usize>,
}

/// The fields of a record, as bytes, without the space around them.
pub(crate) type Fields = Vec<Vec<u8>>;

/// A record, or a line that is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The line it begins on, from 1.
    pub(crate) line: u64,
    /// How many lines it stands on.
    pub(crate) lines: u64,
    /// What it holds, or why it is none. A line with nothing on it holds no field.
    pub(crate) fields: Result<Fields, Reason>,
}

/// Reads records, one after the other.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    shape: Shape,
    rest: &'a [u8],
    line: u64,
}

impl<'a> Records<'a> {
    /// The records of a text that begins with this line of the file.
    pub(crate) fn new(shape: Shape, rest: &'a [u8], line: u64) -> Self {
        Self { shape, rest, line }
    }

    /// The fields of a record whose quotes do not end on its first line, how many lines it stands on, and what comes
    /// after them; none if the quote was not meant.
    fn spanning(
        &self,
        mut splitter: Splitter,
        first: &[u8],
        rest: &'a [u8],
    ) -> Option<(Fields, u64, &'a [u8])> {
        // The last field alone may begin on a line that is whole without the rest of it.
        if self.is_whole(first) && splitter.fields.len() + 1 != self.shape.columns {
            return None;
        }
        let mut rest = rest;
        for lines in 2..=RECORD_LINES_MAX {
            let (line, after) = next_line(rest)?;
            rest = after;
            let opened = splitter.fields.len();
            splitter.take(line);
            // And the first field alone may end on one.
            if self.is_whole(line) && (splitter.is_open() || opened != 0) {
                return None;
            }
            if !splitter.is_open() {
                return Some((splitter.finish(&self.shape).ok()?, lines, rest));
            }
        }
        None
    }

    /// Whether a line has all columns by itself. A quote that does not end on it is a character like others.
    fn is_whole(&self, line: &[u8]) -> bool {
        let mut splitter = Splitter::new(self.shape.delimiter);
        splitter.take(line);
        let columns = if splitter.is_open() {
            line.iter().filter(|byte| **byte == self.shape.delimiter).count() + 1
        } else {
            splitter.fields.len()
        };
        columns == self.shape.columns
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let (first, rest) = next_line(self.rest)?;
        let mut splitter = Splitter::new(self.shape.delimiter);
        splitter.take(first);
        let (fields, lines, rest) = if first.trim_ascii().is_empty() {
            (Ok(Fields::new()), 1, rest)
        } else if !splitter.is_open() {
            (splitter.finish(&self.shape), 1, rest)
        } else if let Some((fields, lines, rest)) = self.spanning(splitter, first, rest) {
            (Ok(fields), lines, rest)
        } else {
            (Err("a quote that does not end in its line".into()), 1, rest)
        };
        let line = self.line;
        self.line += lines;
        self.rest = rest;
        Some(Record { line, lines, fields })
    }
}

/// The first line of a text, and what comes after it; none if it is empty. Lines end as on any system.
pub(crate) fn next_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if text.is_empty() {
        return None;
    }
    let Some(end) = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
        return Some((text, &[]));
    };
    let (line, rest) = text.split_at(end);
    let rest = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
    Some((line, rest))
}

/// The fields of one line, by one delimiter; none where its quotes do not end.
pub(crate) fn split(line: &[u8], delimiter: u8) -> Option<Fields> {
    let mut splitter = Splitter::new(delimiter);
    splitter.take(line);
    (!splitter.is_open() && !splitter.misplaced).then_some(splitter.fields)
}

/// Splits a record line by line.
#[derive(Debug)]
struct Splitter {
    delimiter: u8,
    /// Those that have ended.
    fields: Fields,
    /// The one that has not.
    field: Vec<u8>,
    state: State,
    /// Whether text stands behind the end of a quoted field.
    misplaced: bool,
    /// The columns of the fields that hold a line break or a quote.
    marked: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing of the field but space.
    Blank,
    /// In a field without quotes.
    Plain,
    /// Within quotes.
    Quoted,
    /// Behind a quote within quotes: they end there, unless another one follows.
    Quote,
    /// Behind the quotes.
    Behind,
}

impl Splitter {
    fn new(delimiter: u8) -> Self {
        let (fields, field, marked) = (Vec::new(), Vec::new(), Vec::new());
        Self { delimiter, fields, field, state: State::Blank, misplaced: false, marked }
    }

    fn is_open(&self) -> bool {
        self.state == State::Quoted
    }

    fn take(&mut self, line: &[u8]) {
        if self.is_open() {
            self.push(b'\n', State::Quoted);
        }
        for byte in line {
            self.take_byte(*byte);
        }
        if !self.is_open() {
            self.end_field();
        }
    }

    fn take_byte(&mut self, byte: u8) {
        let is_space = matches!(byte, b' ' | b'\t');
        self.state = match (self.state, byte) {
            (State::Quoted, b'"') => State::Quote,
            (State::Quoted, _) => self.push(byte, State::Quoted),
            (State::Quote, b'"') => self.push(byte, State::Quoted),
            (_, byte) if byte == self.delimiter => {
                self.end_field();
                State::Blank
            }
            (State::Blank, b'"') => {
                self.field.clear();
                State::Quoted
            }
            (State::Blank, _) if is_space => State::Blank,
            (State::Blank | State::Plain, _) => self.push(byte, State::Plain),
            (State::Quote | State::Behind, _) => {
                self.misplaced |= !is_space;
                State::Behind
            }
        };
    }

    fn push(&mut self, byte: u8, state: State) -> State {
        if matches!(byte, b'\n' | b'"') {
            self.marked.push(self.fields.len());
        }
        self.field.push(byte);
        state
    }

    fn end_field(&mut self) {
        self.fields.push(std::mem::take(&mut self.field).trim_ascii().to_vec());
        self.state = State::Blank;
    }

    fn finish(self, shape: &Shape) -> Result<Fields, Reason> {
        match self.fields.len() {
            _ if self.misplaced => Err("text behind the end of a quoted field".into()),
            found if found != shape.columns => Err(format!("a line of {found} columns").into()),
            _ if self.marked.iter().any(|column| shape.plain.contains(column)) => {
                Err("a quote or line break in another column than Description".into())
            }
            _ => Ok(self.fields),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of a text of three columns, the first and last of which are plain: line, lines, and fields or why not.
    fn records(text: &str) -> Vec<(u64, u64, String)> {
        let shape = Shape { delimiter: b',', columns: 3, plain: vec![0] };
        let text_of = |record: Record| match record.fields {
            Ok(fields) => {
                fields.iter().map(|field| String::from_utf8_lossy(field)).collect::<Vec<_>>().join("|")
            }
            Err(reason) => reason.into_owned(),
        };
        let records = Records::new(shape, text.as_bytes(), 1);
        records.map(|record| (record.line, record.lines, text_of(record))).collect()
    }

    fn assert_records(text: &str, expected: &[(u64, u64, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(line, lines, fields)| (*line, *lines, (*fields).to_owned())).collect();
        assert_eq!(records(text), expected, "{text}");
    }

    const OPEN: &str = "a quote that does not end in its line";

    #[test]
    fn fields_are_quoted_or_plain() {
        assert_records("1,\"a,b\",c", &[(1, 1, "1|a,b|c")]);
        assert_records("1,\"7\"\" PLATE\",c", &[(1, 1, "1|7\" PLATE|c")]);
        assert_records("1,7\" PLATE,c", &[(1, 1, "1|7\" PLATE|c")]);
        assert_records("1 , \"a, b\" ,\"\"", &[(1, 1, "1|a, b|")]);
        assert_records(
            "1,\"a\" b,c\n1,\"a\"b\",c",
            &[
                (1, 1, "text behind the end of a quoted field"),
                (2, 1, "text behind the end of a quoted field"),
            ],
        );
        assert_records("1,2\n1,2,3,4", &[(1, 1, "a line of 2 columns"), (2, 1, "a line of 4 columns")]);
    }

    #[test]
    fn lines_end_as_on_any_system() {
        for text in ["1,a,b\n2,c,d\n", "1,a,b\r\n2,c,d", "1,a,b\r2,c,d\r"] {
            assert_records(text, &[(1, 1, "1|a|b"), (2, 1, "2|c|d")]);
        }
        assert_records("\n1,a,b\n\n", &[(1, 1, ""), (2, 1, "1|a|b"), (3, 1, "")]);
    }

    #[test]
    fn a_quoted_field_may_hold_line_breaks() {
        assert_records("1,\"a\nb, c\r\n\nd\",e\n2,f,g", &[(1, 4, "1|a\nb, c\n\nd|e"), (5, 1, "2|f|g")]);
        // A field at the end of its record leaves a line behind that is whole without it.
        assert_records("1,a,\"b\nc\"\n2,f,g", &[(1, 2, "1|a|b\nc"), (3, 1, "2|f|g")]);
    }

    #[test]
    fn a_quote_that_never_ends_costs_its_own_line_and_no_other() {
        let text = "1,a,b\n2,\"c,d\n3,e,f\n4,g,h\n";
        assert_records(text, &[(1, 1, "1|a|b"), (2, 1, OPEN), (3, 1, "3|e|f"), (4, 1, "4|g|h")]);
        assert_records("1,\"a\n", &[(1, 1, OPEN)]);
        assert_records("1,a,\"b\n2,c,d\n", &[(1, 1, OPEN), (2, 1, "2|c|d")]);
        assert_records("\"1,a,b\n2,c,d\n", &[(1, 1, OPEN), (2, 1, "2|c|d")]);
    }

    #[test]
    fn a_quote_that_ends_by_accident_many_lines_later_swallows_nothing() {
        for last in ["4,7\",h", "4,\"g,h\",i", "4,\",\",h", "4,\"\",h", "4,\"g\",h"] {
            let text = format!("2,\"c,d\n3,e,f\n{last}\n");
            let found = records(&text);
            assert_eq!(found[..2], [(1, 1, OPEN.to_owned()), (2, 1, "3|e|f".to_owned())], "{text}");
            assert_eq!((found.len(), found[2].0, found[2].1), (3, 3, 1), "{text}");
            assert!(found[2].2.starts_with("4|"), "{text}: {}", found[2].2);
        }
    }

    #[test]
    fn a_record_of_several_lines_is_believed_only_in_perfect_form() {
        assert_records("1,\"a\nb\"\n", &[(1, 1, OPEN), (2, 1, "a line of 1 columns")]);
        assert_records("1,\"a\nb\" c,d\n", &[(1, 1, OPEN), (2, 1, "a line of 2 columns")]);
        let stray = "a quote or line break in another column than Description";
        assert_records("\"1\n2\",a,b\n3\"\",c,d", &[(1, 1, OPEN), (2, 1, stray), (3, 1, stray)]);
    }

    #[test]
    fn whatever_stands_before_a_good_line_every_line_is_counted_and_that_one_is_read() {
        const LENGTH_MAX: u32 = 8;
        for number in 0..4_usize.pow(LENGTH_MAX) {
            let character = |place| ['a', ',', '"', '\n'][number / 4_usize.pow(place) % 4];
            let before: String = (0..LENGTH_MAX).map(character).collect();
            let text = format!("{before}\n7,x,y\n");
            let found = records(&text);
            let mut line = 1;
            for (begin, lines, _) in &found {
                assert_eq!(*begin, line, "{text:?}");
                line += lines;
            }
            let count = text.matches('\n').count() as u64;
            assert_eq!(line, count + 1, "{text:?}");
            assert_eq!(found.last(), Some(&(count, 1, "7|x|y".to_owned())), "{text:?}");
        }
    }

    #[test]
    fn a_file_of_quotes_that_never_end_is_read_in_time_that_grows_with_its_length() {
        let lines = 20_000;
        assert_eq!(records(&"1,\"a\n".repeat(lines)).len(), lines);
    }
}
