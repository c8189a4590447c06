//! The loop over a data plane that is a variable, on a paused clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use backchat_contract::{EndpointId, EndpointState, Idle, Mode, PlanView, Plane, Report, Step};
use tokio::sync::oneshot;

use super::*;
use crate::model::{Desired, Kind, Liveness, Member, Moment, Policy, RawOffer, RawRecord, Snapshot, State, Verdict};

/// A data plane that holds what it was last told.
#[derive(Default)]
struct World {
    live: Desired,
    /// Endpoints with requests in flight: they drain first, and are not idle.
    busy: BTreeSet<String>,
    /// Applies from now on do their work and fail all the same: some other service's part does.
    fails: bool,
    /// It does not answer.
    mute: bool,
    /// How long a look at it takes.
    far: Duration,
    applies: usize,
    /// How long an apply takes: it does its work at the end.
    slow: Duration,
    /// Observations so far, and on which of them each apply rests, by when it was planned and by when it was begun.
    observations: usize,
    planned: usize,
    bases: Vec<(usize, usize)>,
}

struct Fake(Arc<Mutex<World>>);

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

    /// What is busy is not removed, it drains first.
    fn plan(&self, desired: &Desired, observed: &Desired, _: Mode) -> Step<Desired> {
        let mut next = desired.clone();
        {
            let mut world = self.world();
            world.planned = world.observations;
        }
        for (id, endpoint) in observed.endpoints() {
            if next.endpoint(&id).is_none() && self.world().busy.contains(&id.to_string()) {
                let drains = backchat_contract::Endpoint { state: EndpointState::Drain, ..endpoint.clone() };
                next.services.entry(id.service).or_default().endpoints.insert(id.endpoint, drains);
            }
        }
        match (next == *observed, next == *desired) {
            (true, true) if !self.world().fails => Step::Converged,
            (true, false) => Step::Waiting { why: "one drains".into(), recheck: Duration::from_millis(50) },
            _ => Step::Change(next),
        }
    }

    fn view(&self, _: &Desired) -> PlanView {
        PlanView::default()
    }

    async fn apply(&mut self, plan: Desired) -> Result<Report, DriverError> {
        let slow = {
            let mut world = self.world();
            let basis = (world.planned, world.observations);
            world.bases.push(basis);
            world.slow
        };
        tokio::time::sleep(slow).await;
        let mut world = self.world();
        world.live = plan;
        world.applies += 1;
        let fails = world.fails;
        drop(world);
        if fails { Err(DriverError::Reload { message: "no".into() }) } else { Ok(Report::default()) }
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
struct Rig {
    world: Arc<Mutex<World>>,
    members: watch::Sender<Arc<Snapshot>>,
    questions: mpsc::Sender<Question>,
    queries: mpsc::Sender<Query>,
    status: watch::Receiver<Arc<Status>>,
}

fn member(name: &str, host: u8) -> Member {
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

fn lb() -> Member {
    let mut lb = member("lb", 250);
    lb.record.as_mut().unwrap().kind = Kind::Balancer;
    lb
}

fn snapshot(members: impl IntoIterator<Item = Member>, synced: bool) -> Arc<Snapshot> {
    let members = members.into_iter().chain([lb()]).map(|m| (m.name.clone(), m)).collect();
    Arc::new(Snapshot { source: "gossip".into(), synced, members })
}

/// What is live when `members` serve.
fn live(members: &[Member]) -> Desired {
    let known = [Snapshot::clone(&snapshot(members.to_vec(), true))];
    crate::model::desired(&known, &Policy::default(), &crate::model::Ledger::default(), Moment::ZERO).0
}

impl Rig {
    fn start(world: World, members: Arc<Snapshot>) -> Self {
        Self::remembering(world, members, crate::model::Ledger::default())
    }

    fn remembering(world: World, members: Arc<Snapshot>, kept: crate::model::Ledger) -> Self {
        let world = Arc::new(Mutex::new(world));
        let (members, snapshots) = watch::channel(members);
        let (questions, asked) = mpsc::channel(8);
        let (queries, inbound) = mpsc::channel(8);
        let (publish, status) = watch::channel(Arc::default());
        let inbox =
            Inbox { snapshots: inbox::Snapshots::new(vec![snapshots]), questions: asked, queries: inbound, kept };
        let times = (Instant::now(), CancellationToken::new());
        tokio::spawn(run(Fake(Arc::clone(&world)), Settings::default(), inbox, publish, times));
        Self { world, members, questions, queries, status }
    }

    /// Lets the clock run on; the loop steps meanwhile.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn served(&self) -> Vec<String> {
        self.world.lock().unwrap().live.endpoints().map(|(id, _)| id.endpoint.to_string()).collect()
    }

    async fn ask(&self, node: &str) -> oneshot::Receiver<bool> {
        self.ask_from(node, 1, false).await
    }

    /// Asks from this version of the record on; where `serves`, for what does not drain too.
    async fn ask_from(&self, node: &str, version: u64, serves: bool) -> oneshot::Receiver<bool> {
        let (answer, told) = oneshot::channel();
        let question = Question { node: node.parse().unwrap(), age: (1, version), serves, answer };
        self.questions.send(question).await.unwrap();
        told
    }

    async fn release(&self) -> bool {
        let hold = self.status.borrow().held.first().map_or_else(String::new, |h| h.id.clone());
        self.let_go(hold).await
    }

    async fn let_go(&self, hold: String) -> bool {
        let (answer, told) = oneshot::channel();
        self.queries.send(Query::Release { hold, answer }).await.unwrap();
        told.await.unwrap()
    }
}

fn holding(members: &[Member]) -> World {
    World { live: live(members), ..World::default() }
}

#[tokio::test(start_paused = true)]
async fn what_is_live_is_adopted_and_stays_until_all_is_synced() {
    let both = [member("a", 1), member("b", 2)];
    let rig = Rig::start(holding(&both), snapshot([both[0].clone()], false));
    rig.pass(Duration::from_secs(120)).await;
    assert_eq!(rig.served(), ["a", "b"]);
    assert_eq!(rig.world.lock().unwrap().applies, 0, "adopting changes nothing");
    rig.members.send_replace(snapshot([both[0].clone(), member("c", 3)], false));
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.served(), ["a", "b", "c"], "additions apply all the same");
    rig.members.send_replace(snapshot([both[0].clone(), member("c", 3), member("d", 4)], true));
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.served(), ["a", "c", "d"], "synced, and b is a minority of what was");
}

#[tokio::test(start_paused = true)]
async fn a_balancer_that_hears_nobody_keeps_what_is_live() {
    let both = [member("a", 1), member("b", 2)];
    let rig = Rig::start(holding(&both), snapshot([], true));
    rig.pass(Duration::from_secs(900)).await;
    assert_eq!(rig.served(), ["a", "b"]);
    assert_eq!(rig.world.lock().unwrap().live, live(&both), "its hosts too, after --empty-service");
    assert_eq!(rig.status.borrow().held.len(), 1);
    // The cluster comes back without b: it gets the time to come, too.
    rig.members.send_replace(snapshot([both[0].clone(), member("c", 3)], true));
    rig.pass(Duration::from_secs(9)).await;
    assert_eq!((rig.served().len(), rig.status.borrow().held.len()), (3, 1));
    let why = rig.status.borrow().held[0].why.clone();
    assert_eq!(why, "1 of 3 endpoints of web: enough others are back; it may be on its way back too");
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!((rig.served(), rig.status.borrow().held.len()), (vec!["a".to_owned(), "c".into()], 0));
}

#[tokio::test(start_paused = true)]
async fn a_held_service_keeps_its_hosts_against_newcomers() {
    let all = [member("a", 1), member("b", 2), member("c", 3)];
    let rig = Rig::start(holding(&all), snapshot([], true));
    rig.pass(Duration::from_secs(900)).await;
    let mut newcomer = member("n", 4);
    let offer = &mut newcomer.record.as_mut().unwrap().services[0];
    (offer.name, offer.hosts) = ("other".into(), vec!["a.example".into()]);
    rig.members.send_replace(snapshot([newcomer], true));
    rig.pass(Duration::from_secs(900)).await;
    let live_now = rig.world.lock().unwrap().live.clone();
    let owners: BTreeSet<_> = live_now.routes.values().map(ToString::to_string).collect();
    assert_eq!((rig.served().len(), owners), (4, BTreeSet::from(["web".to_owned()])));
    assert_eq!(rig.status.borrow().rejections.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_release_lasts_while_the_endpoint_drains() {
    let failed = Member { liveness: Liveness::Failed, verdict: Verdict::Silent, ..member("a", 1) };
    let world = World { busy: BTreeSet::from(["web/a".to_owned()]), ..holding(&[member("a", 1)]) };
    let rig = Rig::start(world, snapshot([failed], true));
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.status.borrow().held.len(), 1);
    assert!(rig.release().await);
    rig.pass(Duration::from_secs(20)).await;
    let state = |rig: &Rig| rig.world.lock().unwrap().live.endpoints().map(|(_, e)| e.state).collect::<Vec<_>>();
    assert_eq!((state(&rig), rig.status.borrow().held.len()), (vec![EndpointState::Drain], 0));
    rig.world.lock().unwrap().busy.clear();
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(state(&rig), []);
    assert!(!rig.release().await, "there is no hold any more");
}

#[tokio::test(start_paused = true)]
async fn an_agent_is_told_once_it_is_drained_and_idle() {
    let mut draining = member("a", 1);
    draining.record.as_mut().unwrap().state = State::Draining;
    let others = [member("b", 2), member("c", 3)];
    let world = World { busy: BTreeSet::from(["web/a".to_owned()]), ..holding(&[member("a", 1), others[0].clone()]) };
    let rig = Rig::start(world, snapshot(others.clone().into_iter().chain([draining]), true));
    let mut told = rig.ask("a").await;
    rig.pass(Duration::from_secs(5)).await;
    assert!(told.try_recv().is_err(), "a request is in flight");
    rig.world.lock().unwrap().busy.clear();
    rig.pass(Duration::from_millis(100)).await;
    assert_eq!(told.try_recv(), Ok(true));
}

/// The member a with a second service `api`, and in its second version `web` drained by hand.
fn two_services(version: u64) -> Member {
    let mut a = member("a", 1);
    let record = a.record.as_mut().unwrap();
    let api = RawOffer { name: "api".into(), port: 81, ..record.services[0].clone() };
    record.services.push(api);
    record.version = version;
    if version == 2 {
        record.by_hand.services.insert("web".into());
    }
    a
}

#[tokio::test(start_paused = true)]
async fn one_service_is_let_go_while_the_other_serves() {
    let busy = BTreeSet::from(["web/a".to_owned(), "api/a".to_owned()]);
    let world = World { busy, ..holding(&[two_services(1), member("b", 2)]) };
    let rig = Rig::start(world, snapshot([two_services(1), member("b", 2)], true));
    let mut early = rig.ask_from("a", 2, false).await;
    rig.pass(Duration::from_secs(1)).await;
    assert!(early.try_recv().is_err(), "that version has not come");
    rig.members.send_replace(snapshot([two_services(2), member("b", 2)], true));
    rig.pass(Duration::from_secs(1)).await;
    assert!(early.try_recv().is_err(), "a request is in flight");
    rig.world.lock().unwrap().busy.remove("web/a");
    rig.pass(Duration::from_millis(100)).await;
    assert_eq!(early.try_recv(), Ok(true), "that api is busy is none of web's business");
    let web_and_api = |rig: &Rig| {
        let live = rig.world.lock().unwrap().live.clone();
        ["web/a", "api/a"].map(|id| live.endpoints().find(|(known, _)| known.to_string() == id).map(|(_, e)| e.state))
    };
    assert_eq!(web_and_api(&rig), [Some(EndpointState::Drain), Some(EndpointState::Ready)]);

    // Back by hand: who asks whether it serves is told once it does.
    let mut back = rig.ask_from("a", 3, true).await;
    rig.pass(Duration::from_millis(100)).await;
    assert!(back.try_recv().is_err(), "that version has not come");
    rig.members.send_replace(snapshot([two_services(3), member("b", 2)], true));
    rig.pass(Duration::from_millis(300)).await;
    assert_eq!(back.try_recv(), Ok(true));
    assert_eq!(web_and_api(&rig), [Some(EndpointState::Ready); 2]);
}

/// What is refused here, or fails the data plane's check, does not serve: no word until it does.
#[tokio::test(start_paused = true)]
async fn nobody_is_told_that_it_serves_before_it_does() {
    let rig = Rig::start(holding(&[]), snapshot([member("a", 1)], true));
    rig.world.lock().unwrap().mute = true;
    let mut told = rig.ask_from("a", 1, true).await;
    rig.pass(Duration::from_secs(5)).await;
    assert!(told.try_recv().is_err(), "the data plane does not answer");
    rig.world.lock().unwrap().mute = false;
    rig.pass(Duration::from_secs(10)).await;
    assert_eq!(told.try_recv(), Ok(true));
}

#[tokio::test(start_paused = true)]
async fn one_service_that_fails_holds_back_no_leave_and_no_change() {
    let mut draining = member("a", 1);
    draining.record.as_mut().unwrap().state = State::Draining;
    let world = World { fails: true, ..holding(&[member("a", 1), member("b", 2)]) };
    let rig = Rig::start(world, snapshot([member("a", 1), member("b", 2)], true));
    // Long enough for the backoff to be at its longest.
    rig.pass(Duration::from_secs(60)).await;
    assert!(rig.status.borrow().error.is_some());
    rig.members.send_replace(snapshot([draining, member("b", 2)], true));
    let mut told = rig.ask("a").await;
    rig.pass(Duration::from_millis(300)).await;
    assert_eq!(told.try_recv(), Ok(true));
}

#[tokio::test(start_paused = true)]
async fn a_data_plane_that_is_mute_is_not_up() {
    let rig = Rig::start(holding(&[member("a", 1)]), snapshot([member("a", 1)], true));
    rig.pass(Duration::from_secs(2)).await;
    assert!(rig.status.borrow().plane_up && rig.status.borrow().converged);
    rig.world.lock().unwrap().mute = true;
    rig.pass(Duration::from_secs(2)).await;
    assert!(!rig.status.borrow().plane_up && !rig.status.borrow().converged);
    rig.world.lock().unwrap().mute = false;
    rig.pass(Duration::from_secs(10)).await;
    assert!(rig.status.borrow().plane_up && rig.status.borrow().error.is_none());
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired() {
    let rig = Rig::start(holding(&[member("a", 1)]), snapshot([member("a", 1)], true));
    rig.pass(Duration::from_secs(5)).await;
    let wanted = rig.world.lock().unwrap().live.clone();
    rig.world.lock().unwrap().live = Desired { services: BTreeMap::new(), routes: wanted.routes.clone() };
    rig.pass(Duration::from_secs(2)).await;
    assert_eq!(rig.world.lock().unwrap().live, wanted);
}

/// The host of a service that has nobody yet, from what was kept alone: the data plane lost everything.
#[tokio::test(start_paused = true)]
async fn what_was_kept_holds_a_host_against_a_newcomer() {
    let asks = |name: &str, host: u8, service: &str| {
        let mut member = member(name, host);
        let offer = &mut member.record.as_mut().unwrap().services[0];
        (offer.name, offer.hosts) = (service.into(), vec!["shop.example".into()]);
        member
    };
    let (incumbent, newcomer) = (asks("a", 2, "shop"), Member { epoch: 0, ..asks("n", 1, "other") });
    let known = [Snapshot::clone(&snapshot([incumbent.clone()], true))];
    let (_, kept, _) =
        crate::model::desired(&known, &Policy::default(), &crate::model::Ledger::default(), Moment::ZERO);
    let rig = Rig::remembering(World::default(), snapshot([newcomer.clone()], false), kept.clone());
    rig.pass(Duration::from_secs(1)).await;
    rig.members.send_replace(snapshot([newcomer, incumbent], true));
    rig.pass(Duration::from_secs(1)).await;
    let owners: Vec<_> = rig.world.lock().unwrap().live.routes.values().map(ToString::to_string).collect();
    let status = rig.status.borrow();
    let refused: Vec<_> = status.rejections.iter().map(|r| (r.node.as_str(), r.why.as_str())).collect();
    assert_eq!((owners, refused), (vec!["shop".to_owned()], vec![("n", "a holds it")]));
    assert_eq!(status.ledger.as_ref().map(|l| &l.claims), Some(&kept.claims), "what is kept next");
}

/// `a` crashes and comes back four times, a second apart; then it is left alone.
async fn flap(rig: &Rig, others: &[Member]) {
    for epoch in 2..=5 {
        let gone = Member { epoch: epoch - 1, liveness: Liveness::Failed, verdict: Verdict::Refused, ..member("a", 1) };
        let back = Member { epoch, ..member("a", 1) };
        for a in [gone, back] {
            rig.members.send_replace(snapshot(others.iter().cloned().chain([a]), true));
            rig.pass(Duration::from_millis(500)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_flaps_is_let_in_when_its_time_is_over() {
    let all = [member("a", 1), member("b", 2), member("c", 3)];
    let rig = Rig::start(holding(&all), snapshot(all.clone(), true));
    rig.pass(Duration::from_secs(1)).await;
    flap(&rig, &all[1..]).await;
    assert_eq!(rig.served(), ["b", "c"]);
    let flapping = rig.status.borrow().flapping[0].clone();
    assert_eq!((flapping.node.as_str(), flapping.times, flapping.endpoints.len()), ("a", 4, 1));
    assert!(rig.status.borrow().converged, "nothing is left to do meanwhile");
    // It came back half a second ago. The loop wakes by itself then, and not only when it looks around each second:
    // a change has it do that at other times.
    rig.pass(Duration::from_millis(300)).await;
    rig.members.send_modify(|_| {});
    rig.pass(Duration::from_millis(4190)).await;
    assert_eq!(rig.served(), ["b", "c"]);
    rig.pass(Duration::from_millis(20)).await;
    assert_eq!(rig.served(), ["a", "b", "c"]);
    assert!(rig.status.borrow().flapping.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_flaps_is_let_in_by_hand() {
    let all = [member("a", 1), member("b", 2), member("c", 3)];
    let rig = Rig::start(holding(&all), snapshot(all.clone(), true));
    rig.pass(Duration::from_secs(1)).await;
    flap(&rig, &all[1..]).await;
    let id = rig.status.borrow().flapping[0].id.clone();
    assert!(rig.let_go(id.clone()).await);
    rig.pass(Duration::from_millis(20)).await;
    assert_eq!(rig.served(), ["a", "b", "c"]);
    assert!(!rig.let_go(id).await, "there is nothing to release any more");
}

/// Its agent lives on, the service behind it does not: four times, a second apart.
#[tokio::test(start_paused = true)]
async fn a_service_that_flaps_behind_a_living_agent_is_held_down() {
    let all = [member("a", 1), member("b", 2), member("c", 3)];
    let rig = Rig::start(holding(&all), snapshot(all.clone(), true));
    rig.pass(Duration::from_secs(1)).await;
    for _ in 0..4 {
        for healthy in [false, true] {
            let mut a = all[0].clone();
            a.record.as_mut().unwrap().services[0].healthy = healthy;
            rig.members.send_replace(snapshot([a, all[1].clone(), all[2].clone()], true));
            rig.pass(Duration::from_millis(500)).await;
        }
    }
    assert_eq!(rig.served(), ["b", "c"]);
    let flapping = rig.status.borrow().flapping[0].clone();
    assert_eq!((flapping.who().to_string().as_str(), flapping.times, flapping.endpoints.len()), ("a/web", 4, 1));
    assert!(rig.let_go(flapping.id).await);
    rig.pass(Duration::from_millis(20)).await;
    assert_eq!(rig.served(), ["a", "b", "c"]);
}

/// People who ask without end, each for a look that takes longer than changes are gathered.
#[tokio::test(start_paused = true)]
async fn whoever_asks_without_end_does_not_keep_the_loop_from_its_steps() {
    let all = [member("a", 1), member("b", 2)];
    let world = World { far: Duration::from_millis(5), ..holding(&all[..1]) };
    let rig = Rig::start(world, snapshot(all[..1].to_vec(), true));
    rig.pass(Duration::from_secs(1)).await;
    let (queries, questions) = (rig.queries.clone(), rig.questions.clone());
    let asks = async move {
        loop {
            let (answer, _told) = oneshot::channel();
            queries.send(Query::Plan { assume: Vec::new(), answer }).await.unwrap();
        }
    };
    let nags = async move {
        loop {
            let (answer, told) = oneshot::channel();
            let question = Question { node: "a".parse().unwrap(), age: (1, 99), serves: false, answer };
            questions.send(question).await.unwrap();
            // It waits a little, and asks again.
            let _late = tokio::time::timeout(Duration::from_millis(1), told).await;
        }
    };
    let (asks, nags) = (tokio::spawn(asks), tokio::spawn(nags));
    rig.pass(Duration::from_secs(1)).await;
    let steps = rig.status.borrow().steps;
    rig.members.send_replace(snapshot(all, true));
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.served(), ["a", "b"]);
    assert!(rig.status.borrow().steps - steps >= 5, "{steps} and then {}", rig.status.borrow().steps);
    asks.abort();
    nags.abort();
}

/// The guard keeps all of them, for it may be this node that is cut off; so their return is not their doing.
#[tokio::test(start_paused = true)]
async fn who_returns_after_a_cut_does_not_flap() {
    let all = [member("a", 1), member("b", 2), member("c", 3)];
    let rig = Rig::start(holding(&all), snapshot(all.clone(), true));
    for epoch in 2..12 {
        let lost =
            |m: &Member| Member { epoch: epoch - 1, liveness: Liveness::Failed, verdict: Verdict::Silent, ..m.clone() };
        rig.members.send_replace(snapshot(all.iter().map(lost), true));
        rig.pass(Duration::from_millis(500)).await;
        rig.members.send_replace(snapshot(all.iter().map(|m| Member { epoch, ..m.clone() }), true));
        rig.pass(Duration::from_millis(500)).await;
        assert_eq!(rig.served(), ["a", "b", "c"]);
        assert!(rig.status.borrow().flapping.is_empty());
    }
}

/// An apply hangs for a while. What changes in the meantime, here and there, is seen before anything else is done.
#[tokio::test(start_paused = true)]
async fn no_plan_outlives_what_it_was_made_from() {
    let (a, b, c) = (member("a", 1), member("b", 2), member("c", 3));
    let world = World { slow: Duration::from_secs(5), ..holding(std::slice::from_ref(&a)) };
    let rig = Rig::start(world, snapshot([a.clone(), b.clone()], true));
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.world.lock().unwrap().bases.len(), 1, "it is under way");
    let gone = Member { liveness: Liveness::Left, ..b };
    rig.members.send_replace(snapshot([a, gone, c], true));
    rig.pass(Duration::from_secs(60)).await;
    assert_eq!(rig.served(), ["a", "c"]);
    let bases = rig.world.lock().unwrap().bases.clone();
    assert!(bases.iter().all(|(planned, begun)| planned == begun), "{bases:?}");
    assert!(bases.windows(2).all(|pair| pair[0].1 < pair[1].0), "two plans of one observation: {bases:?}");
    // The same where each apply fails after its work was done.
    rig.world.lock().unwrap().fails = true;
    rig.pass(Duration::from_secs(60)).await;
    let bases = rig.world.lock().unwrap().bases.clone();
    assert!(bases.windows(2).all(|pair| pair[0].1 < pair[1].0), "two plans of one observation: {bases:?}");
}
