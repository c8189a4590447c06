//! The main job as its users see it: real `backchat` processes, a real load balancer, real web servers, on loopback.
//!
//! A scene that states what a data plane promises is a function of the driver. `promises!` is the list of what each of
//! them promises; `haproxy.rs`, … run it and say which more they have. Below each lies what is that load balancer's own. A scene that is about
//! members or agents alone is a test where it stands, with [`plane::ANY`] of them.

mod access;
mod approval;
mod attached;
mod by_hand;
mod checks;
mod child;
mod clocks;
mod cluster;
mod conflicts;
mod crashes;
mod cuts;
mod deaths;
mod disk;
mod dry_run;
mod etcd;
mod explained;
mod failpoints;
mod flapping;
mod haproxy;
mod https;
mod init;
mod leaving;
mod magic;
mod mass_failure;
mod namespaces;
mod nginx;
mod openresty;
mod plane;
mod plans;
mod proxy;
mod recorder;
mod redis;
mod restarts;
mod services;
mod serving;
mod signals;
mod sources;
mod strangers;
mod templates;
mod watching;
mod world;

pub(crate) use world::reached;

/// Runs scenes on a data plane: `scenes!(Haproxy: crashes::{agent_and_service_die_together, …}, …)`.
macro_rules! scenes {
    ($driver:ident: $($module:ident::{$($scene:ident),* $(,)?}),* $(,)?) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scene() {
                crate::scenes::$module::$scene(backchat::demo::Driver::$driver).await;
            })*
        })*
    };
}
use scenes;

/// Runs on a data plane what every one promises: `promises!(Haproxy);`.
macro_rules! promises {
    ($driver:ident) => {
        crate::scenes::scenes!($driver:
            access::{
                the_access_log_goes_on_while_its_lb_is_dead,
            },
            approval::{
                structure_waits_until_it_is_applied_and_endpoints_flow,
                what_moved_since_is_named_and_nothing_is_done,
                a_first_start_serves_what_needs_no_structure,
                a_template_is_tried_and_nothing_is_written,
            },
            by_hand::{
                a_node_is_drained_and_undrained_and_nobody_notices,
                one_service_is_drained_and_the_other_serves_on,
                a_wait_ends_at_its_deadline_and_names_who_is_missing,
                it_holds_for_balancers_to_come_and_as_long_as_the_agent_lives,
            },
            child::{
                a_service_that_dies_is_out_at_once_and_its_agent_ends_as_it_did,
                a_leave_drains_first_and_passes_the_status_on,
                a_service_gets_no_request_before_it_listens,
                what_fails_its_check_is_withdrawn_until_it_passes,
            },
            clocks::{
                a_clock_that_jumps_changes_nothing_without_a_data_folder,
            },
            cluster::{
                two_balancers_see_the_same_set,
            },
            conflicts::{
                who_has_a_host_keeps_it_against_another_file_and_gossip,
                a_mistake_is_told_with_its_line_in_each_tongue,
            },
            crashes::{
                agent_and_service_die_together_and_no_idempotent_request_is_lost,
                a_post_is_never_carried_out_twice,
                an_agent_dies_alone_and_its_service_is_let_go_gently,
                a_suspicion_of_one_that_answers_the_balancer_changes_nothing,
            },
            deaths::{
                the_lb_is_killed_and_restarted_under_load_and_nothing_changes,
                a_killed_data_plane_comes_back_with_all_its_servers,
                sigterm_ends_the_data_plane_too_and_keep_leaves_it,
                a_daemon_that_fails_leaves_the_data_plane_serving,
            },
            disk::{
                a_full_disk_cuts_no_file_and_all_serves_on,
                a_data_plane_killed_on_a_full_disk_comes_back,
                a_folder_that_cannot_be_written_stops_nobody,
                an_edited_file_is_not_written_over_until_it_is_forced,
                an_edit_that_is_undone_blocks_no_more,
            },
            dry_run::{
                by_a_file_nothing_is_done_and_the_daemon_then_does_it,
                by_gossip_nothing_is_done_and_the_daemon_then_does_it,
            },
            explained::{
                requests_go_where_it_is_said,
                requests_go_where_it_is_said_under_hipache,
                what_became_of_each_endpoint_is_said,
            },
            failpoints::{
                killed_at_each_step_of_a_new_structure,
                killed_at_each_step_of_a_push,
                a_plan_that_is_held_up_does_no_harm,
            },
            flapping::{
                a_member_that_comes_and_goes_is_held_down_and_no_request_is_lost,
                a_service_that_comes_and_goes_behind_a_living_agent_is_held_down,
            },
            https::{
                a_certificate_is_signed_once_and_kept,
                files_are_followed_and_a_broken_one_holds_up_nothing,
            },
            init::{
                the_first_process_hands_signals_on_and_reaps_orphans,
            },
            leaving::{
                several_balancers_let_go_and_what_is_in_flight_ends,
                a_balancer_dies_for_good_while_web1_drains,
                a_balancer_restarts_while_web1_drains,
                a_balancer_is_dead_as_web1_begins_to_drain,
                a_balancer_was_restarted_gracefully_as_web1_begins_to_drain,
                a_balancer_that_ends_its_data_plane_is_not_waited_for,
                a_second_signal_waits_for_no_balancer,
                a_balancer_joins_while_web1_drains,
                a_balancer_that_never_confirms_holds_no_longer_than_the_deadline,
                a_balancer_that_is_stopped_is_left_behind_by_name_at_the_deadline,
            },
            magic::{
                every_service_has_a_name_with_an_address,
            },
            plans::{
                a_plan_says_what_would_change_by_its_schema,
            },
            redis::{
                the_scene_of_2014,
                a_frontend_without_backends_answers_for_itself,
                keys_are_followed_and_no_request_is_lost,
                debuggers_and_the_log_are_told_of_the_keys,
                marks_are_honoured_for_their_time,
                a_host_of_a_service_that_gossips,
            },
            restarts::{
                a_worker_or_master_killed_again_and_again_is_replaced_with_all_its_servers,
                a_reload_by_hand_loses_no_request_and_the_new_worker_is_driven,
                a_stopped_data_plane_is_said_holds_up_no_gossip_and_heals,
                a_kept_data_plane_is_adopted_by_the_next_lb_and_follows_its_flags,
                a_port_that_somebody_else_has_is_refused_at_the_start,
                who_went_while_the_lb_was_away_is_out_when_it_is_back,
            },
            services::{
                a_tag_makes_a_canary,
                what_cannot_be_done_is_said_before_anything_is_applied,
            },
            serving::{
                three_agents_join_and_traffic_reaches_each,
                a_leave_loses_no_request,
                a_crash_takes_the_endpoint_out_and_idempotent_requests_are_retried,
            },
            signals::{
                an_interrupted_balancer_leaves_and_takes_its_data_plane_along,
                a_second_signal_ends_a_drain_at_once,
            },
            templates::{
                what_is_shown_is_what_is_rendered,
                an_edit_is_loaded_once_and_loses_nothing,
                a_template_that_does_not_render_holds_up_nothing_but_itself,
                a_template_that_is_refused_is_not_loaded_by_this_daemon_nor_the_next,
                a_link_is_turned_and_a_file_goes_and_comes_back,
                a_first_start_by_a_broken_template_waits_for_its_mending,
            },
            watching::{
                a_join_and_a_crash_are_told_with_what_follows_and_the_counts_agree,
                a_data_plane_that_is_killed_is_told_and_counted,
            },
        );
    };
}
use promises;
