//! What commands came to, noted in what was read before them: for the next that go by it. Pure.

use std::{collections::BTreeSet, time::Duration};

use backchat_contract::EndpointName;

use super::{Flavour, Observed};
use crate::{
    layout::{Admin, Backend, Server},
    plan::{Action, Plan},
    protocol::{Command, ServerPath},
};

impl Observed {
    /// Notes a plan that was carried out, and which of its servers were let in: the others have passed no check yet.
    pub(crate) fn note(&mut self, flavour: &Flavour, plan: &Plan, let_in: &BTreeSet<ServerPath>) {
        for action in &plan.actions {
            if let Action::Run(command) = action {
                self.note_command(flavour, command);
            }
        }
        for path in let_in {
            if let Some(endpoint) = flavour.endpoint(path.server.as_str()) {
                self.down.remove(&(path.backend.clone(), endpoint));
            }
        }
        let is_relieved = |path: &ServerPath| let_in.iter().any(|other| other.backend == path.backend);
        for command in plan.relieved.iter().filter(|command| command.server().is_some_and(is_relieved)) {
            self.note_command(flavour, command);
        }
    }

    fn note_command(&mut self, flavour: &Flavour, command: &Command) {
        let Some(path) = command.server() else { return };
        let Some(endpoint) = flavour.endpoint(path.server.as_str()) else { return };
        let place = (path.backend.clone(), endpoint.clone());
        let Some(backend) = self.layout.backends.get_mut(&path.backend) else { return };
        match command {
            Command::Add { addr, id, weight, .. } => {
                let server = Server { id: *id, addr: *addr, weight: *weight, admin: Admin::Maint };
                backend.servers.insert(endpoint, server);
            }
            Command::HealthDown(_) => {
                self.down.insert(place, Duration::ZERO);
            }
            Command::State(_, state) => {
                set(backend, &endpoint, |server| server.admin = *state);
                if *state == Admin::Ready {
                    self.leaving.remove(&place);
                } else {
                    self.leaving.entry(place).or_default();
                }
            }
            Command::Weight(_, weight) => set(backend, &endpoint, |server| server.weight = *weight),
            Command::Addr(_, addr) => set(backend, &endpoint, |server| server.addr = *addr),
            _ => {}
        }
    }
}

fn set(backend: &mut Backend, endpoint: &EndpointName, change: impl FnOnce(&mut Server)) {
    if let Some(server) = backend.servers.get_mut(endpoint) {
        change(server);
    }
}
