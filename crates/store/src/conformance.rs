//! What every store must do, whatever it is made of: named scenarios ([`conformance!`]) and a
//! differential walk against the model ([`differential`]).
//!
//! ```text
//! tasktonic_store::conformance!(|clock| async move { Arc::new(ModelStore::new(clock)) as Arc<dyn Store> });
//! ```

#![expect(clippy::unwrap_used, reason = "these are tests, shared by the crates of the stores")]

mod bytes;
mod counts;
mod crowd;
mod differential;
mod ended;
mod erased;
mod everything;
mod fences;
mod flows;
mod graphs;
mod inputs;
mod keys;
mod labels;
mod large_batch;
mod limit_walk;
mod limits;
mod lines;
mod lists;
mod places;
mod position;
mod priorities;
mod queue_limits;
mod queue_rates;
mod races;
mod registry;
mod replay;
mod scene;
mod schedules;
mod searches;
mod seed;
mod settings;
mod tasks;
mod times;
mod waiting;

pub use bytes::*;
pub use counts::*;
pub use crowd::{FirstPage, RARE, crowd, first_pages};
pub use differential::{Subject, differential, differential_apart, plain_differential};
pub use ended::*;
pub use erased::*;
pub use everything::{OfTask, Person, Whole, everything, whole};
pub use fences::*;
pub use flows::*;
pub use graphs::every_task_of_a_thousand_graphs_ends_and_is_queued_once;
pub use inputs::*;
pub use keys::*;
pub use labels::*;
pub use large_batch::ten_thousand_parts_that_fail_and_crash_are_counted_and_called_back_once;
pub use limit_walk::no_limit_is_exceeded_in_a_hundred_thousand_steps;
pub use limits::*;
pub use lines::*;
pub use lists::*;
pub use places::*;
pub use position::*;
pub use priorities::*;
pub use queue_limits::*;
pub use queue_rates::*;
pub use races::*;
pub use registry::*;
pub use replay::seeds;
pub use scene::Scene;
pub use schedules::*;
pub use searches::*;
pub use settings::*;
pub use tasks::*;
pub use times::*;
pub use waiting::*;

/// Makes one test per scenario, each on a fresh store. The argument is a function from a
/// [`Clock`](crate::clock::Clock) to a future of `Arc<dyn Store>`.
///
/// Where what is underneath takes long to start, `one test name: …` makes one test of all of them,
/// one after the other; each asks for a store, which must be empty.
#[macro_export]
macro_rules! conformance {
    (one test $test:ident: $make:expr) => {
        #[tokio::test]
        async fn $test() {
            let make = $make;
            $crate::conformance!(@names run make);
        }
    };
    (@run $make:ident; $($name:ident)*) => {$(
        eprintln!("{}", stringify!($name));
        let (clock, hand) = $crate::clock::Clock::manual(1_700_000_000_000);
        let store = $make(clock).await;
        $crate::conformance::$name($crate::conformance::Scene::new(store, hand)).await;
    )*};
    ($make:expr) => {
        $crate::conformance!(@names each $make);
    };
    (@names $way:ident $($make:tt)*) => {
        $crate::conformance!(@$way $($make)*;
            a_submitted_task_is_claimed_acked_and_kept
            acked_stays_acked
            one_key_gives_one_task_and_another_body_a_conflict
            the_same_id_is_accepted_once
            a_full_lane_refuses_and_keeps_nothing
            a_delayed_task_is_not_claimed_before_its_time
            a_failed_attempt_is_kept_and_followed_by_another
            a_snoozed_or_released_task_uses_up_no_attempt
            a_buried_task_can_be_redriven
            a_waiting_task_is_cancelled_at_once
            a_running_task_is_asked_to_stop_and_its_cancellation_sticks
            a_cancellation_outlives_the_worker_that_was_asked
            ten_thousand_cancellations_race_ends_to_one_end_each
            cancellations_that_race_claims_stop_a_task_or_ask_its_holder
            a_task_expires_within_its_time_and_never_runs_after
            a_claim_and_an_expiry_race_to_one_end
            a_delayed_task_may_expire_before_it_is_due
            a_waiting_task_gets_another_time_and_the_old_entry_is_dead
            a_waiting_task_goes_to_the_front_or_the_back_of_its_line
            an_edit_is_seen_by_the_run_or_refused
            an_edit_keeps_the_place_in_line_and_the_time
            ten_thousand_edits_race_claims_and_are_seen_or_refused
            a_task_waits_for_all_that_it_comes_after
            a_failure_goes_as_far_as_the_ties_say
            a_flow_with_one_task_refused_leaves_nothing
            a_running_part_adds_parts_to_its_flow
            a_lost_worker_holds_up_no_flow_for_ever
            a_cancelled_flow_takes_all_its_parts_along
            a_failed_flow_goes_on_when_its_parts_are_sent_back
            a_batch_calls_back_once_when_all_its_parts_have_ended
            ten_thousand_parts_that_fail_and_crash_are_counted_and_called_back_once
            every_task_of_a_thousand_graphs_ends_and_is_queued_once
            a_part_that_nobody_took_in_time_is_counted
            what_is_swept_has_told_its_end
            parts_of_one_serial_key_run_one_at_a_time
            a_part_that_is_purged_leaves_nobody_waiting
            a_user_with_flows_is_erased_with_all_ties
            a_task_is_told_what_became_of_those_it_waited_for
            a_batch_is_told_of_all_its_parts_a_page_at_a_time
            a_purged_task_is_gone_with_all_that_was_kept_of_it
            a_purged_task_is_not_claimed_from_the_entry_it_left
            the_key_of_a_purged_task_is_free_again
            a_dead_letter_is_sent_back_with_another_payload
            a_list_is_restricted_to_a_queue
            an_erased_user_is_gone_in_every_state_and_nobody_else_is
            a_user_with_many_tasks_is_erased_in_steps
            an_adopted_task_is_erased_with_its_lease
            a_task_knows_its_place_in_the_line
            a_line_tells_when_its_tasks_started
            a_long_line_is_told_as_so_many_or_more
            a_users_higher_tasks_go_first_each_in_their_order
            a_low_task_starts_in_one_of_eight_turns_under_high_load
            one_persons_high_tasks_do_not_delay_another
            a_task_keeps_its_priority_until_its_end
            limits_count_tasks_of_every_priority
            a_user_of_long_tasks_gets_no_more_time_than_a_user_of_short_ones
            a_user_of_minutes_gets_no_more_time_than_a_user_of_seconds
            weights_hold_in_run_time_as_well
            turns_by_run_time_leave_no_place_idle
            an_attempt_is_charged_for_what_it_took_however_it_ends
            turns_by_run_time_keep_limits_rates_priorities_and_pauses
            a_task_that_needs_labels_waits_where_only_their_workers_look
            a_claim_takes_no_more_places_than_there_are_and_stops_at_what_does_not_fit
            nobody_is_stopped_for_who_may_not_start
            who_is_stopped_is_not_parked
            places_that_cannot_be_are_refused
            a_thousand_submits_of_one_key_at_once_make_one_task
            a_key_until_done_is_free_when_its_task_has_ended
            a_key_until_started_is_free_while_its_task_runs
            a_unique_key_takes_any_body_until_its_task_has_ended
            a_throttled_key_accepts_one_in_each_window
            a_debounced_key_runs_once_with_the_last_payload
            a_replacing_submission_ends_one_that_waits_and_no_other
            of_a_thousand_that_replace_each_other_one_waits
            two_that_replace_each_other_do_not_fit_in_one_submit
            tasks_of_one_serial_key_run_one_at_a_time_in_order
            a_serial_task_keeps_its_turn_until_it_ends
            who_leaves_a_line_lets_the_next_one_go
            who_waits_in_a_line_is_told_whose_turn_it_is
            a_line_is_erased_with_its_user
            a_delayed_serial_task_stands_in_line_when_it_is_due
            of_a_key_the_newest_runs_next_and_alone
            of_a_thousand_that_restart_each_other_one_runs_and_the_last_wins
            of_a_thousand_of_a_running_key_the_policy_says_who_waits
            of_a_thousand_of_one_serial_key_one_runs
            a_schedule_is_changed_only_by_who_saw_it_last
            a_schedule_is_due_from_its_time_until_it_went_on
            a_tick_is_taken_once_and_makes_its_task_in_the_same_step
            a_tick_whose_task_exists_only_goes_on
            a_tick_into_a_full_line_changes_nothing
            a_clock_that_steps_repeats_no_tick
            a_user_has_so_many_schedules_and_no_more
            users_take_turns
            users_take_turns_by_their_weights
            weights_of_one_three_and_one_get_80_240_and_80_of_400_turns
            a_user_waits_with_as_many_tasks_as_is_set
            a_thousand_submits_at_once_never_pass_the_limit_of_what_waits
            a_paused_queue_hands_out_nothing_and_loses_nothing
            a_resume_wakes_who_is_idle
            a_paused_user_delays_nobody_else
            nobody_takes_back_anothers_pause
            a_user_paused_in_one_queue_waits_there_and_nowhere_else
            an_older_version_of_settings_changes_nothing
            a_lane_at_its_limit_delays_nobody_and_goes_on_when_one_ends
            a_lowered_limit_stops_new_claims_only
            what_is_counted_survives_a_lost_lease
            no_limit_is_exceeded_in_a_hundred_thousand_steps
            a_lane_that_gets_in_again_wakes_who_is_idle
            an_erased_user_is_not_counted
            a_limit_over_all_users_is_never_exceeded
            a_change_takes_effect_at_the_next_claim
            a_limit_of_one_comes_round_to_every_partition
            permits_of_dead_workers_come_back
            a_permit_that_gets_free_wakes_who_is_idle
            a_rate_over_all_users_is_never_exceeded
            a_burst_is_for_whoever_needs_it
            a_rate_over_all_users_is_changed_at_once
            a_rate_comes_round_to_every_partition
            a_start_that_is_due_wakes_who_is_idle
            a_user_starts_as_many_as_their_rate_says_and_delays_nobody
            a_rate_that_is_good_again_is_announced_and_wakes_who_is_idle
            a_rate_of_one_at_a_time_starts_each_at_its_time
            a_rate_is_changed_and_taken_back_while_lanes_wait
            an_ended_task_is_gone_after_its_retention
            a_forgotten_key_may_be_used_again
            a_stale_worker_is_refused_and_nothing_of_it_is_shown
            a_lost_lease_is_adopted_with_what_is_needed_to_settle_it
            settling_ends_a_task_whose_attempts_are_used_up
            a_task_that_kills_three_workers_is_dead_with_worker_lost
            x1_cancel_and_redrive_leave_one_claimable_task
            x2_an_old_sweep_entry_does_not_remove_a_live_task
            limits_are_kept_at_the_door
            lists_page_and_filter
            a_search_finds_words_where_they_begin
            a_search_finds_what_failed_by_its_error
            a_search_follows_what_a_task_is_called
            a_list_by_state_follows_every_move
            pages_of_a_search_follow_each_other
            counts_agree_with_lists
            counts_are_exact_for_a_user_of_many_tasks
            a_thousand_submits_at_once_never_pass_the_quota
            of_a_batch_what_fits_is_accepted
            an_edit_does_not_pass_the_quota
            logs_are_numbered_and_read_from_anywhere
            events_are_numbered_without_gaps_and_resume
            a_cursor_of_another_epoch_is_reset
            a_subscriber_hears_events_progress_and_log_lines
            a_parked_worker_is_woken_for_work
            the_holder_is_told_of_a_cancellation
            nobody_sees_anothers_tasks
            what_a_worker_holds_can_be_asked
            registry_records_are_changed_by_compare_and_set
        );
    };
    (@each $make:expr; $($name:ident)*) => {$(
        #[tokio::test]
        async fn $name() {
            let (clock, hand) = $crate::clock::Clock::manual(1_700_000_000_000);
            let make = $make;
            let store = make(clock).await;
            $crate::conformance::$name($crate::conformance::Scene::new(store, hand)).await;
        }
    )*};
}
