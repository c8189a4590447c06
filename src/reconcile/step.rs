//! One step: observe, desire, guard, plan, apply, and read back, until nothing is left to do at once.

mod at_once;
mod doubt;
mod narrow;
mod note;
mod shown;

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use backchat_contract::{
    Change, ChangeStatus, Desired, Driver, DriverError, EndpointId, EndpointState, Mode, PlanView, Report, Step,
    Structure,
};
use tokio::{sync::watch, time::Instant};

use self::{
    at_once::{AtOnce, Pushed},
    doubt::Doubt,
    narrow::Narrow,
};
use super::{
    inbox::Query,
    questions::Questions,
    schedule::{Outcome, Pace},
    tally::{self, Draining},
};
use crate::model::{
    Cut, Evidence, Flapping, Held, LastApply, Ledger, Moment, Policy, Rejection, Shelf, Snapshot, Status, Windows,
    desired, guard, owner::node_of, reasons,
};

/// Applies in one step before the others have their turn.
const ROUNDS: usize = 4;

/// What the operator decides about the loop.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What goes into the desired set.
    pub policy: Policy,
    /// What may be written, by itself or when a person has approved it.
    pub mode: Mode,
    /// Whether a person approves structure; endpoints flow.
    pub approve: bool,
    /// When to step.
    pub pace: Pace,
    /// The guard's times.
    pub windows: Windows,
    /// What there is to listen with, where the data plane is to speak TLS.
    pub certificates: Option<watch::Receiver<Arc<Shelf>>>,
}

impl Settings {
    /// For a driver that must reload for whatever changes.
    pub(super) fn of_reloads(self) -> Self {
        let policy = Policy { drain_suspects: false, ..self.policy };
        Self { policy, pace: self.pace.of_reloads(), ..self }
    }

    /// What a step may do by itself.
    fn unasked(&self) -> Mode {
        if self.approve { Mode { structure: Structure::Held } } else { self.mode }
    }
}

/// The driver and all that the loop remembers between steps.
pub(super) struct Stepper<D: Driver> {
    pub(super) driver: D,
    /// For a change that is made at once.
    quick: AtOnce<D::Observed>,
    /// For one of a few endpoints in a large set.
    narrow: Narrow,
    /// Which stores are believed when they are empty.
    doubt: Doubt,
    settings: Settings,
    start: Instant,
    /// When this loop began, on the clock of `start`.
    began: Moment,
    /// What a life before remembered.
    kept: Ledger,
    held: Vec<Held>,
    cut: Cut,
    released: BTreeSet<EndpointId>,
    /// What was live when this loop had last done its work; `None` where something was done since: what is otherwise now
    /// was done by somebody else.
    ours: Option<Arc<Desired>>,
    draining: Draining,
    /// What was live before the apply that is to be read back.
    applied_to: Option<Arc<Desired>>,
    /// What the last reload of this life loaded, as a hash.
    loaded: Option<String>,
    pub(super) status: Status,
}

/// What steps that a person asked for came to.
pub(super) struct Stepped {
    pub(super) result: Result<Outcome, DriverError>,
    /// Tells the person.
    pub(super) tell: Box<dyn FnOnce() + Send>,
}

/// What should be, from what is known and what is live.
struct Aim {
    next: Desired,
    ledger: Ledger,
    /// The ledger of before.
    before: Arc<Ledger>,
    rejections: Vec<Rejection>,
    held: Vec<Held>,
    cut: Cut,
    flapping: Vec<Flapping>,
}

impl<D: Driver> Stepper<D> {
    pub(super) fn new(driver: D, settings: Settings, kept: Ledger, start: Instant) -> Self {
        let status = Status {
            roles: Arc::new(settings.policy.roles.clone()),
            services: Arc::new(settings.policy.services.clone()),
            manners: settings.policy.manners,
            ..Status::default()
        };
        Self {
            driver,
            quick: AtOnce::default(),
            narrow: Narrow::default(),
            doubt: Doubt::default(),
            settings,
            start,
            began: start.elapsed(),
            kept,
            held: Vec::new(),
            cut: Cut::No,
            released: BTreeSet::new(),
            ours: None,
            draining: Draining::default(),
            applied_to: None,
            loaded: None,
            status,
        }
    }

    /// How long the last look took that left nothing to do at once.
    pub(super) fn look_took(&self) -> std::time::Duration {
        self.narrow.took()
    }

    pub(super) fn into_driver(self) -> D {
        self.driver
    }

    /// Ends when the data plane wants looking at. Cancel-safe.
    pub(super) fn attention(&mut self) -> impl Future<Output = ()> + Send {
        self.driver.attention()
    }

    /// One step. Each round observes anew: a plan is never carried over an observation, but for what the data plane takes
    /// only over what was read: that is tried where a source has `news`.
    pub(super) async fn step(
        &mut self,
        known: &[Snapshot],
        questions: &mut Questions,
        news: bool,
    ) -> Result<Outcome, DriverError> {
        self.driver.ensure().await?;
        self.status.tally.restarts = self.driver.restarts();
        self.quick.pushed = None;
        if news {
            if let Some(put_off) = self.narrowly(known).await {
                return Ok(put_off);
            }
            self.at_once(known).await;
        }
        // From here on what was read before is of no use.
        self.quick.read = None;
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let observed = self.driver.observe().await?;
            let read = Instant::now();
            let live = self.driver.live(&observed);
            let known = &*self.doubt.of(known, &live);
            if let Some(before) = self.applied_to.take() {
                tally::read_back(&mut self.status.tally, &before, &live);
            }
            let aim = self.aim(known, &live);
            let step = self.driver.plan(&aim.next, &observed, self.settings.unasked());
            let phases = &mut self.status.tally.phases;
            phases.observe.observe(read.duration_since(began));
            phases.plan.observe(read.elapsed());
            let idle = |id: &EndpointId| self.driver.idle(&observed, id);
            self.draining.look(&live, idle, self.start.elapsed(), &mut self.status.tally);
            if let Step::Change(plan) = &step {
                self.tell(plan, &aim, &observed, known);
            }
            self.note(known, aim, &live, self.driver.plane(&observed));
            self.status.down = Arc::new(self.driver.down(&observed));
            match step {
                Step::Change(plan) => {
                    self.applied_to = Some(Arc::clone(&self.status.live));
                    if let Err(error) = self.apply(plan).await {
                        self.settle_what_went_through(known, questions).await;
                        return Err(error);
                    }
                }
                Step::Waiting { why, recheck } => {
                    self.note_approval(&observed);
                    questions.settle(&self.driver, &observed, &live, known);
                    self.settled(Some(why));
                    self.narrow.looked(known, began.elapsed());
                    self.keep_for_at_once(observed);
                    return Ok(Outcome::Recheck(self.let_in_next().map_or(recheck, |next| next.min(recheck))));
                }
                Step::Converged => {
                    self.note_approval(&observed);
                    questions.settle(&self.driver, &observed, &live, known);
                    self.settled(None);
                    self.narrow.looked(known, began.elapsed());
                    self.keep_for_at_once(observed);
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
        let adopted = || Arc::new(Ledger::recalled(self.kept.clone(), live));
        let ledger = self.status.ledger.clone().unwrap_or_else(adopted);
        let (next, mut updated, rejections) = desired(known, &self.settings.policy, &ledger, now);
        let times = (self.began, now);
        let (before, released) = ((self.held.clone(), self.cut), self.released.clone());
        let windows = self.settings.windows;
        let evidence = Evidence {
            floors: self.settings.policy.floors(),
            ..Evidence::beside(&updated.listed, known, live, before, released, times, windows)
        };
        let (mut next, held) = guard(live, next, &evidence);
        updated.keep(&next, &ledger, live);
        updated.flaps.excuse(&held.iter().flat_map(|h| &h.endpoints).filter_map(node_of).collect());
        without_new_drains(live, &mut next);
        if let Some(shelf) = &self.settings.certificates {
            next.certificates.clone_from(&shelf.borrow().certificates);
        }
        let flapping = updated.flaps.report(now);
        Aim { next, ledger: updated, before: ledger, rejections, held, cut: evidence.cut, flapping }
    }

    /// How long until somebody is let in who is held down.
    fn let_in_next(&self) -> Option<Moment> {
        self.status.ledger.as_ref().and_then(|ledger| ledger.flaps.next(self.start.elapsed()))
    }

    fn settled(&mut self, waiting: Option<String>) {
        self.status.converged = waiting.is_none();
        self.status.waiting = waiting;
        self.status.plan = Arc::default();
        self.ours = Some(Arc::clone(&self.status.live));
    }

    /// Says what is about to be done, and why.
    fn tell(&mut self, plan: &D::Plan, aim: &Aim, observed: &D::Observed, known: &[Snapshot]) {
        self.tell_view(self.driver.view(plan), aim, observed, known);
    }

    fn tell_view(&mut self, mut view: PlanView, aim: &Aim, observed: &D::Observed, known: &[Snapshot]) {
        self.explain(&mut view.changes, aim, observed, known);
        for change in view.changes.iter().filter(|change| change.status == ChangeStatus::Planned) {
            let why = change.reason.as_ref().map_or("", |r| &r.text);
            tracing::info!(kind = ?change.kind, id = %change.id, why, "{:?}", change.action);
        }
        if let Some(why) = &view.reload {
            tracing::info!("reload: {why}");
        }
        self.status.plan = Arc::new(view);
    }

    fn explain(&self, changes: &mut [Change], aim: &Aim, observed: &D::Observed, known: &[Snapshot]) {
        let known = reasons::Known {
            snapshots: known,
            next: &aim.next,
            ours: self.ours.as_deref(),
            ledger: &aim.ledger,
            before: &aim.before,
            flapping: &aim.flapping,
            in_flight: &|id| self.driver.in_flight(observed, id),
            now: self.start.elapsed(),
        };
        known.explain(changes);
    }

    /// What came of a plan that was told; `None` where nothing was done, for what answers now is not what was read.
    async fn apply(&mut self, plan: D::Plan) -> Result<Option<LastApply>, DriverError> {
        let began = Instant::now();
        let changes = self.status.plan.planned();
        (self.status.converged, self.status.waiting) = (false, None);
        (self.ours, self.quick.read) = (None, None);
        let structure = self.driver.structure(&plan);
        let result = self.driver.apply(plan).await;
        self.status.tally.phases.apply.observe(began.elapsed());
        let pushed = self.quick.pushed.take();
        tally::applied(&mut self.status.tally, &result, pushed.is_some());
        let report = result?;
        if report.stale {
            return Ok(None);
        }
        self.status.reloads += u64::from(report.reloaded);
        if report.reloaded && structure.is_some() {
            self.loaded = structure;
        }
        // What was done at once, and the file behind it, are one.
        let Pushed { began, commands, changes } = pushed.map_or(Pushed { began, commands: 0, changes }, |pushed| {
            Pushed { changes: pushed.changes.max(changes), ..pushed }
        });
        self.status.last_apply = Some(LastApply {
            at: SystemTime::now(),
            took: began.elapsed(),
            commands: commands + report.applied,
            refused: report.refused.clone(),
            reloaded: report.reloaded,
            generation: self.status.plane.generation,
            changes,
        });
        if report.refused.is_empty() {
            Ok(self.status.last_apply.clone())
        } else {
            Err(refusals(self.status.plane.name, &report))
        }
    }

    /// Answers a person. An answer that nobody waits for any more is dropped. Where that took steps, what the last of
    /// them came to.
    pub(super) async fn answer(
        &mut self,
        query: Query,
        known: &[Snapshot],
        questions: &mut Questions,
    ) -> Option<Stepped> {
        match query {
            Query::Plan { assume, answer } => {
                let proposal = self.propose(known, &assume).await;
                let _gone = answer.send(proposal.map(Box::new));
                None
            }
            // Whoever asked was told by now that it took too long, and may have looked elsewhere.
            Query::Apply { answer, .. } if answer.is_closed() => None,
            Query::Apply { shown, answer } => {
                // On the heap: it is large, and rare.
                let (result, told) = Box::pin(self.apply_shown(&shown, known, questions)).await;
                let tell = || {
                    let _gone = answer.send(told);
                };
                Some(Stepped { result, tell: Box::new(tell) })
            }
            Query::Release { hold, answer } => {
                let _gone = answer.send(self.release(&hold));
                None
            }
        }
    }

    /// Lets go what is held under this name; whether anything is.
    fn release(&mut self, id: &str) -> bool {
        let held = self.held.iter().find(|h| h.id == id);
        self.released.extend(held.into_iter().flat_map(|h| h.endpoints.iter().cloned()));
        let now = self.start.elapsed();
        let ledger = self.status.ledger.as_mut().map(Arc::make_mut);
        let let_in = ledger.is_some_and(|ledger| ledger.flaps.release(id, now));
        held.is_some() || let_in
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

fn refusals(plane: &'static str, report: &Report) -> DriverError {
    let first = report.refused.first();
    let more = report.refused.len().saturating_sub(1);
    DriverError::Partly {
        plane,
        command: first.map_or_else(String::new, |refusal| cut(&refusal.command)),
        reply: first.map_or_else(String::new, |refusal| refusal.reply.clone()),
        more: if more == 0 { String::new() } else { format!(" (and {more} more refusals)") },
        applied: report.applied,
    }
}

/// A command as one knows it: what is behind its first words is in the log of the data plane.
fn cut(command: &str) -> String {
    const WORDS: usize = 60;
    if command.chars().count() <= WORDS {
        return command.to_owned();
    }
    let start: String = command.chars().take(WORDS).collect();
    format!("{} …", start.rsplit_once(' ').map_or(start.as_str(), |(whole, _)| whole))
}

#[cfg(test)]
mod tests {
    use backchat_contract::Refusal;

    use super::*;

    fn check(commands: &[&str], expected: &str) {
        let refusal =
            |command: &&str| Refusal { command: (*command).into(), reply: "unknown keyword 'init-state'".into() };
        let report = Report { applied: 3, refused: commands.iter().map(refusal).collect(), ..Report::default() };
        assert_eq!(refusals("haproxy", &report).to_string(), expected);
    }

    #[test]
    fn what_a_data_plane_refuses_is_said_with_its_answer() {
        check(
            &["del server web/web4"],
            "apply everything: haproxy refused 'del server web/web4': \"unknown keyword 'init-state'\"; 3 others applied",
        );
        check(
            &["add server web/web4 10.0.0.9:8080 id 415496129 weight 100 init-state up", "x", "y"],
            "apply everything: haproxy refused 'add server web/web4 10.0.0.9:8080 id 415496129 weight 100 …': \"unknown \
             keyword 'init-state'\" (and 2 more refusals); 3 others applied",
        );
    }
}
