//! The OpenResty on paper behind the contract's trait.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use backchat_contract::{
    Desired, Driver, DriverError, EndpointId, Idle, Mode, PlanView, Plane, Report, Step, Weight, paper::OnPaper,
};

use super::{ASIDE, FILE, Paper};
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
        observed.live()
    }

    fn plane(&self, observed: &Observed) -> Plane {
        Plane {
            name: "openresty",
            version: observed.look.running.as_ref().map(|r| r.version.clone()).unwrap_or_default(),
            generation: observed.generation(),
            old_workers: observed.retiring(),
            blocked: observed.look.edited(Path::new(FILE), Path::new(ASIDE)),
            template: None,
            access_log: None,
            asks_failing: true,
        }
    }

    fn part(&self, desired: &Desired) -> Desired {
        part(desired)
    }

    fn plan(&self, desired: &Desired, observed: &Observed, mode: Mode) -> Step<Plan> {
        self.step_from(desired, observed, mode)
    }

    fn view(&self, plan: &Plan) -> PlanView {
        plan.view()
    }

    async fn apply(&mut self, plan: Plan) -> Result<Report, DriverError> {
        let reloaded = plan.reload.is_some();
        let applied = plan.view().commands.len();
        self.take(plan);
        Ok(Report { applied, reloaded, ..Report::default() })
    }

    fn idle(&self, observed: &Observed, id: &EndpointId) -> Idle {
        observed.idle(id)
    }

    fn in_flight(&self, observed: &Observed, id: &EndpointId) -> Option<u64> {
        observed.in_flight(id)
    }

    fn down(&self, _: &Observed) -> BTreeSet<EndpointId> {
        BTreeSet::new()
    }

    async fn attention(&mut self) {
        std::future::pending::<()>().await;
    }

    async fn stop(&mut self, _: Duration) -> Result<(), DriverError> {
        Ok(())
    }
}

impl OnPaper for Paper {
    fn pass(&mut self, _: Duration) {
        self.retiring = 0;
    }

    fn busy(&mut self, requests: u64) {
        let ids = self.table.iter().flat_map(|table| table.set.endpoints().map(|(id, _)| (id, requests)));
        self.flights = ids.collect();
    }

    fn weigh(&mut self, id: &EndpointId, weight: u16) -> bool {
        let Some(table) = self.table.as_mut().map(Arc::make_mut) else { return false };
        let endpoint = table.set.services.get_mut(&id.service).and_then(|s| s.endpoints.get_mut(&id.endpoint));
        if let Some((endpoint, weight)) = endpoint.zip(Weight::try_from(u32::from(weight)).ok()) {
            endpoint.weight = weight;
            table.version += 1;
        }
        true
    }

    fn edit(&mut self) {
        self.disk.insert_str(0, "# by hand\n");
    }

    fn alter(&mut self) {
        match &mut self.by {
            Some(settings) => Arc::make_mut(settings).no_route_status += 1,
            None => self.settings += 1,
        }
    }

    fn retemplate(&mut self, text: &str) {
        if let Some(settings) = &mut self.by {
            text.clone_into(&mut Arc::make_mut(settings).template.text);
        }
    }
}
