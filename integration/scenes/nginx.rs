//! The scenes with nginx, and those that are its own: each change of its servers is a reload.
//!
//! Left to HAProxy's list is what no data plane has a part in.

mod reloads;

use super::{promises, scenes};

promises!(Nginx);

mod besides {
    use super::scenes;

    scenes!(Nginx:
        attached::{
            endpoints_come_and_go_in_somebody_elses,
            their_reload_and_their_restart_are_followed,
            what_is_edited_or_refused_changes_nothing,
        },
        dry_run::{
            one_that_was_ended_is_shown_as_it_would_start,
        },
        failpoints::{
            a_reload_that_a_killed_lb_began_is_not_begun_anew,
        },
        restarts::{
            many_restarts_under_load_change_nothing,
        },
    );
}
