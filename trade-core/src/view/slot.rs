//! One row of a view.

use crate::resource::{Sequence, Version};
use crate::store::Write;
use std::sync::Arc;

/// A row as it is known, and what becomes of it.
#[derive(Debug, Clone)]
pub(super) struct Slot<T> {
    /// The version in the store; none where it holds no such row.
    pub(super) stored: Option<Version>,
    pub(super) value: Option<Arc<T>>,
    pub(super) changed: bool,
    pub(super) touched: bool,
    /// The event that made it, where that is not stored yet.
    pub(super) created: Sequence,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { stored: None, value: None, changed: false, touched: false, created: 0 }
    }
}

impl<T> Slot<T> {
    pub(super) fn stored(value: Arc<T>, version: Version) -> Self {
        Self { stored: Some(version), value: Some(value), ..Self::default() }
    }

    pub(super) fn set(&mut self, value: Arc<T>, sequence: Sequence) {
        if self.value.is_none() {
            self.created = sequence;
        }
        self.value = Some(value);
        self.changed = true;
    }

    /// The row, which an event changes, or makes.
    pub(super) fn change(&mut self, sequence: Sequence, unknown: impl FnOnce() -> T) -> &mut Arc<T> {
        if self.value.is_none() {
            self.created = sequence;
        }
        self.changed = true;
        self.value.get_or_insert_with(|| Arc::new(unknown()))
    }

    /// Notes the key as one that the next commit depends on.
    pub(super) fn touch<K: Clone>(&mut self, key: &K, touched: &mut Vec<K>) {
        if !self.touched {
            self.touched = true;
            touched.push(key.clone());
        }
    }

    /// The row as a commit takes it; it counts as stored from then on.
    pub(super) fn write<K>(&mut self, key: K, version: impl Fn(&T) -> Version) -> Write<K, T> {
        let value = if self.changed { self.value.clone() } else { None };
        let write = Write { key, expected: self.stored, value, created: self.created };
        self.stored = self.value.as_deref().map(version);
        (self.changed, self.touched, self.created) = (false, false, 0);
        write
    }
}
