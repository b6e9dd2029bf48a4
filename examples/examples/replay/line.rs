//! One line of the file, and what it means to the network. Pure: no input, no output.

use super::dates::Moment;
use super::ids;
use std::borrow::Cow;
use trade_core::command::AdjustmentReason;
use trade_core::values::{Delta, ItemId, Money, Quantity, StationId};
use trade_network::number;

/// More units than any line of a wholesaler holds. So far below the network's own bound, nothing adds up past that.
const UNITS_MAX: u64 = 1_000_000_000;
/// Leaves room in an id of 119 characters for what tells the trades of one invoice apart.
const INVOICE_MAX: usize = 100;
/// Codes under which the wholesaler books money: postage, carriage, discounts, fees, samples, corrections by hand.
const NOT_GOODS: [&str; 16] = [
    "POST",
    "DOT",
    "C2",
    "C3",
    "M",
    "D",
    "S",
    "B",
    "BANK CHARGES",
    "AMAZONFEE",
    "CRUK",
    "GIFT",
    "ADJUST",
    "ADJUST2",
    "TEST001",
    "TEST002",
];
/// Vouchers are `gift_0001_40`: a number, then a value in pounds.
const VOUCHER_PREFIX: &str = "gift_";

/// A line as it stands in the file, without space around its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) invoice: String,
    pub(crate) code: String,
    pub(crate) description: String,
    pub(crate) quantity: String,
    pub(crate) date: String,
    pub(crate) price: String,
    pub(crate) customer: String,
    pub(crate) country: String,
}

/// Why a line moves no stock. Two lines with the same reason are counted together.
pub(crate) type Reason = Cow<'static, str>;

/// What the reasons begin with of lines that were read, and are about money.
const NO_GOODS: &str = "not goods: ";

/// Whether this is the reason of a line that was read, and is about money.
pub(crate) fn is_no_goods(reason: &str) -> bool {
    reason.starts_with(NO_GOODS)
}

/// What a line means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Goods leave the warehouse for a customer.
    Sale(Goods),
    /// Goods come back from one: a line of a cancellation.
    Return(Goods),
    /// The warehouse's stock is put right.
    Adjustment { item: ItemId, delta: Delta, reason: AdjustmentReason },
}

/// What changes hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Goods {
    pub(crate) party: StationId,
    pub(crate) item: ItemId,
    pub(crate) quantity: Quantity,
    pub(crate) price: Money,
    pub(crate) time: Moment,
}

/// Tells what a line means, or why it moves no stock. What its date says was read with those of the other lines.
pub(crate) fn meaning(record: &Record, time: Result<Moment, Reason>) -> Result<Meaning, Reason> {
    let item = item(&record.code)?;
    let (units, negative) = units(&record.quantity)?;
    let price = price(&record.price)?;
    let free = price.amount.mantissa() == 0;
    let cancellation = record.invoice.starts_with(['C', 'c']);
    if record.invoice.is_empty() {
        return Err("no InvoiceNo".into());
    }
    if ids::encode(&record.invoice).len() > INVOICE_MAX {
        return Err("an InvoiceNo too long for an id".into());
    }
    match (cancellation, negative) {
        (true, false) => return Err("a positive quantity on a cancellation".into()),
        (false, true) if !free => return Err("a negative quantity at a price, and no cancellation".into()),
        _ => {}
    }
    // Stock corrections are booked as invoices at price 0 that name no customer, and instead of the article a remark.
    let correction = free && record.customer.is_empty() && is_remark(&record.description);
    if !cancellation && (negative || correction) {
        let delta = i64::try_from(units).unwrap_or(i64::MAX);
        let delta =
            Delta::new(if negative { -delta } else { delta }).map_err(|_| "an unreadable Quantity")?;
        return Ok(Meaning::Adjustment {
            item,
            delta,
            reason: adjustment_reason(&record.description, negative),
        });
    }
    let goods = Goods {
        party: ids::party(&record.customer, &record.country)
            .ok_or("neither a CustomerID nor a Country")?
            .map_err(|_| "a CustomerID or Country too long for an id")?,
        item,
        quantity: Quantity::new(units).map_err(|_| "an unreadable Quantity")?,
        price,
        time: time?,
    };
    Ok(if cancellation { Meaning::Return(goods) } else { Meaning::Sale(goods) })
}

fn item(code: &str) -> Result<ItemId, Reason> {
    if code.is_empty() {
        return Err("no StockCode".into());
    }
    let upper = code.to_ascii_uppercase();
    if NOT_GOODS.contains(&upper.as_str()) {
        return Err(format!("{NO_GOODS}{upper}").into());
    }
    if code.starts_with(VOUCHER_PREFIX) {
        return Err(format!("{NO_GOODS}gift voucher").into());
    }
    ids::item(code).map_err(|_| "a StockCode too long for an id".into())
}

/// The size of a quantity, and whether it is negative.
fn units(text: &str) -> Result<(u64, bool), Reason> {
    let units = number::whole(text).ok_or("an unreadable Quantity")?;
    match u64::try_from(units.unsigned_abs()) {
        Ok(0) => Err("a Quantity of 0".into()),
        Ok(size @ ..=UNITS_MAX) => Ok((size, units < 0)),
        _ => Err("a Quantity of more than 10^9 units".into()),
    }
}

/// The price of one unit, in the digits of the file.
fn price(text: &str) -> Result<Money, Reason> {
    if text.strip_prefix('-').is_some_and(|rest| rest.parse::<f64>().is_ok_and(|price| price > 0.0)) {
        return Err("a negative UnitPrice".into());
    }
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    if fraction.len() > 6 && fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err("a UnitPrice of more than six decimals".into());
    }
    // Of a fraction or of thousands: nothing tells.
    if text.contains(',') {
        return Err("a UnitPrice with a comma".into());
    }
    Ok(Money::parse(text, "GBP").map_err(|_| "an unreadable UnitPrice")?)
}

/// Whether a description is a clerk's remark: articles are named in capitals, remarks are not, and many are left out.
fn is_remark(description: &str) -> bool {
    !description.split(|c: char| !c.is_ascii_uppercase()).any(|run| run.len() >= 3)
}

/// What a remark says about why stock changed; most say nothing, and are corrections.
fn adjustment_reason(remark: &str, negative: bool) -> AdjustmentReason {
    const WORDS: [(&str, &[&str]); 4] = [
        (
            "damaged",
            &["damage", "dagame", "fault", "broken", "crush", "smash", "wet", "mould", "rust", "unsale"],
        ),
        ("lost", &["lost", "missing", "stolen", "can't find", "mia"]),
        ("cycle_count", &["check", "count", "found"]),
        ("other", &["amazon", "dotcom", "ebay", "sale", "sold"]),
    ];
    let remark = remark.to_ascii_lowercase();
    let said = |words: &[&str]| words.iter().any(|word| remark.contains(word));
    let word = WORDS.iter().find(|(_, words)| said(words)).map_or("correction", |(reason, _)| reason);
    // What came in was neither damaged nor lost: such a remark takes an earlier booking back.
    let word = if !negative && matches!(word, "damaged" | "lost") { "correction" } else { word };
    AdjustmentReason::try_from(word).unwrap_or(AdjustmentReason::ALL[1])
}

#[cfg(test)]
mod tests;
