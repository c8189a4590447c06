//! The driver: the table, the file and the process of one OpenResty behind the contract's trait.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use backchat_contract::{
    Desired, Driver, DriverError, EndpointId, EndpointState, Idle, Mode, PlanView, Plane, Refusal, Report, Service,
    ServiceName, Step, Trial,
};
use backchat_nginx::{
    keys,
    runner::{Load, Managed, Runner},
};
use backchat_template::{Memo, failpoint::point_async, last_good, read};

use crate::{
    admin::{Admin, Pushed},
    config::{ConfigSettings, Kept},
    following::Following,
    observe::Observed,
    plan::{self, Plan, Planner, part},
    push::PushPlan,
    settings::{AttachedSettings, ManagedSettings},
    table::Table,
};

/// One OpenResty.
#[derive(Debug)]
pub struct OpenrestyDriver {
    following: Following,
    runner: Runner,
    admin: Admin,
    /// What the file was read to say last: ten thousand servers are not read again where it is the same.
    kept: Memo<Option<Kept>>,
    /// Where certificates and their keys lie.
    certificates: PathBuf,
    /// The check of a file, for people to read.
    check: String,
    /// Whether the end of the data plane was told already: once is enough until somebody has looked.
    told: bool,
}

impl OpenrestyDriver {
    /// An OpenResty of our own.
    pub fn managed(settings: ManagedSettings) -> Result<Self, DriverError> {
        let staged = settings.config.paths.folder.join(".nginx.conf.staged");
        let check = format!("{} -t -c {}", settings.program, staged.display());
        let runner = Runner::managed(Managed::new(settings.launch()), settings.limits).endpoints_flow();
        let admin = Admin::new(&settings.config.paths.control)?;
        let certificates = settings.config.paths.certificates.clone();
        let following = Following::new(settings.config, settings.template_file.as_deref());
        Ok(Self { runner, admin, following, certificates, kept: Memo::default(), check, told: false })
    }

    /// An OpenResty of somebody else's, or his nginx with the Lua module.
    pub fn attached(settings: AttachedSettings) -> Result<Self, DriverError> {
        let conf = settings.attached.conf.display();
        let check = format!("{} -t -c {conf}", settings.attached.program);
        let runner = Runner::attached(settings.attached, settings.limits).endpoints_flow();
        let admin = Admin::new(&settings.config.paths.control)?;
        let certificates = settings.config.paths.certificates.clone();
        let following = Following::new(settings.config, settings.template_file.as_deref());
        Ok(Self { runner, admin, following, certificates, kept: Memo::default(), check, told: false })
    }

    /// What became of a push, in the report; whether it is served.
    async fn push(&self, push: &PushPlan, report: &mut Report) -> Result<bool, DriverError> {
        match self.admin.push(&push.what, &push.over).await? {
            Pushed::Served => report.applied += 1,
            Pushed::Stale(said) => {
                tracing::info!(said, "openresty serves another table than when it was read: nothing is done");
                report.stale = true;
            }
            Pushed::Refused(reply) => report.refused.push(Refusal { command: push.command.clone(), reply }),
        }
        Ok(report.applied > 0)
    }
}

impl Driver for OpenrestyDriver {
    type Observed = Observed;
    type Plan = Plan;

    async fn ensure(&mut self) -> Result<(), DriverError> {
        self.following.templates.look(Instant::now()).await;
        let following = &self.following;
        let ensured = self.runner.ensure(|| following.empty()).await;
        ensured.map(drop).map_err(|error| following.unstarted(error))
    }

    async fn observe(&mut self) -> Result<Observed, DriverError> {
        // Where it was not taken over, for a dry run, nothing of it is remembered.
        let look = if self.runner.has_master() {
            self.runner.look().await?
        } else {
            self.runner.glance(&self.following.empty()?).await?
        };
        let state = if look.running.is_some() { self.admin.read().await? } else { None };
        self.told = false;
        let observed = Observed::by(look, state, &mut self.kept);
        self.following.judge(&observed).await;
        Ok(observed)
    }

    fn vacant(&self) -> Result<Option<Observed>, DriverError> {
        let empty = self.following.empty()?;
        Ok(self.runner.vacant(&empty)?.map(|file| self.following.started(file, &empty)))
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
            blocked: observed.look.edited(self.runner.file(), &self.runner.aside()),
            template: self.following.templates.trouble(observed.generation()),
            access_log: None,
            asks_failing: self.following.asks_failing(),
        }
    }

    fn part(&self, desired: &Desired) -> Desired {
        part(desired)
    }

    fn plan(&self, desired: &Desired, observed: &Observed, mode: Mode) -> Step<Plan> {
        let aside = self.runner.aside();
        let by = |config: &ConfigSettings, is_last: bool| {
            let config = &with_certificates(config, desired);
            let render = |table: &Table, room, generation| self.following.render(config, table, room, generation);
            let planner = Planner { file: self.runner.file(), aside: &aside, check: &self.check, render: &render };
            if is_last { Ok(planner.plan(desired, observed, mode)) } else { planner.try_plan(desired, observed, mode) }
        };
        self.following.plan(mode, |config| by(config, false), |config| by(config, true).unwrap_or(Step::Converged))
    }

    fn plan_by(
        &self,
        trial: Trial<'_>,
        desired: &Desired,
        observed: &Observed,
        mode: Mode,
    ) -> Result<Step<Plan>, DriverError> {
        let aside = self.runner.aside();
        self.following.plan_by(trial, |config| {
            let config = &with_certificates(config, desired);
            let render = |table: &Table, room, generation| self.following.render(config, table, room, generation);
            let planner = Planner { file: self.runner.file(), aside: &aside, check: &self.check, render: &render };
            planner.try_plan(desired, observed, mode)
        })
    }

    fn structure(&self, plan: &Plan) -> Option<String> {
        plan.reload.as_ref().map(|reload| reload.structure.clone())
    }

    fn view(&self, plan: &Plan) -> PlanView {
        plan.view()
    }

    fn is_conditional(&self) -> bool {
        true
    }

    fn at_once_of(&self, services: &BTreeMap<ServiceName, Service>, observed: &Observed) -> Option<Plan> {
        plan::at_once_of(services, observed)
    }

    fn note(&self, plan: &Plan, observed: &mut Observed) {
        plan::note(plan, observed);
    }

    fn at_once(&self, desired: &Desired, observed: &Observed) -> Option<Plan> {
        plan::at_once(desired, observed)
    }

    async fn apply(&mut self, plan: Plan) -> Result<Report, DriverError> {
        let mut report = Report::default();
        let mut served = true;
        // A push is taken only over what was read; whatever else is done is asked for.
        if !plan.is_push_alone() && !self.runner.runs_still(plan.read.as_ref()).await? {
            tracing::info!("openresty runs something else than when it was read: nothing is done");
            return Ok(Report { stale: true, ..report });
        }
        if let Some(push) = &plan.push {
            point_async("push:begin").await;
            served = self.push(push, &mut report).await?;
        }
        point_async("push:end").await;
        if report.stale || plan.is_push_alone() {
            return Ok(report);
        }
        if plan.fall_back {
            self.runner.fall_back().await?;
        }
        keys::keep(&self.certificates, &plan.certificates).await?;
        // A set that nobody serves is nothing to start from.
        if let Some(text) = plan.write.filter(|_| served) {
            self.runner.write(&text).await?;
        }
        if let Some(reload) = plan.reload {
            let structure = reload.structure.clone();
            let load = Load { text: reload.text.clone(), generation: reload.generation, structure, is_checked: true };
            // On the heap: it is large, and rare.
            let loaded = Box::pin(self.runner.load(&load)).await;
            report.reloaded = match &plan.template {
                Some(template) => self.following.done(template, &reload, loaded).await?,
                None => loaded.map(|()| true)?,
            };
            let file = self.runner.file();
            keys::sweep(&self.certificates, vec![read(file)?, read(&last_good(file))?]).await;
            report.applied += if report.reloaded { reload.commands.len() } else { 0 };
        }
        Ok(report)
    }

    fn idle(&self, observed: &Observed, id: &EndpointId) -> Idle {
        observed.idle(id)
    }

    fn in_flight(&self, observed: &Observed, id: &EndpointId) -> Option<u64> {
        observed.in_flight(id)
    }

    fn down(&self, observed: &Observed) -> BTreeSet<EndpointId> {
        let Some(state) = &observed.state else { return BTreeSet::new() };
        let set = state.table.as_ref().map(|table| &table.set);
        let ready = set.into_iter().flat_map(Desired::endpoints).filter(|(_, e)| e.state == EndpointState::Ready);
        ready.filter(|(_, e)| state.down.contains(&e.addr.get())).map(|(id, _)| id).collect()
    }

    fn endpoints_reload(&self) -> bool {
        false
    }

    fn restarts(&self) -> u64 {
        self.runner.restarts()
    }

    async fn attention(&mut self) {
        tokio::select! {
            end = self.runner.attention(self.told) => self.told |= end,
            () = self.following.templates.changed() => {}
        }
    }

    async fn stop(&mut self, deadline: Duration) -> Result<(), DriverError> {
        self.runner.stop(deadline).await
    }
}

fn with_certificates(config: &ConfigSettings, desired: &Desired) -> ConfigSettings {
    ConfigSettings { certificates: desired.certificates.clone(), ..config.clone() }
}
