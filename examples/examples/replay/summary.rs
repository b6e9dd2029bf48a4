//! What is printed in the end.

use super::check::Checked;
use super::plan::{Plan, Tally};
use super::run::{Counts, Outcome};
use std::fmt::{self, Display};

/// Everything there is to tell about a replay.
pub(crate) struct Summary<'a> {
    pub(crate) from: &'a str,
    pub(crate) into: &'a str,
    pub(crate) plan: &'a Plan,
    pub(crate) outcome: &'a Outcome,
    pub(crate) checked: &'a Checked,
}

impl Summary<'_> {
    /// Whether every line was taken or is accounted for, and stock adds up.
    pub(crate) fn is_good(&self) -> bool {
        self.plan.tally.is_complete() && self.outcome.refused == 0 && self.checked.differences == 0
    }
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, into, plan, outcome, checked } = self;
        writeln!(f, "replayed {from} into {into} (plan {})\n", plan.digest)?;
        lines(f, &plan.tally, outcome)?;
        commands(f, plan, outcome)?;
        for refusal in &outcome.refusals {
            writeln!(f, "  refused  {refusal}")?;
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
    let refused = outcome.refused_lines;
    row(f, 0, "lines read", tally.read, "")?;
    row(f, 1, "taken", tally.taken() - refused, "")?;
    row(f, 2, "sold in trades", tally.sold, "")?;
    row(f, 2, "returned in trades back", tally.returned, "")?;
    row(f, 2, "adjusted at the warehouse", tally.adjusted, "")?;
    if refused > 0 {
        row(f, 1, "in trades the network refused", refused, "")?;
    }
    row(f, 1, "accounted for", tally.accounted.values().sum(), "")?;
    tally.accounted.iter().try_for_each(|(reason, count)| row(f, 2, reason, *count, ""))?;
    writeln!(f)
}

fn commands(f: &mut fmt::Formatter<'_>, plan: &Plan, outcome: &Outcome) -> fmt::Result {
    let Outcome { stations, trades, trades_back, adjustments, refused, elapsed, .. } = outcome;
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
    if *refused > 0 {
        row(f, 0, "trades refused", *refused, "")?;
    }
    let seconds = elapsed.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
    let rate = |count: u64| count as f64 / seconds.max(0.001);
    let sent = trades.total() + trades_back.total();
    writeln!(
        f,
        "\n{seconds:.2} s, {:.0} trades/s, {:.0} lines/s\n",
        rate(sent),
        rate(plan.tally.taken() - outcome.refused_lines)
    )
}

fn row(f: &mut fmt::Formatter<'_>, depth: usize, name: &str, count: u64, note: &str) -> fmt::Result {
    let name = format!("{:indent$}{name}", "", indent = depth * 2);
    writeln!(f, "{}", format!("{name:<44}{count:>9} {note}").trim_end())
}
