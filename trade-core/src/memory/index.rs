use crate::resource::Sequence;
use crate::store::Page;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::ops::Range;

/// Rows examined for one page at most.
const EXAMINED_MAX: usize = 2_000;

/// The creation sequences of the rows of each key.
#[derive(Debug)]
pub(super) struct Index<K> {
    rows: HashMap<K, BTreeSet<Sequence>>,
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self { rows: HashMap::new() }
    }
}

impl<K: Hash + Eq + Clone> Index<K> {
    pub(super) fn insert(&mut self, key: &K, sequence: Sequence) {
        self.rows.entry(key.clone()).or_default().insert(sequence);
    }

    pub(super) fn remove(&mut self, key: &K, sequence: Sequence) {
        if let Some(rows) = self.rows.get_mut(key) {
            rows.remove(&sequence);
        }
    }

    /// The newest rows of a key first.
    pub(super) fn newest<'a>(
        &'a self,
        key: &K,
        range: Range<Sequence>,
    ) -> Box<dyn Iterator<Item = Sequence> + 'a> {
        match self.rows.get(key) {
            Some(rows) if !range.is_empty() => Box::new(rows.range(range).rev().copied()),
            _ => Box::new(std::iter::empty()),
        }
    }
}

/// A page of the rows that `wanted` gives back, from a walk over `sequences`.
pub(super) fn page<T>(
    sequences: impl Iterator<Item = Sequence>,
    limit: usize,
    wanted: impl Fn(Sequence) -> Option<T>,
) -> Page<T, Sequence> {
    let mut sequences = sequences.peekable();
    let mut rows = Vec::new();
    let mut last = None;
    let mut examined = 0;
    while rows.len() < limit && examined < EXAMINED_MAX {
        let Some(sequence) = sequences.next() else { return Page { rows, next: None } };
        rows.extend(wanted(sequence));
        last = Some(sequence);
        examined += 1;
    }
    let more = sequences.peek().is_some();
    Page { rows, next: last.filter(|_| more) }
}
