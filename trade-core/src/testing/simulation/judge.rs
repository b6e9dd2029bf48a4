//! What holds at the end, whatever came between.

use super::callers::Asked;
use super::reader::Reader;
use crate::event::{Actor, Event};
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
        assert_heard(&reader.end(), &events);
    }
    let landed = landed(&stored);
    for (place, finish) in places.iter().zip(&finished.requests) {
        if let Some((first, last)) = landed.get(&finish.actor) {
            assert!(*first > place.called_at, "before it was asked for: {first} {place:?} {finish:?}");
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
}

impl Place {
    fn of(asked: &Asked) -> Self {
        let Asked { called_at, answered_at, times, .. } = *asked;
        Self { called_at, answered_at, times, is_settled: asked.is_settled() }
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
        let [called, answered] = self.times;
        let early = Timestamp::from_millis(called.millis() - BESIDE_MILLIS).unwrap_or(called);
        let nows =
            [called, answered, early, answered.plus(Duration::from_millis(BESIDE_MILLIS.unsigned_abs()))];
        ends.flat_map(move |end| {
            nows.into_iter().filter_map(move |now| {
                let mut view = View::empty();
                stored.log[..end].iter().for_each(|record| view.evolve_step(&record.step, record.first()));
                let context = Context { now, time: now, actor: finish.actor.clone() };
                Draft::new(view).decide(&finish.command, &context).err()
            })
        })
    }
}
