//! The scenes with OpenResty: endpoints come and go in the table that its Lua serves, without a reload.
//!
//! Left to HAProxy's list is what no data plane has a part in. Of what is HAProxy's own the table changed by hand is not
//! here: nobody but its `lb` can write to the socket of a run folder.

use super::{promises, scenes};

promises!(Openresty);

mod besides {
    use super::scenes;

    scenes!(Openresty:
        attached::{
            endpoints_come_and_go_in_somebody_elses,
            their_reload_and_their_restart_are_followed,
            what_is_edited_or_refused_changes_nothing,
        },
        child::{
            a_service_that_fails_is_started_again_after_growing_pauses,
        },
        clocks::{
            a_clock_that_jumps_changes_nothing_with_a_data_folder,
        },
        dry_run::{
            one_that_was_ended_is_shown_as_it_would_start,
        },
        failpoints::{
            a_reload_that_a_killed_lb_began_is_not_begun_anew,
        },
        flapping::{
            a_member_that_is_restarted_again_and_again_is_not,
        },
        redis::{
            a_backend_that_fails_is_marked,
        },
        restarts::{
            many_restarts_under_load_change_nothing,
        },
    );
}
