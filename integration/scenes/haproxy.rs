//! The scenes with HAProxy, and those that are its own: what its runtime socket tells and takes.

mod attached;
mod checks;
mod earlier_files;
mod own_template;
mod restarts_told;
mod tampered;

use super::{promises, scenes};

promises!(Haproxy);

mod besides {
    use super::scenes;

    scenes!(Haproxy:
        by_hand::{
            what_cannot_be_drained_is_said,
        },
        child::{
            a_service_that_fails_is_started_again_after_growing_pauses,
        },
        clocks::{
            a_clock_that_jumps_changes_nothing_with_a_data_folder,
        },
        flapping::{
            a_member_that_is_restarted_again_and_again_is_not,
        },
        redis::{
            a_backend_that_fails_is_marked,
        },
        sources::{
            a_file_alone_is_followed_and_a_mistake_changes_nothing,
            files_and_gossip_are_one_set,
        },
    );
}
