//! The dates of the file. `12/1/2010` is two days of the year: which of them, the column tells. One date that can only
//! be read with the day first, or with the month first, decides for all. Where none does, or two contradict each other,
//! the file is refused until it is said. Pure.

use super::line::Reason;
use trade_core::values::Timestamp;

const UNREADABLE: &str = "an unreadable InvoiceDate";

/// What stands first in a date that ends with its year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    DayFirst,
    MonthFirst,
}

impl Order {
    fn words(self) -> &'static str {
        match self {
            Self::DayFirst => "day first",
            Self::MonthFirst => "month first",
        }
    }
}

/// A time in both orders; the same in both where its date begins with the year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    day_first: Option<Timestamp>,
    month_first: Option<Timestamp>,
}

impl Moment {
    /// The time, if there is one in this order.
    pub(crate) fn at(self, order: Order) -> Option<Timestamp> {
        match order {
            Order::DayFirst => self.day_first,
            Order::MonthFirst => self.month_first,
        }
    }
}

/// What the dates read so far tell of their order.
#[derive(Debug, Default)]
pub(crate) struct Column {
    /// The order that was asked for.
    given: Option<Order>,
    /// The first date of each kind, with its line: those of one order only, and those that are two days.
    day_first: Option<Seen>,
    month_first: Option<Seen>,
    either: Option<Seen>,
}

type Seen = (u64, String);

impl Column {
    pub(crate) fn new(given: Option<Order>) -> Self {
        Self { given, ..Self::default() }
    }

    /// Reads the date of a line.
    ///
    /// # Errors
    /// Why it is no time, or none in the order that was asked for.
    pub(crate) fn read(&mut self, text: &str, line: u64) -> Result<Moment, Reason> {
        let moment = moment(text)?;
        let seen = match (moment.day_first, moment.month_first) {
            (None, None) => return Err(UNREADABLE.into()),
            (Some(_), None) => &mut self.day_first,
            (None, Some(_)) => &mut self.month_first,
            (Some(day_first), Some(month_first)) if day_first != month_first => &mut self.either,
            _ => return Ok(moment),
        };
        seen.get_or_insert_with(|| (line, text.to_owned()));
        match self.given {
            Some(given) if moment.at(given).is_none() => {
                Err(format!("an InvoiceDate that is not {}", given.words()).into())
            }
            _ => Ok(moment),
        }
    }

    /// The order of all dates.
    ///
    /// # Errors
    /// The lines that contradict each other, or the first that is two days where no line decides.
    pub(crate) fn order(&self) -> Result<Order, String> {
        match (self.given, &self.day_first, &self.month_first, &self.either) {
            (Some(given), ..) => Ok(given),
            (None, Some((day_line, day)), Some((month_line, month)), _) => Err(format!(
                "its dates contradict each other: {day} in line {day_line} has the day first, {month} in line \
                 {month_line} the month; --dates day-first or --dates month-first leaves the lines of the other out"
            )),
            (None, None, None, Some((line, date))) => Err(format!(
                "no date in it tells whether {date} in line {line} has the day or the month first: say --dates \
                 day-first or --dates month-first"
            )),
            (None, Some(_), None, _) => Ok(Order::DayFirst),
            (None, None, ..) => Ok(Order::MonthFirst),
        }
    }

    /// Whether the order makes a difference to any date.
    pub(crate) fn depends(&self) -> bool {
        self.either.is_some()
    }
}

/// Reads a date, with a time of day or as the beginning of the day. Published without an offset; in a British December
/// that is UTC, and the rest of the year at most an hour off.
fn moment(text: &str) -> Result<Moment, Reason> {
    let (date, clock) = match text.split_once(['T', 't', ' ']) {
        Some((date, clock)) => (date, clock_of_day(clock).ok_or(UNREADABLE)?),
        None => (text, "00:00:00Z".to_owned()),
    };
    let separator = date.chars().find(|c| matches!(c, '-' | '/' | '.')).ok_or(UNREADABLE)?;
    let parts: Vec<_> = date.split(separator).collect();
    let [first, second, third] = parts[..] else { return Err(UNREADABLE.into()) };
    let is_digits = |part: &&str| part.bytes().all(|digit| digit.is_ascii_digit());
    if ![first, second, third].iter().all(is_digits) {
        return Err(UNREADABLE.into());
    }
    let time = |year: &str, month: &str, day: &str| {
        Timestamp::try_from(format!("{year}-{month:0>2}-{day:0>2}T{clock}").as_str()).ok()
    };
    match (first.len(), second.len(), third.len()) {
        (4, 1..=2, 1..=2) => {
            let time = time(first, second, third);
            Ok(Moment { day_first: time, month_first: time })
        }
        (1..=2, 1..=2, 4) => {
            Ok(Moment { day_first: time(third, second, first), month_first: time(third, first, second) })
        }
        // Neither its century nor its place is certain.
        (1..=2, 1..=2, 1..=2) => Err("an InvoiceDate whose year has two digits".into()),
        _ => Err(UNREADABLE.into()),
    }
}

/// A time of day as RFC 3339 writes it: `8:26`, `08:26:00.5`, `8:26:00 AM`, with or without an offset.
fn clock_of_day(text: &str) -> Option<String> {
    let (clock, offset) = offset(text.trim())?;
    let upper = clock.trim_end().to_ascii_uppercase();
    let (clock, noon) = match (upper.strip_suffix("AM"), upper.strip_suffix("PM")) {
        (Some(clock), _) => (clock.trim_end(), Some(0)),
        (_, Some(clock)) => (clock.trim_end(), Some(12)),
        _ => (&*upper, None),
    };
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next().unwrap_or("00"));
    let hour: u32 = hour.parse().ok().filter(|_| matches!(hour.len(), 1..=2))?;
    let hour = match noon {
        None => hour,
        Some(noon) if (1..=12).contains(&hour) => hour % 12 + noon,
        Some(_) => return None,
    };
    parts.next().is_none().then(|| format!("{hour:02}:{minute:0>2}:{second:0>2}{offset}"))
}

/// Splits the offset off a time of day: `Z`, `UTC`, `GMT`, `+01:00`, `+0100`, `+01`; without one it is UTC.
fn offset(text: &str) -> Option<(&str, String)> {
    for zulu in ["Z", "z", "UTC", "GMT"] {
        if let Some(clock) = text.strip_suffix(zulu) {
            return Some((clock, "Z".into()));
        }
    }
    let Some(place) = text.rfind(['+', '-']) else { return Some((text, "Z".into())) };
    let (clock, offset) = text.split_at(place);
    let (sign, digits) = offset.split_at(1);
    let offset = match (digits.len(), digits.split_once(':')) {
        (5, Some((hours, minutes))) => format!("{sign}{hours}:{minutes}"),
        (4, None) => format!("{sign}{}:{}", digits.get(..2)?, digits.get(2..)?),
        (2, None) => format!("{sign}{digits}:00"),
        _ => return None,
    };
    Some((clock, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(column: &mut Column, dates: &[&str]) -> Vec<Result<Moment, Reason>> {
        (2..).zip(dates).map(|(line, date)| column.read(date, line)).collect()
    }

    /// What the dates of a column are, in the order that it tells.
    fn times(given: Option<Order>, dates: &[&str]) -> Result<Vec<String>, String> {
        let mut column = Column::new(given);
        let moments = read(&mut column, dates);
        let order = column.order()?;
        let time = |moment: Result<Moment, Reason>| match moment {
            Ok(moment) => moment.at(order).expect("it has this order").to_string(),
            Err(reason) => reason.into_owned(),
        };
        Ok(moments.into_iter().map(time).collect())
    }

    #[test]
    fn every_usual_form_is_the_same_time() {
        for text in [
            "2010-12-01 08:26:00",
            "2010-12-01 08:26",
            "2010-12-01T08:26:00Z",
            "2010-12-01T08:26",
            "2010-12-01 08:26:00.000",
            "2010-12-01 08:26:00 UTC",
            "2010-12-01 08:26:00+00:00",
            "2010-12-01T10:26:00+0200",
            "2010-12-01T07:26:00 -01",
            "2010/12/1 8:26",
            "12/1/2010 8:26",
            "12/1/2010 8:26:00",
            "12/01/2010 8:26:00 AM",
            "12-01-2010 08:26",
            "12.1.2010 8:26",
        ] {
            let read = times(Some(Order::MonthFirst), &[text]).unwrap();
            assert_eq!(read, ["2010-12-01T08:26:00.000Z"], "{text}");
        }
        for (text, time) in [
            ("2010-12-01", "2010-12-01T00:00:00.000Z"),
            ("12/13/2010", "2010-12-13T00:00:00.000Z"),
            ("12/13/2010 12:05 am", "2010-12-13T00:05:00.000Z"),
            ("12/13/2010 12:05 pm", "2010-12-13T12:05:00.000Z"),
            ("12/13/2010 1:05PM", "2010-12-13T13:05:00.000Z"),
        ] {
            assert_eq!(times(None, &[text]).unwrap(), [time], "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_named() {
        for text in [
            "",
            "yesterday",
            "40513.35",
            "20101201",
            "2010-12",
            "12/2010 8:26",
            "31/4/2010 8:26",
            "30/2/2010",
            "13/13/2010",
            "2010-13-01",
            "2010-12-01 24:00",
            "2010-12-01 8",
            "2010-12-01 8:26:00:00",
            "2010-12-01 8:26 13",
            "2010-12-01 13:26 PM",
            "2010-12-01 0:26 AM",
            "2010-12-01 08:26+1",
            "2010-12-01 08:26+é1",
            "2010-12/01",
            "1/1/201",
            "-1/1/2010",
        ] {
            assert_eq!(
                times(Some(Order::DayFirst), &[text]).unwrap(),
                ["an unreadable InvoiceDate"],
                "{text}"
            );
        }
        let short = times(None, &["12/1/10 8:26"]).unwrap();
        assert_eq!(short, ["an InvoiceDate whose year has two digits"]);
    }

    #[test]
    fn one_date_decides_for_the_whole_column() {
        let day_first = times(None, &["01/12/2010 08:26", "13/12/2010 08:26", "2010-12-02"]).unwrap();
        assert_eq!(
            day_first,
            ["2010-12-01T08:26:00.000Z", "2010-12-13T08:26:00.000Z", "2010-12-02T00:00:00.000Z"]
        );
        let month_first = times(None, &["12/1/2010 8:26", "12/13/2010 8:26"]).unwrap();
        assert_eq!(month_first, ["2010-12-01T08:26:00.000Z", "2010-12-13T08:26:00.000Z"]);
    }

    #[test]
    fn dates_that_contradict_each_other_are_refused_with_their_lines() {
        let error = times(None, &["01/12/2010", "13/12/2010 08:26", "1/1/2010", "12/14/2010"]).unwrap_err();
        for named in ["13/12/2010 08:26 in line 3", "12/14/2010 in line 5", "--dates day-first"] {
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn dates_that_no_line_decides_are_refused_until_it_is_said() {
        let dates = ["2010-12-01", "12/12/2010", "01/12/2010 08:26"];
        let error = times(None, &dates).unwrap_err();
        assert!(error.contains("01/12/2010 08:26 in line 4") && error.contains("--dates"), "{error}");
        assert_eq!(times(Some(Order::DayFirst), &dates).unwrap()[2], "2010-12-01T08:26:00.000Z");
        assert_eq!(times(Some(Order::MonthFirst), &dates).unwrap()[2], "2010-01-12T08:26:00.000Z");
        assert!(times(None, &dates[..2]).is_ok(), "a day that is the same in both orders needs no word");
    }

    #[test]
    fn a_date_of_the_other_order_than_was_asked_for_is_named() {
        let read = times(Some(Order::MonthFirst), &["13/12/2010", "12/13/2010"]).unwrap();
        assert_eq!(read, ["an InvoiceDate that is not month first", "2010-12-13T00:00:00.000Z"]);
    }
}
