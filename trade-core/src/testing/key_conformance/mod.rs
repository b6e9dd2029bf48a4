//! What every [`KeyStore`](crate::access::KeyStore) must do, case by case: [`conformance`](super::conformance) for whoever keeps API keys.
//!
//! ```
//! use trade_core::memory::MemoryStore;
//! use trade_core::testing::conformance::InProcess;
//!
//! trade_core::key_conformance_suite!(in_memory, InProcess::new(MemoryStore::new));
//! # fn main() {}
//! ```

mod factory;
mod harness;

pub mod changing;
pub mod damage;
pub mod reading;
pub mod using;

pub use factory::KeyStoreFactory;
pub use harness::KeyHarness;

use super::conformance::CASE_TIMEOUT;
use super::isolated::isolated;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// One case of the suite.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name, as `theme::sentence`.
    pub name: &'static str,
    /// Runs it; it panics at what is wrong.
    pub run: fn(KeyHarness) -> Pin<Box<dyn Future<Output = ()>>>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Case {
    /// Runs the case in a thread and on a runtime of its own.
    ///
    /// # Errors
    /// What it found wrong: the text of its panic, or that it took too long.
    pub fn check(&self, factory: Arc<dyn KeyStoreFactory>, timeout: Duration) -> Result<(), String> {
        let (case, closed) = (*self, factory.clone());
        let run = async move || (case.run)(KeyHarness::open(factory).await).await;
        isolated(run, async move || closed.close().await, timeout)
    }

    /// Runs the case as a test.
    ///
    /// # Panics
    /// If the case fails.
    pub fn run_as_test(&self, factory: impl KeyStoreFactory + 'static) {
        if let Err(found) = self.check(Arc::new(factory), CASE_TIMEOUT) {
            panic!("{}: {found}", self.name);
        }
    }
}

/// The list of all cases, handed to another macro behind its arguments.
#[doc(hidden)]
#[macro_export]
macro_rules! __trade_core_key_cases {
    ($then:ident $arguments:tt) => {
        $crate::$then! { $arguments
            reading {
                nothing_is_found_in_an_empty_store
                a_key_is_read_back_as_it_was_stored
                a_scope_of_a_thousand_stations_is_kept
                keys_are_listed_by_their_ids
                what_is_listed_is_what_is_found
            }
            changing {
                the_first_version_is_of_a_key_that_is_not_there
                a_change_is_of_the_version_before_it
                a_change_is_seen_by_another_handle
                of_many_who_create_one_key_one_does
                of_many_who_change_one_key_one_does
            }
            using {
                the_latest_use_counts
                a_use_is_no_change
                a_change_keeps_the_use
                what_is_no_key_is_passed_over
                many_uses_are_noted_at_once
                changes_and_uses_do_not_undo_each_other
            }
            damage {
                what_no_version_has_written_is_told
                what_a_newer_version_has_written_is_told
            }
        }
    };
}

crate::__trade_core_key_cases!(__trade_core_case_table []);

/// Makes one test of every case of the suite: `key_conformance_suite!(name, factory)`, where `factory` is of a type that
/// implements [`KeyStoreFactory`](crate::testing::key_conformance::KeyStoreFactory). For the rest it is as
/// [`conformance_suite!`](crate::conformance_suite).
#[macro_export]
macro_rules! key_conformance_suite {
    ($name:ident, $factory:expr, needs = $variable:literal $(,)?) => {
        $crate::__trade_core_suite!(
            (key_conformance KeyStoreFactory __trade_core_key_cases) $name, $factory, needs = $variable
        );
    };
    ($(#[$attribute:meta])* $name:ident, $factory:expr $(,)?) => {
        $crate::__trade_core_suite!(
            (key_conformance KeyStoreFactory __trade_core_key_cases) [$(#[$attribute])*] $name, $factory
        );
    };
}
