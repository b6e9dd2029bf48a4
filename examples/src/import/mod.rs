//! `import-legacy`: takes over the database of an older network, written by way of Mongoose.
//!
//! The source says what stations hold now and what was traded; a network only has steps. So the history is gone through
//! twice: first to learn what each station must have opened with, and to find everything that stands against taking it
//! over, before anything is written; then to make it, in the order of time and at its own times:
//! - every station is made with its opening stock ([`levels`]),
//! - every trade is initiated when it was made, its shipment led on when it was changed last,
//! - what a station then has too much of is taken out as a `correction` of today,
//!
//! and every station holds what the source says it holds.

mod deal;
mod finding;
mod items;
mod levels;
mod report;
mod source;
mod station;
mod target;
#[cfg(test)]
mod tests;
mod times;
mod walk;

use crate::settings::Import;
use crate::{Ended, Failure, open, say};
use deal::Deal;
use finding::{Collection, Odd, Oddity, Refusal, Refused};
use levels::{Levels, StationPlan};
use report::Report;
use source::{Order, Source};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::time::{Duration, Instant};
use target::Target;
use times::network_time;
use trade_core::clock::{Clock, SystemClock};
use trade_core::store::Access;
use trade_core::values::{ShipmentId, Timestamp};
use trade_network::store::{Opened, without_password};
use walk::{Moment, MomentKind, Shared, Walk};

/// How often it is told how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);
/// How many contradictions are named before it is given up.
const CONTRADICTIONS_MAX: usize = 10;

/// Takes the source over, and prints the report.
pub(crate) async fn run(import: Import) -> Ended {
    if import.store == "memory:" {
        return Err(Failure::Usage(
            "memory: holds nothing once its process has ended; name another --store".into(),
        ));
    }
    let source = Source::connect(&import.from).await?;
    if source.is_also(&import.store).await {
        return Err(Failure::Usage("--store names the database of --from, which must not change".into()));
    }
    let report = Report::new(import.report.as_deref())?;
    let opened: Opened = open(&import.store, Access::Migrate, &Default::default()).await?;
    let ended = match Target::start(&opened).await {
        Err(failure) => Err(failure),
        Ok(target) => {
            let into = without_password(&import.store);
            let ended = take_over(&source, &target, report, &into).await;
            target.stop().await;
            ended
        }
    };
    opened.close().await;
    source.close().await;
    let (text, mostly_left) = ended?;
    say(&text);
    mostly_left.map_or(Ok(()), |line| Err(Failure::Failed(line)))
}

/// What the first look at the history found.
#[derive(Debug)]
struct Findings {
    report: Report,
    levels: Levels,
    /// Shipments that what the stations hold now forbids.
    left: HashSet<ShipmentId>,
    contradictions: Vec<String>,
    first: Option<Timestamp>,
    seen: Seen,
}

/// Tells whether the history is the same when it is gone through again.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    moments: u64,
    digest: u64,
}

impl Seen {
    fn add(&mut self, moment: &Moment) {
        let mut hasher = DefaultHasher::new();
        (self.digest, moment.kind, moment.time, &moment.id, &moment.cargo).hash(&mut hasher);
        if let Ok(deal) = &moment.deal.value {
            (deal.shipment.as_str(), deal.fate.as_str(), deal.origin.as_str()).hash(&mut hasher);
            deal.destination.as_str().hash(&mut hasher);
            deal.items
                .iter()
                .for_each(|line| (line.item_id.as_str(), line.quantity.units()).hash(&mut hasher));
        }
        self.digest = hasher.finish();
        self.moments += 1;
    }
}

/// Gives back the report, and a line on what most of was not taken over, which is no success.
async fn take_over(
    source: &Source,
    target: &Target,
    report: Report,
    into: &str,
) -> Result<(String, Option<String>), Failure> {
    let counts = source.counts().await?;
    let shared = Shared {
        trades: source.keepers(Collection::Trades).await?,
        cargos: source.keepers(Collection::Cargos).await?,
    };
    let newest = target.newest().await?;
    let mut findings = Findings {
        report,
        levels: Levels::default(),
        left: HashSet::new(),
        contradictions: Vec::new(),
        first: None,
        seen: Seen::default(),
    };
    findings.look_at_stations(source).await?;
    findings.look_at_history(source, target, &shared).await?;
    let Findings { mut report, levels, left, mut contradictions, first, seen } = findings;
    let plans = levels.plan();
    for plan in &plans {
        report_plan(&mut report, plan)?;
        contradictions.extend(target.station_contradiction(plan).await?);
        if contradictions.len() > CONTRADICTIONS_MAX {
            break;
        }
    }
    if !report.accounts_for(&counts) {
        return Err(changed_meanwhile());
    }
    if !contradictions.is_empty() {
        contradictions.truncate(CONTRADICTIONS_MAX);
        return Err(Failure::Failed(format!("nothing was taken over: {}", contradictions.join("; "))));
    }
    target.set_time(first.unwrap_or_else(|| SystemClock::new().now()));
    for plan in &plans {
        target.settle(plan, false).await?;
    }
    if make_history(source, target, &shared, &left).await? != seen {
        return Err(changed_meanwhile());
    }
    target.set_time(SystemClock::new().now());
    for plan in &plans {
        target.settle(plan, true).await?;
    }
    let mostly_left = report.mostly_left();
    Ok((report.finish(source.shown(), into, &notes(newest, first))?, mostly_left))
}

fn changed_meanwhile() -> Failure {
    Failure::Failed(
        "the source has changed meanwhile: stop what writes to it, and start again with an empty store"
            .into(),
    )
}

fn notes(newest: Option<Timestamp>, first: Option<Timestamp>) -> Vec<String> {
    let (Some(newest), Some(first)) = (newest, first) else { return Vec::new() };
    if newest <= first {
        return Vec::new();
    }
    vec![format!(
        "the store held steps up to {newest} before: what was older and not there yet is dated then, since time along a \
         log never runs backwards"
    )]
}

fn report_plan(report: &mut Report, plan: &StationPlan) -> Result<(), Failure> {
    let id = plan.station.as_str();
    if !plan.is_held {
        report.odd(Collection::Inventories, id, &Oddity::new(Odd::StationWithoutInventory, "made"))?;
    }
    if let [(item, units), rest @ ..] = &plan.excess[..] {
        let more = if rest.is_empty() { String::new() } else { format!(", and {} more lines", rest.len()) };
        let oddity = Oddity::new(Odd::StockCorrected, format!("{units} of {item}{more}"));
        report.odd(Collection::Inventories, id, &oddity)?;
    }
    Ok(())
}

impl Findings {
    async fn look_at_stations(&mut self, source: &Source) -> Result<(), Failure> {
        let keepers = source.keepers(Collection::Inventories).await?;
        let mut lane = source.lane(Order::Inventories).await?;
        while let Some(joined) = lane.take().await? {
            let id = walk::document_id(&joined.document);
            if let Some(refusal) = walk::double(&joined.document, Collection::Inventories.key(), &keepers) {
                self.report.refused(Collection::Inventories, &id, &refusal)?;
                continue;
            }
            let mut read = station::inventory(&joined.document);
            let now = SystemClock::new().now();
            times::note(&joined, now, &mut read.odd);
            let holding = match read.value {
                Ok(holding) => holding,
                Err(refusal) => {
                    self.report.refused(Collection::Inventories, &id, &refusal)?;
                    continue;
                }
            };
            self.report.taken(Collection::Inventories);
            for oddity in &read.odd {
                self.report.odd(Collection::Inventories, &id, oddity)?;
            }
            self.levels.hold(holding);
            // An _id without a time says nothing of when it was made.
            if joined.time != 0 {
                self.first.get_or_insert(network_time(joined.time, now));
            }
        }
        Ok(())
    }

    async fn look_at_history(
        &mut self,
        source: &Source,
        target: &Target,
        shared: &Shared,
    ) -> Result<(), Failure> {
        let mut walk = Walk::begin(source, shared).await?;
        let mut progress = Progress::new("read");
        while let Some(moment) = walk.next().await? {
            progress.tell(self.seen.moments);
            self.seen.add(&moment);
            match (moment.kind, &moment.deal.value) {
                (MomentKind::Made, Ok(deal)) => match self.levels.start(deal) {
                    Ok(()) => self.taken(&moment, deal, target).await?,
                    Err(refusal) => {
                        self.left.insert(deal.shipment.clone());
                        self.refused(&moment, &refusal)?;
                    }
                },
                (MomentKind::Made, Err(refusal)) => self.refused(&moment, refusal)?,
                (MomentKind::Ended, Ok(deal)) if !self.left.contains(&deal.shipment) => {
                    self.levels.finish(deal);
                }
                (MomentKind::Ended, _) => {}
            }
        }
        Ok(())
    }

    async fn taken(&mut self, moment: &Moment, deal: &Deal, target: &Target) -> Result<(), Failure> {
        let Moment { collection, id, cargo, time, .. } = moment;
        self.report.taken(*collection);
        if cargo.is_some() {
            self.report.taken(Collection::Cargos);
        }
        for oddity in &moment.deal.odd {
            self.report.odd(*collection, id, oddity)?;
        }
        let time = network_time(*time, SystemClock::new().now());
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        if self.contradictions.len() <= CONTRADICTIONS_MAX {
            self.contradictions.extend(target.contradiction(deal).await?);
        }
        Ok(())
    }

    fn refused(&mut self, moment: &Moment, refusal: &Refusal) -> Result<(), Failure> {
        self.report.refused(moment.collection, &moment.id, refusal)?;
        match &moment.cargo {
            None => Ok(()),
            Some(cargo) => {
                let refusal = Refusal::new(Refused::ItsTrade, format!("trades {}", moment.id));
                self.report.refused(Collection::Cargos, cargo, &refusal)
            }
        }
    }
}

async fn make_history(
    source: &Source,
    target: &Target,
    shared: &Shared,
    left: &HashSet<ShipmentId>,
) -> Result<Seen, Failure> {
    let mut walk = Walk::begin(source, shared).await?;
    let (mut seen, mut progress) = (Seen::default(), Progress::new("taken over"));
    while let Some(moment) = walk.next().await? {
        progress.tell(seen.moments);
        seen.add(&moment);
        let Ok(deal) = &moment.deal.value else { continue };
        if left.contains(&deal.shipment) {
            continue;
        }
        target.set_time(network_time(moment.time, SystemClock::new().now()));
        match moment.kind {
            MomentKind::Made => target.make(deal).await?,
            MomentKind::Ended => target.lead(deal).await?,
        }
    }
    Ok(seen)
}

/// Tells on standard error, now and then, how far a long run is.
#[derive(Debug)]
struct Progress {
    doing: &'static str,
    told: Instant,
}

impl Progress {
    fn new(doing: &'static str) -> Self {
        Self { doing, told: Instant::now() }
    }

    fn tell(&mut self, moments: u64) {
        if self.told.elapsed() >= PROGRESS_INTERVAL {
            self.told = Instant::now();
            // There is nobody to tell where standard error is closed.
            let _ = writeln!(std::io::stderr(), "{moments} changes {}", self.doing);
        }
    }
}
