//! What people ask of an agent over its admin API.

use crate::{
    admin::Command,
    app::{Daemon, bridge, orders},
    model::{NoProposal, Unapplied},
};

const NO_PLANE: &str = "an agent drives no data plane: ask a balancer";

/// Does what was asked; says whether the agent is to leave.
pub(super) fn serve(command: Command, daemon: &Daemon) -> bool {
    match command {
        Command::Join { addrs, answer } => {
            daemon.answer(bridge::join(daemon.handle.clone(), addrs, answer));
        }
        Command::Order { ordering, answer } => {
            daemon.answer(orders::order(daemon.handle.clone(), ordering, answer));
        }
        Command::Leave { answer } => {
            let _nobody_waits = answer.send(());
            return true;
        }
        Command::Plan { answer, .. } => {
            let _nobody_waits = answer.send(Err(NoProposal::Refused(NO_PLANE.into())));
        }
        Command::Apply { answer, .. } => {
            let _nobody_waits = answer.send(Err(Unapplied::Foreign(NO_PLANE.into())));
        }
        Command::Release { answer, .. } => {
            let _nobody_waits = answer.send(false);
        }
    }
    false
}
