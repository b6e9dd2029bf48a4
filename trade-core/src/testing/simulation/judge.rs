//! What holds at the end, whatever came between.

use super::callers::Asked;
use super::reader::Reader;
use crate::command::Outcome;
use crate::event::{Actor, Event};
use crate::policy::Asker;
use crate::rejection::Rejection;
use crate::resource::Sequence;
use crate::rules::{self, Context, Draft};
use crate::service::{Answer, COMMITTER_ENDED, ServiceError};
use crate::store::Store;
use crate::testing::snapshot::Snapshot;
use crate::testing::workload::{Finish, Finished};
use crate::values::Timestamp;
use crate::view::View;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// By how much a clock may be beside the right time and still be trusted.
const BESIDE_MILLIS: i64 = 30_000;

pub(super) async fn judge(store: &dyn Store, asked: Vec<Asked>, readers: Vec<Reader>) {
    for asked in &asked {
        assert!(!asked.finish.answers.iter().any(is_dropped), "nobody is forgotten: {:?}", asked.finish);
        assert!(
            asked.is_settled() || !asked.has_key(),
            "a request that was repeated is answered with certainty: {:?}",
            asked.finish
        );
    }
    let places: Vec<_> = asked.iter().map(Place::of).collect();
    let finished = Finished { requests: asked.into_iter().map(|asked| asked.finish).collect() };
    let stored = finished.assert_true(store).await;
    let events = stored.events();
    for reader in readers {
        let touches = |event: &&Event| reader.scope.touches(event.stations().into_iter().flatten());
        let of_scope: Vec<_> = events.iter().filter(touches).cloned().collect();
        assert_heard(&reader.end(), &of_scope);
    }
    let landed = landed(&stored);
    for (place, finish) in places.iter().zip(&finished.requests) {
        if let Some((first, last)) = landed.get(&finish.actor) {
            assert!(*first > place.called_at, "before it was asked for: {first} {place:?} {finish:?}");
            assert!(
                place.is_right(&stored, *first, finish),
                "what landed is refused at its place: {finish:?}"
            );
            assert!(
                !place.is_settled || *last <= place.answered_at,
                "after it was answered: {last} {place:?} {finish:?}"
            );
        }
        if let Some(Err(ServiceError::Rejected(rejection))) = finish.answers.last() {
            let is_right = rules::check(&finish.command).err().as_ref() == Some(rejection)
                || place.refusals(&stored, finish).any(|right| right == *rejection);
            assert!(is_right, "no state between call and answer is refused so: {place:?} {finish:?}");
        }
    }
}

/// Whether the service lost a command that it had taken. Of a process that crashes nobody hears so.
fn is_dropped(answer: &Result<Answer, ServiceError>) -> bool {
    matches!(answer, Err(ServiceError::Unknown(error)) if error.detail == COMMITTER_ENDED)
}

/// The first and the last sequence of what each caller caused.
fn landed(stored: &Snapshot) -> HashMap<Actor, (Sequence, Sequence)> {
    let mut landed = HashMap::new();
    for record in &stored.log {
        let place = landed.entry(record.step.actor.clone()).or_insert((record.first(), record.last));
        place.1 = record.last;
    }
    landed
}

fn assert_heard(heard: &[Event], stored: &[Event]) {
    let differs = heard.iter().zip(stored).find(|(heard, stored)| heard != stored);
    assert!(differs.is_none(), "a subscriber heard what the log does not tell: {differs:?}");
    assert_eq!(heard.len(), stored.len(), "a subscriber heard all");
}

/// Between which ends of the log, and when, a request was asked for and answered.
#[derive(Debug)]
struct Place {
    called_at: Sequence,
    answered_at: Sequence,
    times: [Timestamp; 2],
    is_settled: bool,
    asker: Option<Arc<Asker>>,
}

impl Place {
    fn of(asked: &Asked) -> Self {
        let Asked { called_at, answered_at, times, .. } = *asked;
        let asker = asked.asker.clone().map(Arc::new);
        Self { called_at, answered_at, times, is_settled: asked.is_settled(), asker }
    }

    /// Whether the command is taken in the state before a sequence.
    fn is_right(&self, stored: &Snapshot, first: Sequence, finish: &Finish) -> bool {
        let before = stored.log.partition_point(|record| record.last < first);
        self.nows().into_iter().any(|now| self.decide(stored, before, now, finish).is_ok())
    }

    /// Times by which it may have been judged.
    fn nows(&self) -> [Timestamp; 4] {
        let [called, answered] = self.times;
        let early = Timestamp::from_millis(called.millis() - BESIDE_MILLIS).unwrap_or(called);
        [called, answered, early, answered.plus(Duration::from_millis(BESIDE_MILLIS.unsigned_abs()))]
    }

    /// What becomes of the command after so many records of the log.
    fn decide(
        &self,
        stored: &Snapshot,
        records: usize,
        now: Timestamp,
        finish: &Finish,
    ) -> Result<Outcome, Rejection> {
        let mut view = View::empty();
        stored.log[..records].iter().for_each(|record| view.evolve_step(&record.step, record.first()));
        let context = Context { asker: self.asker.clone(), ..Context::new(now, finish.actor.clone()) };
        Draft::new(view).decide(&finish.command, &context)
    }

    /// How the command is refused in each state of the log between.
    fn refusals<'a>(
        &'a self,
        stored: &'a Snapshot,
        finish: &'a Finish,
    ) -> impl Iterator<Item = Rejection> + 'a {
        let ends = stored.log.iter().map(|record| record.last);
        let before = stored.log.partition_point(|record| record.last <= self.called_at);
        let ends = std::iter::once(before).chain(
            (before..)
                .zip(ends.skip(before))
                .take_while(|(_, last)| *last <= self.answered_at)
                .map(|(n, _)| n + 1),
        );
        ends.flat_map(move |end| {
            self.nows().into_iter().filter_map(move |now| self.decide(stored, end, now, finish).err())
        })
    }
}
