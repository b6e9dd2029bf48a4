//! Reading the file: plain or gzip, from a path or standard input, in the forms that spreadsheets write.

use super::dates::Order;
use super::line::{Reason, Record};
use super::plan::{Plan, Planner};
use super::records::{self, Fields, Records, Shape, next_line};
use flate2::read::MultiGzDecoder;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// The columns, in the order of [`Record`]'s fields. The file may have them in another, and others beside them.
const COLUMNS: [&str; 8] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];
/// The one that a clerk writes in, so that it may hold anything.
const FREE_TEXT: &str = "Description";
/// What may stand between fields.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// How a gzip file begins (RFC 1952 §2.3.1), and a ZIP archive.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZIP_MAGIC: [u8; 4] = *b"PK\x03\x04";
/// The most characters of a line that are shown.
const SHOWN_MAX: usize = 120;

/// Opens a file, or standard input where there is no path.
pub(crate) fn open(path: Option<&Path>) -> io::Result<Box<dyn Read + Send>> {
    Ok(match path {
        None => Box::new(io::stdin()),
        Some(path) => Box::new(File::open(path)?),
    })
}

/// Reads a file to its end, and makes a plan of it. Its dates are of this order, or of the one that they tell.
pub(crate) fn plan(mut input: impl Read, dates: Option<Order>) -> Result<Plan, Box<dyn Error>> {
    let mut start = Vec::new();
    input.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start)?;
    let packed = start == GZIP_MAGIC;
    let mut input = BufReader::new(io::Cursor::new(start).chain(input));
    let mut bytes = Vec::new();
    if packed {
        MultiGzDecoder::new(input).read_to_end(&mut bytes)?;
    } else {
        input.read_to_end(&mut bytes)?;
    }
    plan_text(&text(bytes)?, dates)
}

/// The text of a file without its byte order mark: as it is, or out of UTF-16. What is no UTF-8 is left to each field.
fn text(bytes: Vec<u8>) -> Result<Vec<u8>, Box<dyn Error>> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("it is UTF-16, and ends within a character");
        }
        let units = pairs.iter().map(|pair| unit(*pair));
        let text: String =
            char::decode_utf16(units).map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        Ok(text.into_bytes())
    };
    Ok(match &bytes[..] {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            return Err("it is UTF-32: save it as UTF-8".into());
        }
        [0xff, 0xfe, text @ ..] => wide(text, u16::from_le_bytes)?,
        [0xfe, 0xff, text @ ..] => wide(text, u16::from_be_bytes)?,
        [0xef, 0xbb, 0xbf, text @ ..] => text.to_vec(),
        [0, _, ..] | [_, 0, ..] => {
            return Err("it looks like UTF-16 without a byte order mark: save it as UTF-8".into());
        }
        text if text.starts_with(&ZIP_MAGIC) => {
            return Err("it is a ZIP archive, as a workbook of Excel is: save the sheet as CSV".into());
        }
        _ => bytes,
    })
}

/// How the file is written, and where its columns stand in it.
#[derive(Debug)]
struct Header {
    shape: Shape,
    places: Vec<usize>,
}

fn plan_text(text: &[u8], dates: Option<Order>) -> Result<Plan, Box<dyn Error>> {
    let (Header { shape, places }, rest, line) = header(text)?;
    let mut planner = Planner::new(dates)?;
    for records::Record { line, lines, fields } in Records::new(shape, rest, line) {
        match fields.and_then(|fields| record(&fields, &places)) {
            Ok(Some(record)) => planner.add(&record, line, lines),
            Ok(None) => planner.add_empty(lines),
            Err(reason) => planner.skip(line, lines, &reason),
        }
    }
    planner.finish()
}

/// Finds the header: the first line with something on it, or the one after `sep=;`, by which Excel is told the delimiter.
/// With it comes what stands behind it, and the number of the line that this begins with.
fn header(text: &[u8]) -> Result<(Header, &[u8], u64), Box<dyn Error>> {
    let (mut rest, mut number, mut given) = (text, 1, None);
    loop {
        let (line, after) = next_line(rest).ok_or("it is empty")?;
        (rest, number) = (after, number + 1);
        if line.trim_ascii().is_empty() {
            continue;
        }
        if given.is_none() {
            given = separator(line)?;
            if given.is_some() {
                continue;
            }
        }
        return Ok((header_of(line, given)?, rest, number));
    }
}

/// The delimiter that a line such as `sep=;` names.
fn separator(line: &[u8]) -> Result<Option<u8>, String> {
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let (name, delimiter) = line.split_at(line.len().min(4));
    match delimiter {
        _ if !name.eq_ignore_ascii_case(b"sep=") => Ok(None),
        [delimiter] if delimiter.is_ascii_punctuation() && *delimiter != b'"' => Ok(Some(*delimiter)),
        b"\t" => Ok(Some(b'\t')),
        _ => Err(format!("its first line names no delimiter: {}", shown(line))),
    }
}

fn header_of(line: &[u8], given: Option<u8>) -> Result<Header, String> {
    let delimiters = given.map_or(DELIMITERS.to_vec(), |given| vec![given]);
    let names = |delimiter: u8| {
        let names: Vec<_> = records::split(line, delimiter)?.iter().map(|field| trimmed(field)).collect();
        Some((delimiter, names))
    };
    let known =
        |(_, names): &(u8, Vec<String>)| names.iter().filter(|name| COLUMNS.contains(&&***name)).count();
    // The first of those that tell most.
    let best = delimiters.into_iter().rev().filter_map(names).max_by_key(known);
    let (delimiter, names) =
        best.ok_or_else(|| format!("a quote in its header does not end: {}", shown(line)))?;
    let mut places = Vec::with_capacity(COLUMNS.len());
    for column in COLUMNS {
        let mut found = names.iter().enumerate().filter(|(_, name)| *name == column);
        let (place, _) = found
            .next()
            .ok_or_else(|| format!("it has no column {column}; its header is {}", shown(line)))?;
        if found.next().is_some() {
            return Err(format!("it has the column {column} twice; its header is {}", shown(line)));
        }
        places.push(place);
    }
    let plain = COLUMNS.iter().zip(&places).filter(|(column, _)| **column != FREE_TEXT);
    let plain = plain.map(|(_, place)| *place).collect();
    Ok(Header { shape: Shape { delimiter, columns: names.len(), plain }, places })
}

/// The fields of a record under their names, none where all are empty: spreadsheets write such lines behind the last.
fn record(fields: &Fields, places: &[usize]) -> Result<Option<Record>, Reason> {
    if fields.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let texts: Vec<_> =
        places.iter().map(|place| fields.get(*place).map_or_else(String::new, |f| trimmed(f))).collect();
    // In an id, two that cannot be read would be one.
    for (column, text) in COLUMNS.iter().zip(&texts) {
        if *column != FREE_TEXT && text.contains(char::REPLACEMENT_CHARACTER) {
            return Err(format!("characters in {column} that are no UTF-8").into());
        }
    }
    let mut texts = texts.into_iter();
    let mut next = || texts.next().unwrap_or_default();
    Ok(Some(Record {
        invoice: next(),
        code: next(),
        description: next(),
        quantity: next(),
        date: next(),
        price: next(),
        customer: next(),
        country: next(),
    }))
}

/// A field as text, without the space around it. Some editions are not UTF-8; what matters in them is.
fn trimmed(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim().to_owned()
}

/// A line as it can be shown.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let more = if text.chars().count() > SHOWN_MAX { "…" } else { "" };
    format!("{:?}{more}", text.chars().take(SHOWN_MAX).collect::<String>())
}

#[cfg(test)]
mod tests;
