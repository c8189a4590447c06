//! The driver: the file and the process of one nginx behind the contract's trait.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use backchat_contract::{Desired, Driver, DriverError, EndpointId, Idle, Mode, PlanView, Plane, Report, Step, Trial};
use backchat_template::{Memo, failpoint::point_async, last_good, read};

use crate::{
    config::{ConfigSettings, Renderer},
    following::Following,
    keys,
    layout::Layout,
    lines::Kept,
    observe::Observed,
    plan::{Plan, Planner, part},
    runner::{Load, Managed, Runner},
    settings::{AttachedSettings, ManagedSettings},
};

/// One nginx.
#[derive(Debug)]
pub struct NginxDriver {
    following: Following,
    runner: Runner,
    /// Where certificates and their keys lie.
    certificates: PathBuf,
    /// The check of a file, for people to read.
    check: String,
    /// What nginx took last, by the program's own template: see [`Planner::taken`]. Of somebody else's nothing, for the rest
    /// of its configuration may have changed since.
    taken: Option<String>,
    /// What the file was read to say last: ten thousand servers are not read again where it is the same.
    kept: Memo<Option<Kept>>,
    /// Whether the end of the data plane was told already: once is enough until somebody has looked.
    told: bool,
}

impl NginxDriver {
    /// An nginx of our own.
    pub fn managed(settings: ManagedSettings) -> Self {
        let check = {
            let staged = settings.config.paths.folder.join(".nginx.conf.staged");
            format!("{} -t -c {}", settings.program, staged.display())
        };
        let runner = Runner::managed(Managed::new(settings.launch()), settings.limits);
        let file = settings.config.paths.config.clone();
        let certificates = settings.config.paths.certificates.clone();
        let following = Following::new(settings.config, file, settings.template_file.as_deref());
        Self { runner, following, certificates, check, taken: None, kept: Memo::default(), told: false }
    }

    /// An nginx of somebody else's.
    pub fn attached(settings: AttachedSettings) -> Self {
        let conf = settings.attached.conf.display();
        let check = format!("{} -t -c {conf}", settings.attached.program);
        let file = settings.attached.include.clone();
        let runner = Runner::attached(settings.attached, settings.limits);
        let certificates = settings.config.paths.certificates.clone();
        let following = Following::new(settings.config, file, settings.template_file.as_deref());
        Self { runner, following, certificates, check, taken: None, kept: Memo::default(), told: false }
    }
}

impl NginxDriver {
    fn try_plan(
        &self,
        config: &ConfigSettings,
        desired: &Desired,
        observed: &Observed,
        mode: Mode,
    ) -> Result<Step<Plan>, DriverError> {
        let aside = self.runner.aside();
        let renderer = Renderer::new(config);
        let structure = |layout: &Layout| renderer.structure(layout);
        let render = |layout: &Layout, generation, structure: &str| renderer.file(layout, generation, structure);
        let file = self.runner.file();
        Planner {
            file,
            aside: &aside,
            check: &self.check,
            taken: self.taken.as_deref(),
            structure: &structure,
            render: &render,
        }
        .try_plan(desired, observed, mode)
    }
}

impl Driver for NginxDriver {
    type Observed = Observed;
    type Plan = Plan;

    async fn ensure(&mut self) -> Result<(), DriverError> {
        self.following.templates.look(Instant::now()).await;
        let following = &self.following;
        let ensured = self.runner.ensure(|| following.empty()).await;
        ensured.map(drop).map_err(|error| following.unstarted(error))
    }

    async fn observe(&mut self) -> Result<Observed, DriverError> {
        let observed = if self.runner.has_master() {
            Observed::by(self.runner.look().await?, &mut self.kept)
        } else {
            let empty = self.following.empty()?;
            Observed::as_ensured(self.runner.glance(&empty).await?, &empty)
        };
        self.told = false;
        self.following.judge(&observed).await;
        Ok(observed)
    }

    fn vacant(&self) -> Result<Option<Observed>, DriverError> {
        let empty = self.following.empty()?;
        Ok(self.runner.vacant(&empty)?.map(|file| Observed::started(file, &empty)))
    }

    fn live(&self, observed: &Observed) -> Desired {
        observed.live.desired()
    }

    fn plane(&self, observed: &Observed) -> Plane {
        Plane {
            name: "nginx",
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
        self.following.plan(mode, |config| self.try_plan(config, desired, observed, mode))
    }

    fn plan_by(
        &self,
        trial: Trial<'_>,
        desired: &Desired,
        observed: &Observed,
        mode: Mode,
    ) -> Result<Step<Plan>, DriverError> {
        self.following.plan_by(trial, |config| self.try_plan(config, desired, observed, mode))
    }

    fn structure(&self, plan: &Plan) -> Option<String> {
        plan.reload.as_ref().map(|reload| reload.alike.clone())
    }

    fn view(&self, plan: &Plan) -> PlanView {
        plan.view()
    }

    async fn apply(&mut self, plan: Plan) -> Result<Report, DriverError> {
        if !self.runner.runs_still(plan.read.as_ref()).await? {
            tracing::info!("nginx runs something else than when it was read: nothing is done");
            return Ok(Report { stale: true, ..Report::default() });
        }
        point_async("push:begin").await;
        if plan.fall_back {
            self.runner.fall_back().await?;
        }
        keys::keep(&self.certificates, &plan.certificates).await?;
        let Some(reload) = plan.reload else {
            self.runner.write(&plan.text).await?;
            return Ok(Report::default());
        };
        let (generation, structure) = (reload.generation, reload.structure);
        let load = Load { text: plan.text, generation, structure, is_checked: reload.is_checked };
        let loaded = self.runner.load(&load).await;
        // What an operator's template makes of one endpoint nobody knows.
        let taken = loaded.is_ok() && self.runner.is_ours() && !self.following.templates.is_followed();
        self.taken = taken.then_some(reload.alike);
        let taken = match &plan.template {
            Some(template) => self.following.done(template, &load.text, loaded).await?,
            None => loaded.map(|()| true)?,
        };
        let file = self.runner.file();
        keys::sweep(&self.certificates, vec![read(file)?, read(&last_good(file))?]).await;
        let applied = if taken { reload.commands.len() } else { 0 };
        Ok(Report { applied, reloaded: taken, ..Report::default() })
    }

    fn idle(&self, observed: &Observed, id: &EndpointId) -> Idle {
        observed.idle(id)
    }

    /// nginx has no checks of its own: whom it passes over it does not say.
    fn down(&self, _: &Observed) -> BTreeSet<EndpointId> {
        BTreeSet::new()
    }

    fn endpoints_reload(&self) -> bool {
        true
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
