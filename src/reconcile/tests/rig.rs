//! A data plane that is a variable, and a loop that drives it, for the tests of the loop.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use backchat_contract::{EndpointId, EndpointState, Idle, Mode, PlanView, Plane, Report, Step, Structure, Trial};
use tokio::sync::oneshot;

use crate::model::{Desired, Kind, Liveness, Member, Moment, Policy, RawOffer, RawRecord, Snapshot, Verdict};
use crate::reconcile::*;

/// A data plane that holds what it was last told.
#[derive(Default)]
pub(super) struct World {
    pub(super) live: Desired,
    /// Endpoints with requests in flight: they drain first, and are not idle.
    pub(super) busy: BTreeSet<String>,
    /// Applies from now on do their work and fail all the same: some other service's part does.
    pub(super) fails: bool,
    /// It does not answer.
    pub(super) mute: bool,
    /// How long a look at it takes.
    pub(super) far: Duration,
    pub(super) applies: usize,
    /// It takes a plan only over what that was made for, and says so.
    pub(super) conditional: bool,
    /// What the last plan was made for.
    pub(super) over: Desired,
    /// How long an apply takes: it does its work at the end.
    pub(super) slow: Duration,
    /// Observations so far, and on which of them each apply rests, by when it was planned and by when it was begun.
    pub(super) observations: usize,
    pub(super) planned: usize,
    pub(super) bases: Vec<(usize, usize)>,
}

pub(super) struct Fake(Arc<Mutex<World>>);

impl Fake {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }
}

impl Driver for Fake {
    type Observed = Desired;
    type Plan = Desired;

    async fn ensure(&mut self) -> Result<(), DriverError> {
        Ok(())
    }

    async fn observe(&mut self) -> Result<Desired, DriverError> {
        let far = self.world().far;
        if !far.is_zero() {
            tokio::time::sleep(far).await;
        }
        if self.world().mute {
            return Err(DriverError::Deadline { what: "get an answer".into(), limit: Duration::from_secs(1) });
        }
        let mut world = self.world();
        world.observations += 1;
        Ok(world.live.clone())
    }

    fn live(&self, observed: &Desired) -> Desired {
        observed.clone()
    }

    fn plane(&self, _: &Desired) -> Plane {
        Plane { name: "fake", ..Plane::default() }
    }

    fn part(&self, desired: &Desired) -> Desired {
        desired.clone()
    }

    /// What is busy is not removed, it drains first.
    fn plan(&self, desired: &Desired, observed: &Desired, mode: Mode) -> Step<Desired> {
        let mut next = desired.clone();
        let held = mode.structure == Structure::Held;
        if held {
            next.services.retain(|name, _| observed.services.contains_key(name));
            next.routes.retain(|_, service| observed.services.contains_key(service));
        }
        {
            let mut world = self.world();
            world.planned = world.observations;
            world.over = observed.clone();
        }
        for (id, endpoint) in observed.endpoints() {
            if next.endpoint(&id).is_none() && self.world().busy.contains(&id.to_string()) {
                let drains = backchat_contract::Endpoint { state: EndpointState::Drain, ..endpoint.clone() };
                next.services.entry(id.service).or_default().endpoints.insert(id.endpoint, drains);
            }
        }
        match (next == *observed, next == *desired) {
            (true, true) if !self.world().fails => Step::Converged,
            (true, false) if held => {
                Step::Waiting { why: "structure waits for approval".into(), recheck: Duration::from_secs(10) }
            }
            (true, false) => Step::Waiting { why: "one drains".into(), recheck: Duration::from_millis(50) },
            _ => Step::Change(next),
        }
    }

    fn view(&self, plan: &Desired) -> PlanView {
        let reload = self.structure(plan).map(|new| format!("new: {new}"));
        PlanView { changes: backchat_contract::diff(&self.world().live, plan), reload, ..PlanView::default() }
    }

    fn plan_by(
        &self,
        _: Trial<'_>,
        desired: &Desired,
        observed: &Desired,
        mode: Mode,
    ) -> Result<Step<Desired>, DriverError> {
        Ok(self.plan(desired, observed, mode))
    }

    /// New services are structure here.
    fn structure(&self, plan: &Desired) -> Option<String> {
        let live = self.world().live.clone();
        let new: Vec<_> = plan.services.keys().filter(|name| !live.services.contains_key(*name)).collect();
        (!new.is_empty()).then(|| new.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }

    fn is_conditional(&self) -> bool {
        self.world().conditional
    }

    fn at_once(&self, desired: &Desired, observed: &Desired) -> Option<Desired> {
        let held = Mode { structure: Structure::Held };
        match self.plan(desired, observed, held) {
            Step::Change(plan) if self.is_conditional() => Some(plan),
            _ => None,
        }
    }

    async fn apply(&mut self, plan: Desired) -> Result<Report, DriverError> {
        let slow = {
            let mut world = self.world();
            let basis = (world.planned, world.observations);
            world.bases.push(basis);
            world.slow
        };
        tokio::time::sleep(slow).await;
        let reloaded = self.structure(&plan).is_some();
        let mut world = self.world();
        if world.conditional && world.live != world.over {
            return Ok(Report { stale: true, ..Report::default() });
        }
        world.live = plan;
        world.applies += 1;
        let fails = world.fails;
        drop(world);
        if fails {
            Err(DriverError::Reload { message: "no".into() })
        } else {
            Ok(Report { reloaded, ..Report::default() })
        }
    }

    fn idle(&self, _: &Desired, id: &EndpointId) -> Idle {
        if self.world().busy.contains(&id.to_string()) { Idle::No } else { Idle::Yes }
    }

    fn down(&self, _: &Desired) -> BTreeSet<EndpointId> {
        BTreeSet::new()
    }

    async fn attention(&mut self) {
        std::future::pending::<()>().await;
    }

    async fn stop(&mut self, _: Duration) -> Result<(), DriverError> {
        Ok(())
    }
}

/// A loop that runs, and all its ends.
pub(super) struct Rig {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) members: watch::Sender<Arc<Snapshot>>,
    pub(super) questions: mpsc::Sender<Question>,
    pub(super) queries: mpsc::Sender<Query>,
    pub(super) status: watch::Receiver<Arc<Status>>,
}

pub(super) fn member(name: &str, host: u8) -> Member {
    let offer = RawOffer {
        name: "web".into(),
        port: 80,
        hosts: vec![format!("{name}.example")],
        path: None,
        weight: None,
        protocol: None,
        healthy: true,
    };
    Member {
        name: name.parse().unwrap(),
        epoch: 1,
        addr: std::net::SocketAddr::from(([10, 0, 0, host], 7946)),
        liveness: Liveness::Alive,
        verdict: Verdict::Unasked,
        since: Moment::ZERO,
        record: Some(RawRecord {
            node: name.into(),
            epoch: 1,
            version: 1,
            services: vec![offer],
            ..RawRecord::default()
        }),
        refused: None,
    }
}

pub(super) fn lb() -> Member {
    let mut lb = member("lb", 250);
    lb.record.as_mut().unwrap().kind = Kind::Balancer;
    lb
}

pub(super) fn snapshot(members: impl IntoIterator<Item = Member>, synced: bool) -> Arc<Snapshot> {
    let members = members.into_iter().chain([lb()]).map(|m| (m.name.clone(), m)).collect();
    Arc::new(Snapshot { source: "gossip".into(), synced, members, ..Snapshot::default() })
}

/// What is live when `members` serve.
pub(super) fn live(members: &[Member]) -> Desired {
    let known = [Snapshot::clone(&snapshot(members.to_vec(), true))];
    crate::model::desired(&known, &Policy::default(), &crate::model::Ledger::default(), Moment::ZERO).0
}

impl Rig {
    pub(super) fn start(world: World, members: Arc<Snapshot>) -> Self {
        Self::remembering(world, members, crate::model::Ledger::default())
    }

    /// One whose structure a person approves.
    pub(super) fn approving(world: World, members: Arc<Snapshot>) -> Self {
        Self::by(Settings { approve: true, ..Settings::default() }, world, members, crate::model::Ledger::default())
    }

    pub(super) fn remembering(world: World, members: Arc<Snapshot>, kept: crate::model::Ledger) -> Self {
        Self::by(Settings::default(), world, members, kept)
    }

    fn by(settings: Settings, world: World, members: Arc<Snapshot>, kept: crate::model::Ledger) -> Self {
        let world = Arc::new(Mutex::new(world));
        let (members, snapshots) = watch::channel(members);
        let (questions, asked) = mpsc::channel(8);
        let (queries, inbound) = mpsc::channel(8);
        let (publish, status) = watch::channel(Arc::default());
        let inbox =
            Inbox { snapshots: inbox::Snapshots::new(vec![snapshots]), questions: asked, queries: inbound, kept };
        let times = (Instant::now(), CancellationToken::new());
        tokio::spawn(run(Fake(Arc::clone(&world)), settings, inbox, publish, times));
        Self { world, members, questions, queries, status }
    }

    /// Lets the clock run on; the loop steps meanwhile.
    pub(super) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    pub(super) fn served(&self) -> Vec<String> {
        self.world.lock().unwrap().live.endpoints().map(|(id, _)| id.endpoint.to_string()).collect()
    }

    pub(super) async fn ask(&self, node: &str) -> oneshot::Receiver<bool> {
        self.ask_from(node, 1, false).await
    }

    /// Asks from this version of the record on; where `serves`, for what does not drain too.
    pub(super) async fn ask_from(&self, node: &str, version: u64, serves: bool) -> oneshot::Receiver<bool> {
        let (answer, told) = oneshot::channel();
        let question = Question { node: node.parse().unwrap(), age: (1, version), serves, answer };
        self.questions.send(question).await.unwrap();
        told
    }

    pub(super) async fn release(&self) -> bool {
        let hold = self.status.borrow().held.first().map_or_else(String::new, |h| h.id.clone());
        self.let_go(hold).await
    }

    pub(super) async fn let_go(&self, hold: String) -> bool {
        let (answer, told) = oneshot::channel();
        self.queries.send(Query::Release { hold, answer }).await.unwrap();
        told.await.unwrap()
    }
}

pub(super) fn holding(members: &[Member]) -> World {
    World { live: live(members), ..World::default() }
}
