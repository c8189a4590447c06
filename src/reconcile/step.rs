//! One step: observe, desire, guard, plan, apply, and read back, until nothing is left to do at once.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use backchat_contract::{Desired, Driver, DriverError, EndpointId, EndpointState, Mode, PlanView, Report, Step};
use tokio::time::Instant;

use super::{
    inbox::Query,
    questions::Questions,
    schedule::{Outcome, Pace},
};
use crate::model::{
    Assumption, Cut, Evidence, Flapping, Held, LastApply, Ledger, Moment, Policy, Proposal, Rejection, Snapshot,
    Status, Windows, desired, guard, owner::node_of, proposal, reasons,
};

/// Applies in one step before the others have their turn.
const ROUNDS: usize = 4;

/// What the operator decides about the loop.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What goes into the desired set.
    pub policy: Policy,
    /// What may be written.
    pub mode: Mode,
    /// When to step.
    pub pace: Pace,
    /// The guard's times.
    pub windows: Windows,
}

/// The driver and all that the loop remembers between steps.
pub(super) struct Stepper<D: Driver> {
    driver: D,
    settings: Settings,
    start: Instant,
    /// When this loop began, on the clock of `start`.
    began: Moment,
    /// What a life before remembered.
    kept: Ledger,
    held: Vec<Held>,
    cut: Cut,
    released: BTreeSet<EndpointId>,
    pub(super) status: Status,
}

/// What should be, from what is known and what is live.
struct Aim {
    next: Desired,
    ledger: Ledger,
    rejections: Vec<Rejection>,
    held: Vec<Held>,
    cut: Cut,
    flapping: Vec<Flapping>,
}

impl<D: Driver> Stepper<D> {
    pub(super) fn new(driver: D, settings: Settings, kept: Ledger, start: Instant) -> Self {
        Self {
            driver,
            settings,
            start,
            began: start.elapsed(),
            kept,
            held: Vec::new(),
            cut: Cut::No,
            released: BTreeSet::new(),
            status: Status::default(),
        }
    }

    pub(super) fn into_driver(self) -> D {
        self.driver
    }

    /// Ends when the data plane wants looking at. Cancel-safe.
    pub(super) fn attention(&mut self) -> impl Future<Output = ()> + Send {
        self.driver.attention()
    }

    /// One step. Each round observes anew: a plan is never carried over an observation.
    pub(super) async fn step(&mut self, known: &[Snapshot], questions: &mut Questions) -> Result<Outcome, DriverError> {
        self.driver.ensure().await?;
        for _ in 0..ROUNDS {
            let observed = self.driver.observe().await?;
            let live = self.driver.live(&observed);
            let aim = self.aim(known, &live);
            let step = self.driver.plan(&aim.next, &observed, self.settings.mode);
            self.note(known, aim, &live, self.driver.plane(&observed));
            self.status.down = Arc::new(self.driver.down(&observed));
            match step {
                Step::Change(plan) => {
                    if let Err(error) = self.apply(plan, known).await {
                        self.settle_what_went_through(known, questions).await;
                        return Err(error);
                    }
                }
                Step::Waiting { why, recheck } => {
                    questions.settle(&self.driver, &observed, &live, known);
                    self.settled(Some(why));
                    return Ok(Outcome::Recheck(self.let_in_next().map_or(recheck, |next| next.min(recheck))));
                }
                Step::Converged => {
                    questions.settle(&self.driver, &observed, &live, known);
                    self.settled(None);
                    return Ok(self.let_in_next().map_or(Outcome::Converged, Outcome::Recheck));
                }
            }
        }
        Ok(Outcome::Recheck(Moment::ZERO))
    }

    /// After a failure: the part that failed may be none of a leaving agent's business.
    async fn settle_what_went_through(&mut self, known: &[Snapshot], questions: &mut Questions) {
        // If the data plane cannot even be read, the step's own error says more.
        let Ok(observed) = self.driver.observe().await else { return };
        let live = self.driver.live(&observed);
        questions.settle(&self.driver, &observed, &live, known);
        self.status.live = Arc::new(live);
    }

    /// What should be now. The first look adopts what is live.
    fn aim(&self, known: &[Snapshot], live: &Desired) -> Aim {
        let now = self.start.elapsed();
        let adopted;
        let ledger = if let Some(ledger) = &self.status.ledger {
            ledger
        } else {
            adopted = Ledger::recalled(self.kept.clone(), live);
            &adopted
        };
        let (next, mut updated, rejections) = desired(known, &self.settings.policy, ledger, now);
        let times = (self.began, now);
        let (before, released) = ((self.held.clone(), self.cut), self.released.clone());
        let evidence = Evidence::gather(known, live, before, released, times, self.settings.windows);
        let (mut next, held) = guard(live, next, &evidence);
        updated.keep(&next, ledger);
        updated.flaps.excuse(&held.iter().flat_map(|h| &h.endpoints).filter_map(node_of).collect());
        without_new_drains(live, &mut next);
        let flapping = updated.flaps.report(now);
        Aim { next, ledger: updated, rejections, held, cut: evidence.cut, flapping }
    }

    /// Takes over what was aimed at, and says what is new about it.
    fn note(&mut self, known: &[Snapshot], aim: Aim, live: &Desired, plane: backchat_contract::Plane) {
        for hold in aim.held.iter().filter(|h| !self.held.iter().any(|old| old.id == h.id)) {
            tracing::warn!(hold = %hold.id, "held: {}; backchat release {} lets it go", hold.why, hold.id);
        }
        for hold in self.held.iter().filter(|old| !aim.held.iter().any(|h| h.id == old.id)) {
            tracing::info!(hold = %hold.id, "hold ended");
        }
        for refused in aim.rejections.iter().filter(|r| !self.status.rejections.contains(r)) {
            tracing::warn!(node = %refused.node, "refused {}: {}", refused.subject, refused.why);
        }
        let begins = |f: &&Flapping| !self.status.flapping.iter().any(|old| (&old.id, old.times) == (&f.id, f.times));
        for flap in aim.flapping.iter().filter(begins) {
            let (who, left, id) = (flap.who(), flap.left.as_secs_f32().ceil(), &flap.id);
            tracing::warn!(%who, "came back {}: held down for {left} s; backchat release {id} lets it in", flap.how_often());
        }
        // A release lasts until the endpoint is out, however long it drains, or its member is back.
        self.released.retain(|id| live.endpoint(id).is_some() && aim.next.endpoint(id).is_none());
        self.held.clone_from(&aim.held);
        self.cut = aim.cut;
        if self.status.ledger.as_deref() != Some(&aim.ledger) {
            self.status.ledger = Some(Arc::new(aim.ledger));
        }
        self.status.synced = known.iter().all(|s| s.synced);
        self.status.desired = Arc::new(aim.next);
        self.status.live = Arc::new(live.clone());
        self.status.held = aim.held;
        self.status.flapping = aim.flapping;
        self.status.rejections = aim.rejections;
        self.status.plane = plane;
        self.status.plane_up = true;
    }

    /// How long until somebody is let in who is held down.
    fn let_in_next(&self) -> Option<Moment> {
        self.status.ledger.as_ref().and_then(|ledger| ledger.flaps.next(self.start.elapsed()))
    }

    fn settled(&mut self, waiting: Option<String>) {
        self.status.converged = waiting.is_none();
        self.status.waiting = waiting;
        self.status.plan = Arc::default();
    }

    async fn apply(&mut self, plan: D::Plan, known: &[Snapshot]) -> Result<(), DriverError> {
        let began = Instant::now();
        let mut view = self.driver.view(&plan);
        reasons::explain(&mut view.changes, known, self.start.elapsed());
        reasons::held_down(&mut view.changes, &self.status.flapping);
        for change in &view.changes {
            let why = change.reason.as_ref().map_or("", |r| &r.text);
            tracing::info!(kind = ?change.kind, id = %change.id, why, "{:?}", change.action);
        }
        if let Some(why) = &view.reload {
            tracing::info!("reload: {why}");
        }
        let changes = view.changes.len();
        self.status.converged = false;
        self.status.plan = Arc::new(view);
        let report = self.driver.apply(plan).await?;
        if report.stale {
            return Ok(());
        }
        self.status.reloads += u64::from(report.reloaded);
        self.status.last_apply = Some(LastApply {
            at: SystemTime::now(),
            took: began.elapsed(),
            commands: report.applied,
            refused: report.refused.clone(),
            reloaded: report.reloaded,
            generation: self.status.plane.generation,
            changes,
        });
        if report.refused.is_empty() { Ok(()) } else { Err(refusals(&report)) }
    }

    /// Answers a person. An answer that nobody waits for any more is dropped.
    pub(super) async fn answer(&mut self, query: Query, known: &[Snapshot]) {
        match query {
            Query::Plan { assume, answer } => {
                let proposal = self.propose(known, &assume).await;
                let _gone = answer.send(proposal.map(Box::new));
            }
            Query::Release { hold, answer } => {
                let held = self.held.iter().find(|h| h.id == hold);
                self.released.extend(held.into_iter().flat_map(|h| h.endpoints.iter().cloned()));
                let now = self.start.elapsed();
                let ledger = self.status.ledger.as_mut().map(Arc::make_mut);
                let let_in = ledger.is_some_and(|ledger| ledger.flaps.release(&hold, now));
                let _gone = answer.send(held.is_some() || let_in);
            }
        }
    }

    /// The plan that the next step would apply, or would apply if. Changes nothing.
    async fn propose(&mut self, known: &[Snapshot], assumptions: &[Assumption]) -> Result<Proposal, String> {
        let mut known = known.to_vec();
        if let Some(node) = proposal::assume(&mut known, assumptions).first() {
            return Err(format!("no member is called {node}"));
        }
        let observed = self.driver.observe().await.map_err(|e| format!("failed to {e}"))?;
        let live = self.driver.live(&observed);
        let aim = self.aim(&known, &live);
        let mut view = match self.driver.plan(&aim.next, &observed, self.settings.mode) {
            Step::Change(plan) => self.driver.view(&plan),
            Step::Converged | Step::Waiting { .. } => PlanView::default(),
        };
        reasons::explain(&mut view.changes, &known, self.start.elapsed());
        reasons::held_down(&mut view.changes, &aim.flapping);
        reasons::assumed(&mut view.changes, assumptions);
        view.changes.extend(reasons::not_done(&aim.held, &aim.rejections));
        view.changes.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
        let plane = self.driver.plane(&observed);
        Ok(Proposal {
            observed_at: SystemTime::now(),
            synced: known.iter().all(|s| s.synced),
            to: plane.generation + u64::from(!view.files.is_empty()),
            plane,
            ready: proposal::ready(&live, &aim.next, &aim.held),
            view,
            held: aim.held,
            rejections: aim.rejections,
        })
    }
}

/// A server that drains before it ever served need not come: a new or restarted balancer takes it as drained.
fn without_new_drains(live: &Desired, next: &mut Desired) {
    for (service, s) in &mut next.services {
        let there = live.services.get(service);
        s.endpoints.retain(|name, e| {
            e.state == EndpointState::Ready || there.is_some_and(|there| there.endpoints.contains_key(name))
        });
    }
}

fn refusals(report: &Report) -> DriverError {
    let first = report.refused.first();
    let more = report.refused.len().saturating_sub(1);
    let also = if more == 0 { String::new() } else { format!(" (and {more} more refusals)") };
    DriverError::Refused {
        command: first.map_or_else(String::new, |r| r.command.clone()),
        reply: first.map_or_else(String::new, |r| format!("{}{also}; {} others applied", r.reply, report.applied)),
    }
}
