//! Bytes that many requests share: what is held for all of them at once is bounded.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many bytes for all who take of it.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// Takes nothing yet.
    pub(crate) fn share(&self) -> Share {
        Share { budget: self.clone(), taken: None }
    }
}

/// What one of them has taken. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    taken: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Takes more, if there is as much left.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let permits = u32::try_from(bytes).ok();
        let Some(more) = permits.and_then(|n| self.budget.0.clone().try_acquire_many_owned(n).ok()) else {
            return false;
        };
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        true
    }

    /// Gives back all but so many bytes.
    pub(crate) fn keep(&mut self, bytes: usize) {
        if let Some(taken) = &mut self.taken {
            drop(taken.split(taken.num_permits().saturating_sub(bytes)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_took_nobody_else_has_until_it_is_given_back() {
        let budget = Budget::new(10);
        let (mut one, mut other) = (budget.share(), budget.share());
        assert!(one.take(4) && one.take(3) && other.take(3));
        assert!(!one.take(1) && !other.take(1) && other.take(0));
        one.keep(9);
        assert!(!other.take(1));
        one.keep(5);
        assert!(!other.take(3) && other.take(2));
        drop(one);
        assert!(!other.take(6) && other.take(5));
    }
}
