//! What was measured, against what, and whether that is enough: as a Markdown table and as JSON.

use crate::environment::Environment;
use serde_json::{Value, json};
use std::fmt::Write;

/// Why a row could not be measured, or what a check in it found.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The values of all rounds, in the order they were taken.
#[derive(Debug, Clone)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// The values of at least one round.
    pub(crate) fn new(values: Vec<f64>) -> Result<Self, Failure> {
        if values.is_empty() || !values.iter().all(|value| value.is_finite()) {
            return Err(format!("no figure can be made of {values:?}").into());
        }
        Ok(Self(values))
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// The one in the middle; of an even number the mean of the two.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
    }

    fn min(&self) -> f64 {
        self.sorted()[0]
    }

    fn max(&self) -> f64 {
        self.sorted()[self.0.len() - 1]
    }

    /// Round by round, this over that.
    fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(ours, reference)| ours / reference).collect())
    }

    fn json(&self) -> Value {
        json!({"median": self.median(), "min": self.min(), "max": self.max(), "rounds": self.0})
    }
}

/// The value below which so large a share of the values lies, of values sorted ascending.
pub(crate) fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let last = sorted.len().checked_sub(1)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of an index is one")]
    let at = (last as f64 * share.clamp(0.0, 1.0)).round() as usize;
    sorted.get(at).copied()
}

/// One side of a row: what did the work, and how well.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) rounds: Series,
}

impl Figure {
    /// A figure from the values of its rounds.
    pub(crate) fn new(
        what: impl Into<String>,
        unit: &'static str,
        rounds: Vec<f64>,
    ) -> Result<Self, Failure> {
        Ok(Self { what: what.into(), unit, rounds: Series::new(rounds)? })
    }

    fn text(&self) -> String {
        format!("{}: {} {}", self.what, number(self.rounds.median()), self.unit)
    }

    fn json(&self) -> Value {
        json!({"what": self.what, "unit": self.unit, "value": self.rounds.json()})
    }
}

/// What a row has to reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    /// The ratio is at least this.
    RatioAtLeast(f64),
    /// The ratio is at most this.
    RatioAtMost(f64),
    /// Our figure is at most this, whatever it is compared to.
    AtMost(f64),
}

/// A line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) work: String,
    pub(crate) ours: Figure,
    /// Measured in the same run, in turn with ours.
    pub(crate) reference: Option<Figure>,
    /// None where the figure is given for what it is.
    pub(crate) bound: Option<Bound>,
}

impl Row {
    fn ratio(&self) -> Option<Series> {
        self.reference.as_ref().map(|reference| self.ours.rounds.over(&reference.rounds))
    }

    /// Whether the bound holds; none where there is none.
    pub(crate) fn holds(&self) -> Option<bool> {
        let ratio = self.ratio().map(|ratio| ratio.median());
        match self.bound? {
            Bound::RatioAtLeast(least) => Some(ratio? >= least),
            Bound::RatioAtMost(most) => Some(ratio? <= most),
            Bound::AtMost(most) => Some(self.ours.rounds.median() <= most),
        }
    }

    fn bound_text(&self) -> String {
        match self.bound {
            None => "–".to_owned(),
            Some(Bound::RatioAtLeast(least)) => format!("at least {}", number(least)),
            Some(Bound::RatioAtMost(most)) => format!("at most {}", number(most)),
            Some(Bound::AtMost(most)) => format!("at most {} {}", number(most), self.ours.unit),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.holds() {
            None => "for information",
            Some(true) => "holds",
            Some(false) => "BELOW ITS BOUND",
        }
    }

    fn markdown(&self) -> String {
        let reference = self.reference.as_ref().map_or_else(|| "–".to_owned(), Figure::text);
        // Without a reference the spread told is that of the figure itself.
        let spread = self.ratio().map_or_else(
            || format!("({})", range(&self.ours.rounds)),
            |ratio| format!("{} ({})", number(ratio.median()), range(&ratio)),
        );
        let (name, work, ours) = (&self.name, &self.work, self.ours.text());
        let (bound, verdict) = (self.bound_text(), self.verdict());
        format!("| `{name}` | {work} | {ours} | {reference} | {spread} | {bound} | {verdict} |")
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "work": self.work,
            "ours": self.ours.json(),
            "reference": self.reference.as_ref().map(Figure::json),
            "ratio": self.ratio().map(|ratio| ratio.json()),
            "bound": self.bound.map(|_| self.bound_text()),
            "holds": self.holds(),
            "verdict": self.verdict(),
        })
    }
}

fn range(series: &Series) -> String {
    format!("{} .. {}", number(series.min()), number(series.max()))
}

/// Three digits that tell something, and no more.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => thousands(value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 && digit.is_ascii_digit() {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// What became of a piece of work.
#[derive(Debug)]
pub(crate) enum Outcome {
    Measured(Vec<Row>),
    /// Something it needs cannot be had here.
    LeftOut(String),
    Failed(String),
}

/// Everything of one run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) environment: Environment,
    pub(crate) results: Vec<(&'static str, Outcome)>,
}

impl Report {
    /// Whether something did not run, or a check failed.
    pub(crate) fn failed(&self) -> bool {
        self.results.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
    }

    /// The rows that were measured.
    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.results.iter().flat_map(|(_, outcome)| match outcome {
            Outcome::Measured(rows) => rows.as_slice(),
            Outcome::LeftOut(_) | Outcome::Failed(_) => &[],
        })
    }

    /// The table as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = self.environment.markdown();
        text += "\n| row | work | ours | reference | ratio: median (min .. max) | bound | verdict |\n";
        text += "|---|---|---|---|---|---|---|\n";
        for row in self.rows() {
            text += &row.markdown();
            text.push('\n');
        }
        text.push('\n');
        for (name, outcome) in &self.results {
            // Writing to a string cannot fail.
            let _ = match outcome {
                Outcome::Measured(_) => Ok(()),
                Outcome::LeftOut(why) => writeln!(text, "- `{name}` left out: {why}"),
                Outcome::Failed(why) => writeln!(text, "- `{name}` FAILED: {why}"),
            };
        }
        let below = self.rows().filter(|row| row.holds() == Some(false)).count();
        let judged = self.rows().filter(|row| row.holds().is_some()).count();
        let _ = writeln!(text, "- {} of {judged} bounds hold", judged - below);
        text
    }

    /// The same as JSON.
    pub(crate) fn json(&self) -> Value {
        let not_measured = |failed: bool| -> Vec<Value> {
            let entries = self.results.iter().filter_map(|(name, outcome)| match outcome {
                Outcome::LeftOut(why) if !failed => Some(json!({"name": name, "why": why})),
                Outcome::Failed(why) if failed => Some(json!({"name": name, "why": why})),
                _ => None,
            });
            entries.collect()
        };
        json!({
            "environment": self.environment.json(),
            "rows": self.rows().map(Row::json).collect::<Vec<_>>(),
            "leftOut": not_measured(false),
            "failed": not_measured(true),
        })
    }
}
