//! The driver: the socket, the files and the process of one HAProxy behind the contract's trait.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use backchat_contract::{
    Desired, Driver, DriverError, EndpointAddr, EndpointId, Idle, Mode, PlanView, Plane, Policies, Report, Service,
    ServiceName, Step, Trial,
};
use backchat_template::{Template, failpoint::point_async};

use crate::{
    apply,
    certificates::Certificates,
    connection::Connection,
    layout::Layout,
    managed::Managed,
    observe::{self, Clock, Flavour, Observed},
    options::ServerOptions,
    plan::{Action, Plan, Planner, part},
    probe::{self, Newcomers},
    protocol::{Command, ServerPath, info},
    quic::Quic,
    settings::{AttachedSettings, ManagedSettings},
};

/// How long to wait where HAProxy could not delete a server yet, or still ends its sessions: steps should not follow
/// each other at once.
const NOT_YET: Duration = Duration::from_millis(10);

/// One HAProxy.
#[derive(Debug)]
pub struct HaproxyDriver {
    flavour: Flavour,
    options: ServerOptions,
    policies: Policies,
    fresh: Layout,
    drain_limit: Duration,
    connection: Connection,
    clock: Clock,
    newcomers: Newcomers,
    managed: Option<Managed>,
    /// The process that was read last: plans are for it alone.
    read: Option<u32>,
    /// The backends, as the process behind this session named them: none comes or goes but by a reload, and with 10,000
    /// of them nothing else takes HAProxy as long to say.
    backends: Option<(u64, Arc<str>)>,
    /// The certificates that the process with this number was given, whatever became of the file: where that may not be
    /// written, they would else be pushed again and again.
    pushed: Option<(u32, Certificates)>,
    /// The servers that were let in before anybody looked, by the last apply.
    let_in: BTreeSet<ServerPath>,
    /// Whether the end of the data plane was told already: once is enough until somebody has looked.
    told: bool,
}

impl HaproxyDriver {
    /// A HAProxy of our own. Refused: a run folder that HAProxy's parsers would not read as one word.
    pub fn managed(settings: ManagedSettings) -> Result<Self, DriverError> {
        let managed = Managed::new(settings)?;
        let config = &managed.settings().config;
        if config.quic == Quic::No && !config.tls_listen.is_empty() {
            tracing::info!("haproxy was built without QUIC: HTTP/2 is the newest that it speaks");
        }
        Ok(Self {
            flavour: managed.flavour().clone(),
            options: managed.settings().config.server_options.clone(),
            policies: managed.settings().config.policies.clone(),
            fresh: managed.settings().config.fresh(0, managed.settings().spares),
            drain_limit: managed.settings().drain_limit,
            connection: Connection::new(managed.paths().socket.clone()),
            clock: Clock::default(),
            newcomers: Newcomers::default(),
            managed: Some(managed),
            read: None,
            backends: None,
            pushed: None,
            let_in: BTreeSet::new(),
            told: false,
        })
    }

    /// A HAProxy of somebody else's.
    pub fn attached(settings: AttachedSettings) -> Self {
        Self {
            flavour: Flavour::Attached,
            options: settings.server_options,
            policies: Policies::default(),
            fresh: Layout::default(),
            drain_limit: settings.drain_limit,
            connection: Connection::new(settings.socket),
            clock: Clock::default(),
            newcomers: Newcomers::default(),
            managed: None,
            read: None,
            backends: None,
            pushed: None,
            let_in: BTreeSet::new(),
            told: false,
        }
    }
}

impl HaproxyDriver {
    /// A step by what planning needs to know, the templates aside.
    fn with_planner<T>(&self, plan: impl FnOnce(Planner<'_>) -> T) -> T {
        let renderer = self.managed.as_ref().map(Managed::renderer);
        let renderer = || renderer.as_ref().ok_or_else(unrendered);
        let planner = Planner {
            flavour: &self.flavour,
            options: &self.options,
            policies: &self.policies,
            fresh: &self.fresh,
            drain_limit: self.drain_limit,
            paths: self.managed.as_ref().map(Managed::paths),
            templates: Vec::new(),
            render: &|template, layout| renderer()?.render(template, layout),
            again: &|template, layout, rendered| renderer()?.again(template, layout, rendered),
            refused: false,
        };
        plan(planner)
    }

    /// Lets those in that listen, and lets go of those that they relieve; how many commands were taken.
    async fn let_in(
        &mut self,
        gate: Vec<(ServerPath, EndpointAddr)>,
        relieved: Vec<Command>,
    ) -> Result<usize, DriverError> {
        let listening = probe::listening(gate).await;
        let backends: BTreeSet<_> = listening.iter().map(|path| path.backend.clone()).collect();
        let mut up: Vec<_> = listening.iter().cloned().map(|path| Action::Run(Command::HealthUp(path))).collect();
        let is_relieved = |path: &ServerPath| backends.contains(&path.backend);
        let relieved = relieved.into_iter().filter(|command| command.server().is_some_and(is_relieved));
        up.extend(relieved.map(Action::Run));
        self.let_in = listening.into_iter().collect();
        let (session, _) = self.connection.current().await?;
        let sent = apply::send(session, &up).await.inspect_err(|_| self.connection.close())?;
        Ok(sent.applied)
    }
}

fn unrendered() -> DriverError {
    DriverError::Unsupported("an attached haproxy has no file of ours".into())
}

impl Driver for HaproxyDriver {
    type Observed = Observed;
    type Plan = Plan;

    async fn ensure(&mut self) -> Result<(), DriverError> {
        let Some(managed) = &mut self.managed else { return Ok(()) };
        if managed.ensure().await? {
            self.connection.close();
        }
        Ok(())
    }

    async fn observe(&mut self) -> Result<Observed, DriverError> {
        let (session, said, serial) = self.connection.numbered().await?;
        self.told = false;
        let known = self.backends.as_ref().filter(|(of, _)| *of == serial).map(|(_, known)| Arc::clone(known));
        let answers = observe::ask(session, &self.flavour, said, known).await;
        let answers = answers.inspect_err(|_| self.connection.close())?;
        let files = self.managed.as_ref().map(Managed::read_files).transpose()?;
        let mut observed = observe::assemble(&answers, &self.flavour, files)?;
        observed.sticky_drains(&self.policies);
        if let Some((_, pushed)) = self.pushed.as_ref().filter(|(pid, _)| *pid == observed.info.pid) {
            let live = observe::certificates::live(&answers, observed.files.as_ref(), Some(pushed));
            observed.layout.certificates = live;
        }
        self.read = Some(observed.info.pid);
        self.backends = Some((serial, Arc::clone(&answers.backends)));
        if let Some(managed) = &mut self.managed {
            managed.heard(observed.info.pid);
            observed.old_workers = managed.old_workers().await;
        }
        let now = Instant::now();
        self.clock.stamp(&mut observed, now);
        if self.managed.is_some() {
            // Of somebody else's HAProxy we do not know that it reaches what we reach.
            self.newcomers.look(&mut observed, &self.flavour, now).await;
        }
        if let Some(managed) = &mut self.managed {
            managed.judge(&observed).await;
            if !managed.is_taken_over() {
                // For a dry run, that is all there is to say: the daemon would tell it by its status, beside what flows.
                managed.render_any(&observed.layout)?;
            }
        }
        Ok(observed)
    }

    fn vacant(&self) -> Result<Option<Observed>, DriverError> {
        self.managed.as_ref().map_or(Ok(None), Managed::vacant)
    }

    fn live(&self, observed: &Observed) -> Desired {
        observed.live(&self.flavour)
    }

    fn plane(&self, observed: &Observed) -> Plane {
        Plane {
            name: "haproxy",
            version: observed.info.version.clone(),
            generation: observed.layout.generation,
            old_workers: observed.old_workers,
            blocked: self.managed.as_ref().zip(observed.files.as_ref()).and_then(|(m, f)| f.edited(&m.paths().config)),
            template: self.managed.as_ref().and_then(|m| m.templates().trouble(observed.layout.generation)),
            access_log: self.managed.as_ref().and_then(Managed::strays),
            asks_failing: false,
        }
    }

    fn part(&self, desired: &Desired) -> Desired {
        part(desired, &self.flavour).into_owned()
    }

    fn plan(&self, desired: &Desired, observed: &Observed, mode: Mode) -> Step<Plan> {
        let templates = self.managed.as_ref().map_or_else(Vec::new, |m| m.templates().candidates());
        let refused = self.managed.as_ref().is_some_and(|m| m.templates().is_refused());
        self.with_planner(|planner| Planner { templates, refused, ..planner }.plan(desired, observed, mode))
    }

    fn plan_by(
        &self,
        trial: Trial<'_>,
        desired: &Desired,
        observed: &Observed,
        mode: Mode,
    ) -> Result<Step<Plan>, DriverError> {
        let template = Template { name: trial.name.into(), text: trial.text.into() };
        if self.managed.is_none() {
            return Err(DriverError::Check {
                file: template.name,
                message: "an attached haproxy has a file of its own".into(),
            });
        }
        let templates = vec![Arc::new(template)];
        self.with_planner(|planner| Planner { templates, ..planner }.try_plan(desired, observed, mode))
    }

    fn structure(&self, plan: &Plan) -> Option<String> {
        plan.structure.as_ref().map(|structure| structure.structure.clone())
    }

    fn view(&self, plan: &Plan) -> PlanView {
        plan.view()
    }

    async fn apply(&mut self, plan: Plan) -> Result<Report, DriverError> {
        let mut report = Report::default();
        self.let_in.clear();
        let mut not_added = Vec::new();
        let mut held = Certificates::new();
        let (session, said) = self.connection.current().await?;
        if info(&said).map(|info| info.pid) != self.read {
            tracing::info!("haproxy was reloaded or restarted since it was read: nothing is sent");
            return Ok(Report { stale: true, ..report });
        }
        if !plan.actions.is_empty() {
            point_async("push:begin").await;
            let sent = apply::send(session, &plan.actions).await.inspect_err(|_| self.connection.close())?;
            self.newcomers.opened(&plan.actions, Instant::now());
            (report.applied, report.refused) = (sent.applied, sent.refused);
            not_added.extend(sent.not_added);
            if sent.certificate_refused {
                held = plan.held;
            } else {
                self.pushed = self.read.map(|pid| (pid, plan.certificates));
            }
            self.clock.denied(sent.denied, Instant::now());
            if sent.not_yet {
                tokio::time::sleep(NOT_YET).await;
            }
        }
        if !plan.gate.is_empty() {
            report.applied += self.let_in(plan.gate, plan.relieved).await?;
        }
        point_async("push:end").await;
        let Some(managed) = &mut self.managed else { return Ok(report) };
        if let Some(files) = plan.files {
            managed.write(files, &not_added, &held).await?;
        }
        if let Some(structure) = plan.structure {
            // Whatever comes of it: an open session would go on with the old worker, and keep it alive.
            self.connection.close();
            // On the heap: it is large, and rare.
            report.reloaded = Box::pin(managed.load(&structure)).await?;
        }
        Ok(report)
    }

    fn at_once_of(&self, services: &BTreeMap<ServiceName, Service>, observed: &Observed) -> Option<Plan> {
        self.managed.as_ref()?;
        self.with_planner(|planner| planner.at_once_of(services, observed))
    }

    fn note(&self, plan: &Plan, observed: &mut Observed) {
        observed.note(&self.flavour, plan, &self.let_in);
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

    fn restarts(&self) -> u64 {
        self.managed.as_ref().map_or(0, Managed::restarts)
    }

    async fn attention(&mut self) {
        match &mut self.managed {
            Some(managed) => self.told |= managed.attention(self.told).await,
            None if self.told => std::future::pending().await,
            None => {
                self.connection.closed().await;
                self.told = true;
            }
        }
    }

    async fn stop(&mut self, deadline: Duration) -> Result<(), DriverError> {
        self.connection.close();
        match &mut self.managed {
            Some(managed) => managed.stop(deadline).await,
            None => Ok(()),
        }
    }
}
