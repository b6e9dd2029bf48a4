//! The conformance suite notices every saboteur, and the memory store without one passes it.

use std::sync::Arc;
use std::time::Duration;
use trade_core::memory::MemoryStore;
use trade_core::testing::conformance::{CASES, InProcess};
use trade_core::testing::saboteurs::{Sabotage, SabotagedFactory};

/// A case that hangs has noticed something as well.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first case that notices a sabotage.
fn noticed(sabotage: Sabotage) -> Option<&'static str> {
    for case in CASES {
        let factory = Arc::new(SabotagedFactory::new(InProcess::new(MemoryStore::new), sabotage));
        if case.check(factory, PATIENCE).is_err() {
            return Some(case.name);
        }
    }
    None
}

fn is_unnoticed(sabotage: &Sabotage) -> bool {
    noticed(*sabotage).is_none()
}

#[test]
fn every_saboteur_is_noticed() {
    // Their panics are expected, and too many to read.
    std::panic::set_hook(Box::new(|_| {}));
    let (first, second) = Sabotage::ALL.split_at(Sabotage::ALL.len() / 2);
    let unnoticed: Vec<Sabotage> = std::thread::scope(|scope| {
        let halves = [first, second]
            .map(|half| scope.spawn(move || half.iter().copied().filter(is_unnoticed).collect()));
        halves.into_iter().flat_map(|half| half.join().unwrap_or_else(|_| Sabotage::ALL.to_vec())).collect()
    });
    let _ = std::panic::take_hook();
    assert!(unnoticed.is_empty(), "no case notices {unnoticed:?}");
}
