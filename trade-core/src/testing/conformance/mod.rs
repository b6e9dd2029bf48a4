//! What every store must do, case by case.
//!
//! The cases stand in one list, `__trade_core_cases!` below. [`conformance_suite!`](crate::conformance_suite) makes one
//! test of each of them, and [`CASES`] holds them for programs; so a case that is added reaches every adapter.
//!
//! A case is a plain function that gets a [`Harness`] and panics at what is wrong. Some look at the store alone, through
//! the traits; others put a [`TradeService`](crate::service::TradeService) on it, or two.

mod harness;

pub mod batches;
pub mod commits;
pub mod expiry;
pub mod idempotency;
pub mod integrity;
pub mod inventories;
pub mod ledger;
pub mod lifecycle;
pub mod limits;
pub mod lists;
pub mod loading;
pub mod log;
pub mod races;
pub mod stock;

pub use harness::{Harness, refused, taken};

use super::isolated::isolated;
use crate::store::Store;
use async_trait::async_trait;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Makes stores for the suite. Each case has a factory of its own.
#[async_trait]
pub trait StoreFactory: Send + Sync + std::fmt::Debug {
    /// A store with nothing in it. Called once.
    async fn open(&self) -> Arc<dyn Store>;

    /// A second handle on what [`open`](Self::open) made, as another process would have it: nothing in memory may be
    /// shared with the first. Of a store that only one process can have open, it is the same handle again.
    async fn reopen(&self) -> Arc<dyn Store>;

    /// Removes what [`open`](Self::open) made, after the case, whether it failed or not.
    async fn close(&self) {}
}

/// Makes a store that lives in one process, by a function: `InProcess::new(MemoryStore::new)`.
#[derive(Debug)]
pub struct InProcess<S> {
    make: fn() -> S,
    store: OnceLock<Arc<S>>,
}

impl<S> InProcess<S> {
    /// By this function.
    pub fn new(make: fn() -> S) -> Self {
        Self { make, store: OnceLock::new() }
    }

    pub(super) fn store(&self) -> Arc<S> {
        self.store.get_or_init(|| Arc::new((self.make)())).clone()
    }
}

#[async_trait]
impl<S: Store + 'static> StoreFactory for InProcess<S> {
    async fn open(&self) -> Arc<dyn Store> {
        self.store()
    }

    async fn reopen(&self) -> Arc<dyn Store> {
        self.store()
    }
}

/// How long a case may take before it counts as failed.
pub const CASE_TIMEOUT: Duration = Duration::from_secs(120);

/// One case of the suite.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name, as `theme::sentence`.
    pub name: &'static str,
    /// Runs it; it panics at what is wrong.
    pub run: fn(Harness) -> Pin<Box<dyn Future<Output = ()>>>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Case {
    /// Runs the case in a thread and on a runtime of its own.
    ///
    /// # Errors
    /// What it found wrong: the text of its panic, or that it took too long.
    pub fn check(&self, factory: Arc<dyn StoreFactory>, timeout: Duration) -> Result<(), String> {
        let (case, closed) = (*self, factory.clone());
        let run = async move || (case.run)(Harness::open(factory).await).await;
        isolated(run, async move || closed.close().await, timeout)
    }

    /// Runs the case as a test.
    ///
    /// # Panics
    /// If the case fails.
    pub fn run_as_test(&self, factory: impl StoreFactory + 'static) {
        if let Err(found) = self.check(Arc::new(factory), CASE_TIMEOUT) {
            panic!("{}: {found}", self.name);
        }
    }
}

/// The address of a server that a suite needs, from an environment variable.
///
/// # Panics
/// If the variable is not set: a suite that was asked for is not green by absence.
pub fn server_url(variable: &str) -> String {
    match std::env::var(variable) {
        Ok(url) if !url.is_empty() => url,
        _ => panic!("{variable} is not set: this test needs the address of a server"),
    }
}

/// Fails where `TRADE_TEST_REQUIRE=1` and the address of a server is missing.
///
/// # Panics
/// As it says.
pub fn require_server(variable: &str) {
    if std::env::var("TRADE_TEST_REQUIRE").is_ok_and(|value| value == "1") {
        server_url(variable);
    }
}

/// The list of all cases, handed to another macro behind its arguments.
#[doc(hidden)]
#[macro_export]
macro_rules! __trade_core_cases {
    ($then:ident $arguments:tt) => {
        $crate::$then! { $arguments
            loading {
                nothing_is_found_in_an_empty_store
                what_is_asked_for_is_found_and_nothing_else
                a_whole_inventory_is_loaded_with_all_its_items
                what_is_loaded_is_what_the_repositories_show
                thousands_of_keys_are_loaded_at_once
                a_receipt_is_loaded_as_it_was_kept
                a_receipt_names_its_steps_where_they_landed
            }
            commits {
                a_stale_trade_version_lands_nothing
                a_stale_cargo_version_lands_nothing
                a_stale_station_version_lands_nothing
                a_stale_version_of_a_trade_that_is_only_read_lands_nothing
                a_stale_version_of_cargo_that_is_only_read_lands_nothing
                a_stale_version_of_a_station_that_is_only_read_lands_nothing
                a_trade_that_should_be_absent_lands_nothing
                cargo_that_should_be_absent_lands_nothing
                a_station_that_should_be_absent_lands_nothing
                an_id_that_is_taken_lands_nothing_wherever_the_head_is
                a_trade_that_is_only_read_as_absent_lands_nothing_where_it_exists
                cargo_that_is_only_read_as_absent_lands_nothing_where_it_exists
                a_station_that_is_only_read_as_absent_lands_nothing_where_it_exists
                a_row_that_should_exist_lands_nothing_where_it_is_absent
                one_stale_row_among_many_lands_nothing
                who_holds_the_head_is_not_overtaken
                a_held_head_that_is_let_go_keeps_nobody
                a_commit_of_receipts_alone_leaves_the_head
                matching_versions_over_a_stale_head_shift_the_sequences
                a_shifted_commit_of_several_steps_keeps_every_place
                a_known_receipt_is_a_conflict
                receipts_land_without_a_step
                a_time_before_the_head_is_a_conflict
                steps_of_several_times_land_in_one_commit
                a_time_equal_to_the_head_lands
                the_head_is_answered_and_read_back
                what_conflicted_can_be_decided_again
                many_steps_land_in_one_commit
                everything_is_there_after_reopening
            }
            log {
                the_log_ends_where_it_ends
                a_position_inside_a_record_gives_that_record
                no_more_records_are_read_than_asked_for
                bytes_end_a_read_after_at_least_one_record
                a_step_is_read_back_as_it_was_committed
                time_never_runs_backwards_along_the_log
                a_subscriber_of_one_service_hears_of_another
                a_waiting_reader_hears_of_another_handle
                a_late_subscriber_misses_nothing
                what_caused_a_step_lasts
                a_clock_of_the_stores_own_goes_forward
            }
            races {
                one_of_two_commits_over_the_same_rows_lands
                sequences_have_no_gap_under_many_committers
                a_tailing_reader_sees_every_event_once_in_order
                ten_units_go_to_ten_of_sixty_four_callers
                one_id_is_initiated_once_by_many_callers
                one_key_is_applied_once_by_two_services
                opposite_trades_do_not_deadlock
                readers_never_see_a_step_half_done
            }
            lifecycle {
                an_immediate_trade_moves_stock_at_once
                an_order_moves_stock_when_it_departs_and_arrives
                cancelling_restores_every_level
                a_returned_shipment_brings_the_goods_back
                a_lost_shipment_is_written_off
                a_transfer_settles_on_delivery
                a_transfer_can_be_cancelled_returned_and_lost
                completing_a_trade_delivers_its_cargo
                a_shipment_is_tracked_until_it_is_final
                the_status_it_is_in_already_changes_nothing
                what_the_status_does_not_allow_is_refused_and_changes_nothing
                adjustments_move_stock_in_and_out_of_the_world
                a_stale_precondition_is_refused
            }
            stock {
                every_short_line_is_listed_and_nothing_changes
                of_many_short_lines_the_first_are_listed
                reserved_units_are_not_available
                an_item_once_held_stays_listed
                lines_of_one_item_count_together
                goods_that_were_sold_on_cannot_be_taken_back
            }
            limits {
                five_thousand_lines_are_one_trade
                the_largest_quantity_survives
                a_level_past_the_range_is_refused
                a_total_past_the_range_is_capped_and_comes_back
                ids_that_differ_in_case_stay_apart
                ids_are_ordered_by_bytes
                the_longest_ids_are_kept
                labels_of_any_script_are_kept
                metadata_is_kept_and_replaced_as_a_whole
                prices_keep_their_scale
                times_of_any_year_are_kept
                names_of_actors_are_kept
            }
            lists {
                trades_are_listed_newest_first
                trades_are_narrowed_by_every_combination_of_filters
                cargo_is_narrowed_by_every_combination_of_filters
                lists_are_narrowed_to_a_scope
                a_scope_of_a_thousand_stations_shows_what_is_theirs
                spans_of_time_include_their_start_and_not_their_end
                a_walk_is_not_disturbed_by_what_is_added
                a_filter_of_something_unknown_finds_nothing
                a_changed_status_moves_a_trade_between_lists
                order_is_that_of_creation_not_of_the_clock
                cargo_history_holds_every_event_of_a_shipment
            }
            inventories {
                a_station_is_paged_by_item
                items_narrow_a_station
                stations_are_listed_newest_first_with_their_first_items
                totals_count_what_a_page_leaves_out
            }
            ledger {
                every_movement_is_a_row_of_both_its_stations
                the_ledger_of_a_station_is_paged_newest_first
                the_ledger_is_narrowed_by_item
                the_whole_ledger_is_walked_oldest_first
                every_reason_is_kept
            }
            idempotency {
                a_total_past_the_range_of_a_price_is_answered_again
                a_repeated_request_gets_its_first_answer
                a_repeated_request_gets_its_first_answer_after_reopening
                a_large_stations_answers_are_given_again
                a_key_is_free_as_soon_as_it_is_answered
                a_key_with_other_content_is_refused
                an_answer_in_which_nothing_was_applied_is_not_kept
                a_refused_request_may_succeed_later
                the_same_trade_again_is_what_is_stored
                the_same_transfer_again_is_what_is_stored
                only_old_receipts_are_pruned
            }
            batches {
                an_atomic_batch_lands_whole
                an_atomic_batch_with_one_refusal_lands_nothing
                the_trades_of_a_batch_stand_alone
                a_keyed_batch_is_answered_again
                later_trades_of_a_batch_see_earlier_ones
            }
            expiry {
                an_expired_trade_is_found_and_cancelled_once
                a_trade_under_way_does_not_expire
                expired_trades_are_limited
                two_services_cancel_an_expired_trade_once
                an_expired_trade_can_only_be_cancelled
            }
            integrity {
                the_fold_of_the_log_is_what_is_stored
                every_item_is_conserved
                the_store_holds_what_the_model_does
                everyone_is_told_the_truth_under_load
                two_services_under_load_are_one_network
            }
        }
    };
}

crate::__trade_core_cases!(__trade_core_case_table []);

/// Makes one test of every case of the suite: `conformance_suite!(name, factory)`.
///
/// `factory` is an expression of a type that implements
/// [`StoreFactory`](crate::testing::conformance::StoreFactory); it is evaluated anew for each case. Attributes before
/// the name are put on each test.
///
/// A store that needs a server takes the variable with its address as well:
///
/// ```text
/// conformance_suite!(postgres, Postgres::at(server_url("TRADE_TEST_POSTGRES_URL")), needs = "TRADE_TEST_POSTGRES_URL");
/// ```
///
/// Its cases are ignored by a plain `cargo test`, and fail without the address where they are asked for. One more test,
/// never ignored, fails where `TRADE_TEST_REQUIRE=1` is set and the address is missing.
#[macro_export]
macro_rules! conformance_suite {
    ($name:ident, $factory:expr, needs = $variable:literal $(,)?) => {
        $crate::__trade_core_suite!(
            (conformance StoreFactory __trade_core_cases) $name, $factory, needs = $variable
        );
    };
    ($(#[$attribute:meta])* $name:ident, $factory:expr $(,)?) => {
        $crate::__trade_core_suite!(
            (conformance StoreFactory __trade_core_cases) [$(#[$attribute])*] $name, $factory
        );
    };
}
