//! What is printed in the end.

use super::check::Checked;
use super::plan::{Plan, Tally};
use super::run::{Counts, Outcome};
use std::fmt::{self, Display};

/// Line numbers of one reason that are shown; the report has all.
const NUMBERS_SHOWN: usize = 3;
/// Refusals that are shown in words; all are counted.
const REFUSALS_SHOWN: usize = 5;

/// Everything there is to tell about a replay.
pub(crate) struct Summary<'a> {
    pub(crate) from: &'a str,
    pub(crate) into: &'a str,
    pub(crate) plan: &'a Plan,
    pub(crate) outcome: &'a Outcome,
    pub(crate) checked: &'a Checked,
    /// The file that names every line that was left out.
    pub(crate) report: Option<&'a str>,
}

impl Summary<'_> {
    /// Whether every line was taken or is accounted for, and stock adds up.
    pub(crate) fn is_good(&self) -> bool {
        self.plan.tally.is_complete() && self.outcome.refusals.is_empty() && self.checked.differences == 0
    }
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, into, plan, outcome, checked, report } = self;
        writeln!(f, "replayed {from} into {into} (plan {})\n", plan.digest)?;
        lines(f, &plan.tally, outcome)?;
        commands(f, plan, outcome)?;
        for refusal in outcome.refusals.iter().take(REFUSALS_SHOWN) {
            writeln!(f, "  refused  {}, {}", numbers(&refusal.lines), refusal.words)?;
        }
        if let Some(report) = report {
            writeln!(f, "every line that was left out is in {report}\n")?;
        }
        let Checked { stations, levels, items, units, differences, shown } = checked;
        if *differences == 0 {
            writeln!(
                f,
                "stock adds up: {levels} levels of {items} items at {stations} stations are as the file says,"
            )?;
            return write!(f, "and the ledger accounts for all {units} units on hand");
        }
        write!(f, "stock does NOT add up: {differences} differences")?;
        shown.iter().try_for_each(|difference| write!(f, "\n  {difference}"))
    }
}

fn lines(f: &mut fmt::Formatter<'_>, tally: &Tally, outcome: &Outcome) -> fmt::Result {
    let refused = outcome.refused_lines();
    row(f, 0, "lines read", tally.read, "")?;
    row(f, 1, "taken", tally.taken() - refused, "")?;
    row(f, 2, "sold in trades", tally.sold, "")?;
    row(f, 2, "returned in trades back", tally.returned, "")?;
    row(f, 2, "adjusted at the warehouse", tally.adjusted, "")?;
    if refused > 0 {
        row(f, 1, "in trades the network refused", refused, "")?;
    }
    row(f, 1, "accounted for", tally.empty + tally.skipped.len() as u64, "")?;
    if tally.empty > 0 {
        row(f, 2, "nothing on the line", tally.empty, "")?;
    }
    for (reason, lines) in tally.accounted() {
        row(f, 2, reason, lines.len() as u64, &numbers(&lines))?;
    }
    writeln!(f)
}

fn commands(f: &mut fmt::Formatter<'_>, plan: &Plan, outcome: &Outcome) -> fmt::Result {
    let Outcome { stations, trades, trades_back, adjustments, refusals, elapsed } = outcome;
    let counted = |f: &mut fmt::Formatter<'_>, name, counts: &Counts| {
        let before = if counts.before > 0 {
            format!("({} from an earlier run)", counts.before)
        } else {
            String::new()
        };
        row(f, 0, name, counts.total(), &before)
    };
    row(f, 0, "invoices in the file", plan.tally.invoices, "")?;
    counted(f, "stations", stations)?;
    counted(f, "trades", trades)?;
    counted(f, "trades back", trades_back)?;
    counted(f, "adjustments", adjustments)?;
    if !refusals.is_empty() {
        row(f, 0, "trades refused", refusals.len() as u64, "")?;
    }
    let seconds = elapsed.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
    let rate = |count: u64| count as f64 / seconds.max(0.001);
    let sent = trades.total() + trades_back.total();
    writeln!(
        f,
        "\n{seconds:.2} s, {:.0} trades/s, {:.0} lines/s\n",
        rate(sent),
        rate(plan.tally.taken() - outcome.refused_lines())
    )
}

/// Why a file most of which is lost is not replayed, on one line.
pub(crate) fn mostly_lost(tally: &Tally) -> String {
    let mut reasons: Vec<_> = tally.accounted().into_iter().collect();
    reasons.sort_by_key(|(_, lines)| std::cmp::Reverse(lines.len()));
    let told = reasons.iter().take(REFUSALS_SHOWN);
    let told = told.map(|(reason, lines)| format!("; {reason}: {} ({})", lines.len(), numbers(lines)));
    let read = tally.read - tally.empty;
    format!("only {} of its {read} lines can be taken{}", tally.taken(), told.collect::<String>())
}

/// The first of some lines.
fn numbers(lines: &[u64]) -> String {
    let shown: Vec<_> = lines.iter().take(NUMBERS_SHOWN).map(u64::to_string).collect();
    let (word, more) =
        (if lines.len() == 1 { "line" } else { "lines" }, if lines.len() > shown.len() { " …" } else { "" });
    format!("{word} {}{more}", shown.join(", "))
}

fn row(f: &mut fmt::Formatter<'_>, depth: usize, name: &str, count: u64, note: &str) -> fmt::Result {
    let name = format!("{:indent$}{name}", "", indent = depth * 2);
    writeln!(f, "{}", format!("{name:<44}{count:>9} {note}").trim_end())
}
