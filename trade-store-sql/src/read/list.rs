//! A page of trades or of shipments.

use super::ends::{self, End, Merged};
use crate::dialect::{Rendered, Template};
use crate::driver::{Driver, Param};
use crate::lane::Lane;
use crate::plan::{Plan, Span, one_more};
use crate::rows::{self, Decoded};
use crate::snapshot::Snapshot;
use trade_core::resource::Sequence;
use trade_core::store::{Page, StoreError, TimeRange};
use trade_core::values::Scope;

/// What is asked for, and how it is found.
pub(crate) struct List<'q, N> {
    pub(crate) operation: &'static str,
    pub(crate) created: TimeRange,
    pub(crate) before: Option<Sequence>,
    pub(crate) limit: usize,
    pub(crate) scope: &'q Scope,
    /// What a scope is about.
    pub(crate) ends: Vec<End>,
    pub(crate) plan: Plan<N>,
    /// The parameters from the fourth on but the last, which is one more than the limit. The first three are those of a
    /// walk: two for the span, and how many rows it examines.
    pub(crate) filters: Vec<Param<'q>>,
    /// The walk of what is narrowed.
    pub(crate) walk: fn(Option<N>) -> String,
    /// The template of a page, from a plan and its walk.
    pub(crate) page_sql: fn(&Plan<N>, &str) -> String,
}

impl<N: Copy> List<'_, N> {
    /// Reads it.
    pub(crate) async fn read<E: Driver, T>(
        self,
        readers: &Lane<E>,
        row: fn(&E::Row) -> Decoded<T>,
    ) -> Result<Page<T, Sequence>, StoreError> {
        let Self { limit, plan, .. } = self;
        let mut snapshot = Snapshot::begin(readers, self.operation).await?;
        let mut span = span(&mut snapshot, self.created, self.before).await?;
        let (mut walks, mut end) = (1, None);
        let walk = match self.scope {
            Scope::All => (self.walk)(plan.walk),
            Scope::Of(scope) => {
                let within = (span.after, span.before);
                let Some(merged) = ends::of_scope(&mut snapshot, &self.ends, scope, within).await? else {
                    snapshot.end().await?;
                    return Ok(Page::of_one_more(Vec::new(), limit, None));
                };
                let Merged { walk, walks: count, end: last } = merged;
                (walks, end) = (count, last);
                // Only so far is nothing missing that another walk has.
                span.after = last.map_or(span.after, |last| last - 1);
                walk
            }
        };
        let mut parameters =
            vec![span.after.into(), span.before.into(), plan.examined_max(limit, walks).into()];
        parameters.extend(self.filters);
        let walked = parameters.len();
        parameters.push(one_more(limit).into());
        let worded = |template: &str| {
            let sql = Rendered::new(E::DIALECT, template);
            // The walk of a scope differs from page to page.
            if *self.scope == Scope::All { sql } else { sql.once() }
        };
        let found = snapshot.fetch(&worded(&(self.page_sql)(&plan, &walk)), &parameters).await?;
        let mut examined = None;
        if !plan.checks.is_empty() && found.len() <= limit {
            let sql = worded(&examined_sql(&walk));
            let last = snapshot.fetch(&sql, &parameters[..walked]).await?;
            let last = last.first().map(|row| rows::maybe_count(row, 0)).transpose();
            examined = last.map_err(rows::failed::<E>(snapshot.operation()))?.flatten();
        }
        let damaged = rows::failed::<E>(snapshot.operation());
        snapshot.end().await?;
        let keyed = |found: &E::Row| Ok((rows::count(found, 0)?, row(found)?));
        let found: Result<Vec<_>, _> = found.iter().map(keyed).collect();
        let examined = examined.or(end.and_then(|end| Sequence::try_from(end).ok()));
        Ok(Page::of_one_more(found.map_err(damaged)?, limit, examined))
    }
}

/// The template that tells how far a walk came: the last row, where it ended early.
pub(crate) fn examined_sql(walk: &str) -> String {
    format!("SELECT CASE WHEN count(*) >= ?3 THEN min(sequence) END FROM ({walk}) w")
}

/// The sequences that a span of creation times stands for.
async fn span<E: Driver>(
    snapshot: &mut Snapshot<'_, E>,
    created: TimeRange,
    before: Option<Sequence>,
) -> Result<Span, StoreError> {
    let mut ends = [None; 2];
    for (end, time) in ends.iter_mut().zip([created.since, created.until]) {
        if let Some(time) = time {
            let found = snapshot.fetch(LAST_BEFORE_SQL.of(E::DIALECT), &[time.millis().into()]).await?;
            let last = found.first().map(|row| rows::number(row, 0)).transpose();
            *end = Some(last.map_err(rows::failed::<E>(snapshot.operation()))?.unwrap_or(0));
        }
    }
    Ok(Span::new(ends[0], ends[1], before))
}

/// The last sequence that was committed before a time.
pub(crate) static LAST_BEFORE_SQL: Template =
    Template::new("SELECT last FROM tn_moment WHERE time < ?1 ORDER BY time DESC LIMIT 1");
