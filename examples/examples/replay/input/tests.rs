//! Files as programs write them.

use super::*;
use std::io::Write;

const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";
const FILE: &str = "\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536381,22719,\"GUMBALL \"\"MONOCHROME\"\", COAT RACK\",36,2010-12-01 09:41:00,1.06,15311.0,United Kingdom
536381,POST,POSTAGE,1
539492,22457,CAF\u{fffd},1,2010-12-20 10:14:00,34.04,,EIRE
";

fn read(file: impl AsRef<[u8]>) -> Plan {
    plan(file.as_ref(), None).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(file: impl AsRef<[u8]>) -> String {
    plan(file.as_ref(), None).expect_err("it is refused").to_string()
}

/// The lines left out, with their reasons.
fn skipped(plan: &Plan) -> Vec<(u64, &str)> {
    plan.tally.skipped.iter().map(|(line, reason)| (*line, &**reason)).collect()
}

fn good_line(number: u64) -> String {
    format!("{number},A{number},ARTICLE,6,2010-12-01 08:26:00,2.50,100,UK")
}

#[test]
fn quotes_and_commas_are_read_and_short_lines_are_named() {
    let plan = read(FILE);
    assert_eq!((plan.tally.read, plan.tally.sold), (3, 2));
    assert_eq!(skipped(&plan), [(3, "a line of 4 columns")]);
}

#[test]
fn a_packed_file_is_the_same_file() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(FILE.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    assert_eq!(read(&packed).digest, read(FILE).digest);
    assert_eq!(read(FILE.replace('\n', "\r\n")).digest, read(FILE).digest);
    assert!(plan(&packed[..packed.len() - 9], None).is_err(), "half a file is not taken for a whole one");
}

#[test]
fn a_quote_that_never_ends_costs_its_own_line_and_no_other() {
    let mut lines = vec![HEADER.to_owned()];
    lines.extend((1..=41).map(good_line));
    lines[2] = "2,A2,\"ROUND TABLE 12,6,2010-12-01 08:26:00,2.50,100,UK".into();
    // By itself a good line, and where the quote would end.
    lines[30] = "30,A30,FRAME 7\",6,2010-12-01 08:26:00,2.50,100,UK".into();
    let plan = read(lines.join("\n"));
    assert_eq!((plan.tally.read, plan.tally.sold), (41, 40));
    assert_eq!(skipped(&plan), [(3, "a quote that does not end in its line")]);
}

#[test]
fn a_remark_of_several_lines_counts_all_of_them() {
    let file = format!(
        "{HEADER},Note\n1,A,\"ARTICLE\nof, say,\r\n\ntwo\",6,2010-12-01 08:26:00,2.50,100,UK,\"a\nb\"\n\
         1,POST,\"POST\nAGE\",1,2010-12-01 08:26:00,2.50,100,UK,\n2,A,\"B\",6,2010-12-01 08:26:00,2.50,100,UK,\n"
    );
    let plan = read(file);
    assert_eq!((plan.tally.read, plan.tally.sold), (8, 6));
    assert_eq!(skipped(&plan), [(7, "not goods: POST"), (8, "not goods: POST")]);
    assert!(plan.tally.is_complete());
}

#[test]
fn every_way_to_write_a_table_is_the_same_file() {
    let file = format!("{HEADER}\n{}\n{}\n", good_line(1), good_line(2));
    let expected = read(&file).digest;
    let quoted = |text: &str| {
        text.lines().map(|line| format!("\"{}\"\n", line.replace(',', "\",\""))).collect::<String>()
    };
    let wide = |text: &str, unit: fn(u16) -> [u8; 2]| {
        format!("\u{feff}{text}").encode_utf16().flat_map(unit).collect::<Vec<u8>>()
    };
    for (way, written) in [
        ("a byte order mark", format!("\u{feff}{file}").into_bytes()),
        ("quotes", quoted(&file).into_bytes()),
        ("a byte order mark before quotes", format!("\u{feff}{}", quoted(&file)).into_bytes()),
        ("semicolons", file.replace(',', ";").into_bytes()),
        ("tabs", file.replace(',', "\t").into_bytes()),
        ("bars", file.replace(',', "|").into_bytes()),
        ("sep=;", format!("sep=;\r\n{}", file.replace(',', ";")).into_bytes()),
        ("sep= of another", format!("SEP=#\n{}", file.replace(',', "#")).into_bytes()),
        ("sep= of a tab", format!("\"sep=\t\"\n{}", file.replace(',', "\t")).into_bytes()),
        ("space", file.replace(',', " , ").into_bytes()),
        ("space before quotes", quoted(&file).replace(',', ", ").into_bytes()),
        ("UTF-16 LE", wide(&file, u16::to_le_bytes)),
        ("UTF-16 BE of Windows", wide(&file.replace('\n', "\r\n"), u16::to_be_bytes)),
        ("UTF-16 LE of tabs", wide(&file.replace(',', "\t"), u16::to_le_bytes)),
        ("old line ends", file.replace('\n', "\r").into_bytes()),
        ("empty lines", format!("\n{}\n,,,,,,,\n\n", file.replace('\n', "\n\n")).into_bytes()),
    ] {
        let plan = read(&written);
        assert_eq!((plan.tally.sold, plan.digest), (2, expected.clone()), "{way}");
        assert!(plan.tally.is_complete() && !plan.tally.is_mostly_lost(), "{way}");
    }
}

#[test]
fn a_file_in_another_form_is_refused_with_what_was_seen() {
    for (file, reason) in [
        (&b"a,b\n1,2\n"[..], "it has no column InvoiceNo; its header is \"a,b\""),
        (
            b"InvoiceNo,StockCode,Invoice",
            "it has no column Description; its header is \"InvoiceNo,StockCode,Invoice\"",
        ),
        (b"", "it is empty"),
        (b"\n \n", "it is empty"),
        (b"sep=;\n", "it is empty"),
        (b"sep=ab\n", "its first line names no delimiter: \"sep=ab\""),
        (b"\"InvoiceNo,StockCode\n", "a quote in its header does not end: \"\\\"InvoiceNo,StockCode\""),
        (b"I\0n\0", "it looks like UTF-16 without a byte order mark: save it as UTF-8"),
        (b"\xff\xfe\0\0", "it is UTF-32: save it as UTF-8"),
        (b"\xff\xfeI\0n", "it is UTF-16, and ends within a character"),
        (b"PK\x03\x04...", "it is a ZIP archive, as a workbook of Excel is: save the sheet as CSV"),
    ] {
        assert_eq!(refusal(file), reason);
    }
}

#[test]
fn a_column_that_stands_twice_is_refused_where_it_is_read() {
    let file =
        |more: &str| format!("{HEADER}{more}\n{}{}\n", good_line(1), ",1".repeat(more.matches(',').count()));
    let error = refusal(file(",Quantity"));
    assert!(error.starts_with("it has the column Quantity twice; its header is \"InvoiceNo,"), "{error}");
    assert_eq!(read(file(",Note,Note")).tally.sold, 1);
}

#[test]
fn a_file_most_of_whose_lines_are_lost_says_so() {
    let lost = |good: u64, bad: u64| {
        let lines =
            (0..good).map(good_line).chain((0..bad).map(|_| "1,A,X,6,yesterday,2.5,100,UK".to_owned()));
        read(format!("{HEADER}\n{}", lines.collect::<Vec<_>>().join("\n"))).tally.is_mostly_lost()
    };
    assert_eq!(
        [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)].map(|(good, bad)| lost(good, bad)),
        [true, true, false, false, true]
    );
}

#[test]
fn a_file_most_of_whose_lines_are_lost_for_any_reason_says_so() {
    let lost = |lines: &[&str]| {
        let lines = lines.iter().map(|start| format!("{start},2010-12-01 08:26:00,2.5,100,UK"));
        read(format!("{HEADER}\n{}", lines.collect::<Vec<_>>().join("\n"))).tally.is_mostly_lost()
    };
    let (good, postage, fee) = ("1,A,ARTICLE,6", "1,POST,POSTAGE,6", "1,BANK CHARGES,FEE,6");
    let (nothing, many, no_code) = ("1,A,ARTICLE,0", "1,A,ARTICLE,many", "1,,ARTICLE,6");
    assert!(lost(&[good, nothing, many, no_code, postage]), "three of five cannot be read");
    assert!(!lost(&[good, nothing, many, postage]), "two of four");
    assert!(!lost(&[good, postage, fee]), "what is no goods was read");
}

#[test]
fn what_is_no_utf_8_is_named_where_it_would_be_an_id() {
    let line = |description: &[u8], country: &[u8]| {
        let parts = [HEADER.as_bytes(), b"\n1,A,", description, b",6,2010-12-01 08:26:00,2.50,,", country];
        read(parts.concat())
    };
    assert_eq!(line(b"GIFT \xa3 5", b"EIRE").tally.sold, 1);
    assert_eq!(skipped(&line(b"GIFT", b"C\xf4te")), [(2, "characters in Country that are no UTF-8")]);
}

#[test]
fn dates_that_no_line_decides_refuse_the_file_until_it_is_said() {
    let file = format!("{HEADER}\n1,A,ARTICLE,6,01/12/2010 08:26,2.5,100,UK\n");
    assert!(refusal(&file).contains("01/12/2010 08:26 in line 2"));
    let plan = |order| plan(file.as_bytes(), Some(order)).unwrap();
    let (day_first, month_first) = (plan(Order::DayFirst), plan(Order::MonthFirst));
    assert_eq!((day_first.tally.sold, month_first.tally.sold), (1, 1));
    assert_ne!(day_first.digest, month_first.digest, "they are two plans");
}

#[test]
fn the_sample_is_taken_whole() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/online-retail-sample.csv");
    let plan = plan(open(Some(&sample)).unwrap(), None).unwrap();
    assert_eq!((plan.tally.read, plan.tally.taken()), (3_314, 3_293));
    assert_eq!(plan.digest, "9c037d2d434e");
    assert!(plan.tally.is_complete());
    assert!(plan.tally.returned > 0 && plan.tally.adjusted > 0, "{:?}", plan.tally);
    let reasons = plan.tally.accounted();
    assert!(reasons.keys().all(|reason| reason.starts_with("not goods: ")), "{reasons:?}");
}
