//! Odd lines, after those of the data set.

use super::super::dates::{Column, Order};
use super::*;

/// Reads a line written with bars for commas.
pub(crate) fn record(line: &str) -> Record {
    let mut fields = line.split('|').map(|field| field.trim().to_owned());
    let mut next = || fields.next().unwrap_or_default();
    Record {
        invoice: next(),
        code: next(),
        description: next(),
        quantity: next(),
        date: next(),
        price: next(),
        customer: next(),
        country: next(),
    }
}

fn read(line: &str) -> Result<Meaning, Reason> {
    let record = record(line);
    let time = Column::new(None).read(&record.date, 2);
    meaning(&record, time)
}

fn reason(line: &str) -> String {
    read(line).expect_err(line).into_owned()
}

fn adjusted(line: &str) -> (i64, &'static str) {
    match read(line) {
        Ok(Meaning::Adjustment { delta, reason, .. }) => (delta.units(), reason.movement().as_str()),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn a_plain_line_is_a_sale_at_its_price_and_time() {
    let line =
        "536365|85123A|WHITE HANGING HEART T-LIGHT HOLDER|6|2010-12-01 08:26:00|2.55|17850.0|United Kingdom";
    let Ok(Meaning::Sale(goods)) = read(line) else { panic!() };
    assert_eq!((goods.party.as_str(), goods.item.as_str()), ("customer-17850", "85123A"));
    assert_eq!((goods.quantity.units(), goods.price.amount.to_string().as_str()), (6, "2.55"));
    let time = goods.time.at(Order::MonthFirst).expect("a time");
    assert_eq!(time.to_string(), "2010-12-01T08:26:00.000Z");
}

#[test]
fn a_cancellation_is_a_return() {
    let line = "C536757|84347|ROTATING SILVER ANGELS T-LIGHT HLDR|-9360|2010-12-02 14:23:00|0.03|15838.0|United Kingdom";
    let Ok(Meaning::Return(goods)) = read(line) else { panic!() };
    assert_eq!((goods.party.as_str(), goods.quantity.units()), ("customer-15838", 9_360));
}

#[test]
fn a_negative_quantity_without_a_cancellation_is_an_adjustment() {
    for (line, delta, reason) in [
        ("536589|21777||-10|2010-12-01 16:50:00|0.0||United Kingdom", -10, "correction"),
        ("537032|21275|?|-30|2010-12-03 16:50:00|0.0||United Kingdom", -30, "correction"),
        ("537425|84968F|check|-20|2010-12-06 15:35:00|0.0||United Kingdom", -20, "cycle_count"),
        ("537432|35833G|damages|-43|2010-12-06 16:10:00|0.0||United Kingdom", -43, "damaged"),
        ("538072|22423|faulty|-13|2010-12-09 14:10:00|0.0||United Kingdom", -13, "damaged"),
        ("538161|46000S|Dotcom sales|-100|2010-12-09 17:25:00|0.0||United Kingdom", -100, "other"),
    ] {
        assert_eq!(adjusted(line), (delta, reason), "{line}");
    }
}

#[test]
fn stock_that_was_found_is_an_adjustment_too() {
    for (line, delta, reason) in [
        ("536414|22139||56|2010-12-01 11:52:00|0.0||United Kingdom", 56, "correction"),
        ("536941|22734|amazon|20|2010-12-03 12:08:00|0.0||United Kingdom", 20, "other"),
        ("537000|21414|Found|22|2010-12-06 12:08:00|0.0||United Kingdom", 22, "cycle_count"),
        ("537000|21414|damages?|22|2010-12-06 12:08:00|0.0||United Kingdom", 22, "correction"),
    ] {
        assert_eq!(adjusted(line), (delta, reason), "{line}");
    }
}

#[test]
fn goods_given_away_are_a_sale_at_price_0() {
    for line in [
        "537197|22841|ROUND CAKE TIN VINTAGE GREEN|1|2010-12-05 14:02:00|0.0|12647.0|Germany",
        "539856|22686|FRENCH BLUE METAL DOOR SIGN No|2|2010-12-22 14:41:00|0.0||United Kingdom",
        "539856|21888|BINGO SET|2|2010-12-22 14:41:00|0.0||United Kingdom",
    ] {
        let Ok(Meaning::Sale(goods)) = read(line) else { panic!("{line}") };
        assert_eq!(goods.price.amount.to_string(), "0.0");
    }
}

#[test]
fn what_is_no_goods_is_named() {
    for (line, expected) in [
        ("536370|POST|POSTAGE|3|2010-12-01 08:45:00|18.0|12583.0|France", "not goods: POST"),
        ("C536379|D|Discount|-1|2010-12-01 09:41:00|27.5|14527.0|United Kingdom", "not goods: D"),
        ("539736|m|Manual|1|2010-12-21 15:18:00|2.55||United Kingdom", "not goods: M"),
        (
            "C537572|BANK CHARGES|Bank Charges|-1|2010-12-07 12:00:00|95.38||United Kingdom",
            "not goods: BANK CHARGES",
        ),
        (
            "539492|gift_0001_40|Dotcomgiftshop Gift Voucher £40.00|1|2010-12-20 10:14:00|34.04||United Kingdom",
            "not goods: gift voucher",
        ),
        ("A563185|B|Adjust bad debt|1|2011-08-12 14:50:00|-11062.06||United Kingdom", "not goods: B"),
    ] {
        assert_eq!(reason(line), expected);
    }
    assert!(matches!(
        read("538071|DCGS0076|SUNJAR LED NIGHT NIGHT LIGHT|1|2010-12-09 14:09:00|16.13||United Kingdom"),
        Ok(Meaning::Sale(_))
    ));
}

#[test]
fn what_cannot_be_booked_is_named() {
    for (line, expected) in [
        ("536365|85123A|X|0|2010-12-01 08:26:00|2.55|17850.0|United Kingdom", "a Quantity of 0"),
        ("536365|85123A|X|six|2010-12-01 08:26:00|2.55|17850.0|United Kingdom", "an unreadable Quantity"),
        ("536365|85123A|X|6.5|2010-12-01 08:26:00|2.55|17850.0|United Kingdom", "an unreadable Quantity"),
        ("536365|85123A|X|1000000001|2010-12-01 08:26:00|1|17850|EIRE", "a Quantity of more than 10^9 units"),
        ("536365|85123A|X|6|2010-12-01 08:26:00|-2.55|17850.0|United Kingdom", "a negative UnitPrice"),
        (
            "536365|85123A|X|6|2010-12-01 08:26:00|2.5500001|17850|EIRE",
            "a UnitPrice of more than six decimals",
        ),
        ("536365|85123A|X|6|2010-12-01 08:26:00|1e-05|17850.0|United Kingdom", "an unreadable UnitPrice"),
        ("536365|85123A|X|6|2010-12-01 08:26:00||17850.0|United Kingdom", "an unreadable UnitPrice"),
        ("536365|85123A|X|6|2010-12-01 08:26:00|2,55|17850.0|EIRE", "a UnitPrice with a comma"),
        ("536365|85123A|X|6|yesterday|2.55|17850.0|United Kingdom", "an unreadable InvoiceDate"),
        ("536365|85123A|X|6|2010-12-01 08:26:00|2.55||", "neither a CustomerID nor a Country"),
        ("|85123A|X|6|2010-12-01 08:26:00|2.55|17850.0|United Kingdom", "no InvoiceNo"),
        ("536365||X|6|2010-12-01 08:26:00|2.55|17850.0|United Kingdom", "no StockCode"),
        ("C536365|85123A|X|6|2010-12-01 08:26:00|2.55|17850|EIRE", "a positive quantity on a cancellation"),
        (
            "536365|85123A|X|-6|2010-12-01 08:26:00|2.55|17850|EIRE",
            "a negative quantity at a price, and no cancellation",
        ),
    ] {
        assert_eq!(reason(line), expected, "{line}");
    }
}

#[test]
fn a_quantity_is_whole_in_any_spelling() {
    for quantity in ["6", "6.0", "6.00", "+6", "0.6E+1"] {
        let line = format!("536365|85123A|X|{quantity}|2010-12-01 08:26:00|2.55|17850.0|United Kingdom");
        let Ok(Meaning::Sale(goods)) = read(&line) else { panic!("{line}") };
        assert_eq!(goods.quantity.units(), 6, "{line}");
    }
}
