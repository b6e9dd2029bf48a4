//! Reading the file: plain or gzip, from a path or standard input.

use super::line::Record;
use super::plan::{Plan, Planner};
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
/// How a gzip file begins (RFC 1952 §2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Opens a file, or standard input where there is no path.
pub(crate) fn open(path: Option<&Path>) -> io::Result<Box<dyn Read + Send>> {
    Ok(match path {
        None => Box::new(io::stdin()),
        Some(path) => Box::new(File::open(path)?),
    })
}

/// Reads a file to its end, and makes a plan of it.
pub(crate) fn plan(mut input: impl Read) -> Result<Plan, Box<dyn Error>> {
    let mut start = Vec::new();
    input.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start)?;
    let packed = start == GZIP_MAGIC;
    let input = BufReader::new(io::Cursor::new(start).chain(input));
    if packed { plan_csv(MultiGzDecoder::new(input)) } else { plan_csv(input) }
}

fn plan_csv(input: impl Read) -> Result<Plan, Box<dyn Error>> {
    // `flexible`: a line of another length is one to be named, not the end of the file.
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
    let header = reader.byte_headers()?.clone();
    let find = |name: &&str| {
        let place =
            header.iter().position(|column| text(Some(column)).trim_start_matches('\u{feff}') == *name);
        place.ok_or_else(|| format!("the file has no column {name}"))
    };
    let places: Vec<usize> = COLUMNS.iter().map(find).collect::<Result<_, _>>()?;
    let mut planner = Planner::new()?;
    let mut row = csv::ByteRecord::new();
    while reader.read_byte_record(&mut row)? {
        if row.len() != header.len() {
            planner.add_malformed(format!("a line of {} columns", row.len()).into());
            continue;
        }
        let mut fields = places.iter().map(|place| text(row.get(*place)));
        let mut next = || fields.next().unwrap_or_default();
        planner.add(&Record {
            invoice: next(),
            code: next(),
            description: next(),
            quantity: next(),
            date: next(),
            price: next(),
            customer: next(),
            country: next(),
        });
    }
    planner.finish()
}

/// A field without the space around it. Some editions are not UTF-8; what matters in them is.
fn text(field: Option<&[u8]>) -> String {
    String::from_utf8_lossy(field.unwrap_or_default()).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const FILE: &str = "\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536381,22719,\"GUMBALL \"\"MONOCHROME\"\", COAT RACK\",36,2010-12-01 09:41:00,1.06,15311.0,United Kingdom
536381,POST,POSTAGE,1
539492,22457,CAF\u{fffd},1,2010-12-20 10:14:00,34.04,,EIRE
";

    #[test]
    fn quotes_and_commas_are_read_and_short_lines_are_named() {
        let plan = plan(FILE.as_bytes()).unwrap();
        assert_eq!((plan.tally.read, plan.tally.sold), (3, 2));
        assert_eq!(plan.tally.accounted.keys().collect::<Vec<_>>(), ["a line of 4 columns"]);
    }

    #[test]
    fn a_packed_file_is_the_same_file() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(FILE.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(plan(&packed[..]).unwrap().digest, plan(FILE.as_bytes()).unwrap().digest);
        let windows = FILE.replace('\n', "\r\n");
        assert_eq!(plan(windows.as_bytes()).unwrap().digest, plan(FILE.as_bytes()).unwrap().digest);
        assert!(plan(&packed[..packed.len() - 9]).is_err(), "half a file is not taken for a whole one");
    }

    #[test]
    fn a_file_of_other_columns_is_refused() {
        let error = plan(&b"a,b\n1,2\n"[..]).unwrap_err();
        assert_eq!(error.to_string(), "the file has no column InvoiceNo");
        assert!(plan(&b""[..]).is_err());
    }

    #[test]
    fn the_sample_is_taken_whole() {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/online-retail-sample.csv");
        let plan = plan(open(Some(&sample)).unwrap()).unwrap();
        assert!(plan.tally.is_complete());
        assert!(plan.tally.returned > 0 && plan.tally.adjusted > 0, "{:?}", plan.tally);
        assert!(
            plan.tally.accounted.keys().all(|reason| reason.starts_with("not goods: ")),
            "{:?}",
            plan.tally
        );
    }
}
