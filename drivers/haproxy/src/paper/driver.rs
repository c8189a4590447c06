//! The HAProxy on paper behind the contract's trait.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use backchat_contract::{
    Desired, Driver, DriverError, EndpointId, Idle, Mode, PlanView, Plane, Report, Step, paper::OnPaper,
};

use super::{By, Paper, paths};
use crate::{
    observe::Observed,
    plan::{Plan, part},
};

impl Driver for Paper {
    type Observed = Observed;
    type Plan = Plan;

    async fn ensure(&mut self) -> Result<(), DriverError> {
        Ok(())
    }

    async fn observe(&mut self) -> Result<Observed, DriverError> {
        Ok(self.look())
    }

    fn live(&self, observed: &Observed) -> Desired {
        observed.live(&self.flavour)
    }

    fn plane(&self, observed: &Observed) -> Plane {
        Plane {
            name: "haproxy",
            version: observed.info.version.clone(),
            generation: observed.layout.generation,
            blocked: observed.files.as_ref().and_then(|files| files.edited(&paths().config)),
            ..Plane::default()
        }
    }

    fn part(&self, desired: &Desired) -> Desired {
        part(desired, &self.flavour).into_owned()
    }

    fn plan(&self, desired: &Desired, observed: &Observed, mode: Mode) -> Step<Plan> {
        self.step(desired, observed, mode)
    }

    fn view(&self, plan: &Plan) -> PlanView {
        plan.view()
    }

    async fn apply(&mut self, plan: Plan) -> Result<Report, DriverError> {
        let reloads = self.reloads;
        self.take(&plan);
        Ok(Report { applied: plan.actions.len(), reloaded: self.reloads > reloads, ..Report::default() })
    }

    fn idle(&self, observed: &Observed, id: &EndpointId) -> Idle {
        observed.idle(id)
    }

    fn in_flight(&self, observed: &Observed, id: &EndpointId) -> Option<u64> {
        observed.in_flight(id)
    }

    fn down(&self, observed: &Observed) -> BTreeSet<EndpointId> {
        observed.failing()
    }

    async fn attention(&mut self) {
        std::future::pending::<()>().await;
    }

    async fn stop(&mut self, _: Duration) -> Result<(), DriverError> {
        Ok(())
    }
}

impl OnPaper for Paper {
    fn pass(&mut self, time: Duration) {
        self.tick(time);
    }

    fn busy(&mut self, requests: u64) {
        self.servers_mut().for_each(|server| server.used = requests);
    }

    fn weigh(&mut self, id: &EndpointId, weight: u16) -> bool {
        let servers = self.backends.values_mut().filter_map(|b| b.servers.get_mut(id.endpoint.as_str()));
        servers.for_each(|server| server.weight = weight.to_string());
        true
    }

    fn edit(&mut self) {
        if let Some(files) = &mut self.files {
            files.config.insert_str(0, "# by hand\n");
        }
    }

    fn alter(&mut self) {
        match &mut self.by {
            By::Salt(salt) => *salt += 1,
            By::Settings(settings) => Arc::make_mut(settings).no_route_status += 1,
        }
    }

    fn retemplate(&mut self, text: &str) {
        if let By::Settings(settings) = &mut self.by {
            text.clone_into(&mut Arc::make_mut(settings).template.text);
        }
    }
}
