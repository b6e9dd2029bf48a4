//! What a seed decides.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// Draws numbers, the same for the same seed and order of draws. Cheap to clone; clones draw from the same numbers.
#[derive(Debug, Clone)]
pub(super) struct Chance(Arc<Mutex<u64>>);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    /// Numbers of its own, for one purpose: what is drawn there changes nothing that is drawn here.
    pub(super) fn apart(seed: u64, purpose: &str) -> Self {
        let mixed = purpose.bytes().fold(seed, |mixed, byte| mix(mixed ^ u64::from(byte)));
        Self::new(mixed)
    }

    pub(super) fn draw(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(*state)
    }

    /// A number below `end`, which is at least 1.
    pub(super) fn below(&self, end: u64) -> u64 {
        self.draw() % end
    }

    /// Whether something happens that happens so many times in a thousand.
    pub(super) fn happens(&self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of several.
    pub(super) fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        let index = self.below(of.len() as u64);
        &of[usize::try_from(index).unwrap_or(0)]
    }

    /// Lets others go first, or not, or waits a while of up to so many milliseconds: so whoever waits for something is
    /// met in every order.
    pub(super) async fn dawdle(&self, millis_max: u64) {
        match self.below(8) {
            0..3 => {}
            3..5 => tokio::task::yield_now().await,
            5..7 => sleep(Duration::from_micros(self.below(1_000))).await,
            _ => sleep(Duration::from_millis(self.below(millis_max + 1))).await,
        }
    }
}

/// The output function of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
