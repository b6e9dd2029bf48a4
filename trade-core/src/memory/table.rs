//! Rows by id, in the order of their creation.

use crate::hash::HashMap;
use crate::resource::Sequence;
use crate::store::Page;
use std::collections::BinaryHeap;
use std::hash::Hash;
use std::ops::Range;
use std::sync::Arc;

/// Rows examined for one page at most.
const EXAMINED_MAX: usize = 2_000;

/// Rows are only ever added at the end, so that a row keeps its place, by which everything else refers to it.
#[derive(Debug)]
pub(super) struct Table<K, T> {
    rows: Vec<(Sequence, Arc<T>)>,
    places: HashMap<K, usize>,
}

impl<K, T> Default for Table<K, T> {
    fn default() -> Self {
        Self { rows: Vec::new(), places: HashMap::default() }
    }
}

impl<K: Hash + Eq + Clone, T> Table<K, T> {
    pub(super) fn get(&self, id: &K) -> Option<&Arc<T>> {
        self.places.get(id).map(|place| &self.rows[*place].1)
    }

    /// The sequence that made a row.
    pub(super) fn created(&self, id: &K) -> Option<Sequence> {
        self.places.get(id).map(|place| self.rows[*place].0)
    }

    /// Replaces a row: its place, and what it was. Where there is none it is added, as the newest of all.
    pub(super) fn put(&mut self, id: &K, row: Arc<T>, created: Sequence) -> (usize, Option<Arc<T>>) {
        let end = self.rows.len();
        let place = *self.places.entry(id.clone()).or_insert(end);
        match self.rows.get_mut(place) {
            Some((_, known)) => (place, Some(std::mem::replace(known, row))),
            None => {
                debug_assert!(
                    self.rows.last().is_none_or(|(newest, _)| *newest < created),
                    "rows are ordered"
                );
                self.rows.push((created, row));
                (place, None)
            }
        }
    }

    /// The places of the rows that a span of sequences made.
    pub(super) fn places(&self, span: &Range<Sequence>) -> Range<usize> {
        let place = |at: Sequence| self.rows.partition_point(|(created, _)| *created < at);
        place(span.start)..place(span.end)
    }

    /// A page of the rows that are wanted, from a walk over places.
    pub(super) fn page(
        &self,
        walk: impl Iterator<Item = usize>,
        limit: usize,
        wanted: impl Fn(&T) -> bool,
    ) -> Page<Arc<T>, Sequence> {
        let rows = walk.filter_map(|place| self.rows.get(place)).map(|(created, row)| (*created, row));
        page(rows, limit, |row| wanted(row).then(|| row.clone()))
    }
}

/// Those of ascending places that are in a range, newest first.
pub(super) fn newest<'a>(places: &'a [usize], range: &Range<usize>) -> impl Iterator<Item = usize> + use<'a> {
    let place = |at: usize| places.partition_point(|place| *place < at);
    places[place(range.start)..place(range.end)].iter().rev().copied()
}

/// Descending walks as one; what is in several of them comes once.
pub(super) fn merged(
    walks: impl IntoIterator<Item = impl Iterator<Item = usize>>,
) -> impl Iterator<Item = usize> {
    let mut walks: Vec<_> = walks.into_iter().collect();
    let mut next: BinaryHeap<(usize, usize)> =
        walks.iter_mut().enumerate().filter_map(|(walk, places)| Some((places.next()?, walk))).collect();
    let mut last = None;
    std::iter::from_fn(move || {
        loop {
            let (place, walk) = next.pop()?;
            next.extend(walks[walk].next().map(|place| (place, walk)));
            if last.replace(place) != Some(place) {
                return Some(place);
            }
        }
    })
}

/// A page of what `wanted` gives back, from a walk over rows by their sequences.
pub(super) fn page<R, T>(
    walk: impl Iterator<Item = (Sequence, R)>,
    limit: usize,
    wanted: impl Fn(R) -> Option<T>,
) -> Page<T, Sequence> {
    let mut walk = walk.peekable();
    let mut rows = Vec::new();
    let mut last = None;
    let mut examined = 0;
    while rows.len() < limit && examined < EXAMINED_MAX {
        let Some((sequence, row)) = walk.next() else { return Page { rows, next: None, as_of: None } };
        rows.extend(wanted(row));
        last = Some(sequence);
        examined += 1;
    }
    let more = walk.peek().is_some();
    Page { rows, next: last.filter(|_| more), as_of: None }
}
