//! Plans that people are shown, and the one that they then have applied: exactly that, or nothing.

use std::time::SystemTime;

use backchat_contract::{Driver, DriverError, Mode, PlanView, Step, Trial, waiting};
use tokio::time::Instant;

use super::{Aim, Questions, Stepper};
use crate::{
    model::{
        Applied, Approval, Assumption, Desired, Fingerprint, LastApply, NoProposal, Proposal, Snapshot, Unapplied,
        proposal, reasons,
    },
    reconcile::{is_silence, schedule::Outcome},
};

/// Steps after which what flows by itself is taken to be done.
const SETTLING: usize = 20;

impl<D: Driver> Stepper<D> {
    /// The plan that the next step would apply, or would apply if; where structure waits, with that. Changes nothing.
    pub(in crate::reconcile) async fn propose(
        &mut self,
        known: &[Snapshot],
        assumptions: &[Assumption],
    ) -> Result<Proposal, NoProposal> {
        let mut known = known.to_vec();
        if let Some(node) = proposal::assume(&mut known, assumptions).first() {
            return Err(NoProposal::Refused(format!("no member is called {node}")));
        }
        let observed = self.driver.observe().await.map_err(no_proposal)?;
        let live = self.driver.live(&observed);
        let aim = self.aim(&known, &live);
        let step = self.plan_by(assumptions, &aim.next, &observed, self.settings.mode).map_err(no_proposal)?;
        Ok(self.proposal(&known, (&observed, &live), &aim, &step, assumptions))
    }

    /// The same on a data plane that may not run. Changes nothing.
    pub(in crate::reconcile) async fn rehearse(&mut self, known: &[Snapshot]) -> Result<Proposal, DriverError> {
        let observed = match self.driver.observe().await {
            Err(error @ DriverError::Unreachable { .. }) => self.driver.vacant()?.ok_or(error)?,
            observed => observed?,
        };
        let live = self.driver.live(&observed);
        let aim = self.aim(known, &live);
        let step = self.driver.plan(&aim.next, &observed, self.settings.mode);
        Ok(self.proposal(known, (&observed, &live), &aim, &step, &[]))
    }

    /// By the template that is assumed, if one is.
    fn plan_by(
        &self,
        assumptions: &[Assumption],
        next: &Desired,
        observed: &D::Observed,
        mode: Mode,
    ) -> Result<Step<D::Plan>, DriverError> {
        let template = assumptions.iter().find_map(|assumption| match assumption {
            Assumption::Template { name, text } => Some(Trial { name, text }),
            Assumption::Drain(_) | Assumption::Gone(_) => None,
        });
        match template {
            Some(trial) => self.driver.plan_by(trial, next, observed, mode),
            None => Ok(self.driver.plan(next, observed, mode)),
        }
    }

    fn proposal(
        &self,
        known: &[Snapshot],
        (observed, live): (&D::Observed, &Desired),
        aim: &Aim,
        step: &Step<D::Plan>,
        assumptions: &[Assumption],
    ) -> Proposal {
        let (mut view, structure) = match step {
            Step::Change(plan) => (self.driver.view(plan), self.driver.structure(plan)),
            Step::Converged => (PlanView::default(), None),
            Step::Waiting { why, .. } => {
                let changes = waiting(live, &self.driver.part(&aim.next));
                (PlanView { changes, waits: vec![why.clone()], ..PlanView::default() }, None)
            }
        };
        let plane = self.driver.plane(observed);
        view.waits.extend(plane.template.clone());
        self.explain(&mut view.changes, aim, observed, known);
        reasons::assumed(&mut view.changes, assumptions);
        view.changes.extend(reasons::not_done(&aim.held, &aim.rejections, live, self.start.elapsed()));
        backchat_contract::sort(&mut view.changes);
        Proposal {
            observed_at: SystemTime::now(),
            synced: known.iter().all(|s| s.synced),
            to: view.generation.unwrap_or(plane.generation),
            plane,
            ready: proposal::ready(live, &aim.next, (&aim.held, &view.changes)),
            waits: self.waits_for_approval((&view, structure.as_deref()), assumptions, &aim.next, observed),
            view,
            held: aim.held.clone(),
            rejections: aim.rejections.clone(),
            structure,
            assumed: assumptions.iter().map(ToString::to_string).collect(),
        }
    }

    /// Whether something of the plan is done only once a person has approved it. A reload alone is no sign of that: where
    /// endpoints take one they flow by it, to the structure that the plan shows.
    fn waits_for_approval(
        &self,
        (view, structure): (&PlanView, Option<&str>),
        assumptions: &[Assumption],
        next: &Desired,
        observed: &D::Observed,
    ) -> bool {
        if !self.settings.approve || view.reload.is_none() {
            return false;
        }
        let Ok(Step::Change(plan)) = self.plan_by(assumptions, next, observed, self.settings.unasked()) else {
            return true;
        };
        self.driver.structure(&plan).as_deref() != structure
    }

    /// Applies what was shown, where that is still what would be done, and reads it back. Where a person approves
    /// structure, what flows by itself goes first: nobody is asked about endpoints. Elsewhere a step may do anything,
    /// and nothing is done that was not shown.
    pub(in crate::reconcile) async fn apply_shown(
        &mut self,
        shown: &Fingerprint,
        known: &[Snapshot],
        questions: &mut Questions,
    ) -> (Result<Outcome, DriverError>, Result<Applied, Unapplied>) {
        let began = Instant::now();
        let applied = async {
            if self.settings.approve {
                self.settle(known, questions).await?;
            } else {
                self.driver.ensure().await?;
            }
            let done = self.apply_if_shown(shown, known).await?;
            let outcome = self.settle(known, questions).await?;
            Ok::<_, Undone>((outcome, done))
        };
        match applied.await {
            Ok((outcome, done)) => (Ok(outcome), self.told(shown, done, began)),
            Err(Undone::Unapplied(why)) => (Ok(Outcome::Recheck(std::time::Duration::ZERO)), Err(why)),
            Err(Undone::Driver(error)) => {
                let text = format!("failed to {error}");
                let why = match &error {
                    DriverError::Check { .. } => Unapplied::Template(text),
                    silent if is_silence(silent) => Unapplied::Unreachable(text),
                    _ => Unapplied::Failed(text),
                };
                (Err(error), Err(why))
            }
        }
    }

    /// Steps as the daemon does by itself, until nothing is left of that to do at once.
    async fn settle(&mut self, known: &[Snapshot], questions: &mut Questions) -> Result<Outcome, DriverError> {
        let mut outcome = Outcome::Recheck(std::time::Duration::ZERO);
        for _ in 0..SETTLING {
            outcome = self.step(known, questions, false).await?;
            if self.status.converged || self.status.waiting.is_some() {
                break;
            }
        }
        Ok(outcome)
    }

    async fn apply_if_shown(&mut self, shown: &Fingerprint, known: &[Snapshot]) -> Result<Option<LastApply>, Undone> {
        let observed = self.driver.observe().await?;
        let live = self.driver.live(&observed);
        let aim = self.aim(known, &live);
        let step = self.driver.plan(&aim.next, &observed, self.settings.mode);
        let now = self.proposal(known, (&observed, &live), &aim, &step, &[]);
        if shown.driver != now.plane.name {
            let why = format!("the plan is for {}, and what is driven here is {}", shown.driver, now.plane.name);
            return Err(Undone::Unapplied(Unapplied::Foreign(why)));
        }
        let moved = shown.moved(&now, (&live, self.loaded.as_deref()));
        if !moved.is_empty() {
            return Err(Undone::Unapplied(Unapplied::Moved(moved)));
        }
        if let Step::Change(plan) = &step {
            tracing::info!("applying the plan that was shown");
            self.tell(plan, &aim, &observed, known);
        }
        self.note(known, aim, &live, self.driver.plane(&observed));
        let Step::Change(plan) = step else { return Ok(None) };
        match self.apply(plan).await? {
            None => {
                Err(Undone::Unapplied(Unapplied::Moved(vec![format!("{} was reloaded meanwhile", now.plane.name)])))
            }
            done => Ok(done),
        }
    }

    /// What is told after it was read back.
    fn told(&self, shown: &Fingerprint, done: Option<LastApply>, began: Instant) -> Result<Applied, Unapplied> {
        // Refused by the engine while another one is good: that is no error of the step.
        let refused = shown.structure.is_some() && done.as_ref().is_some_and(|done| !done.reloaded);
        if let Some(why) = self.status.plane.template.clone().filter(|_| refused) {
            return Err(Unapplied::Template(why));
        }
        if let Some(Approval { why, .. }) = self.status.approval.as_ref().filter(|_| done.is_some()) {
            return Err(Unapplied::Failed(format!("it was applied, and more waits: {why}")));
        }
        let (generation, waiting) = (self.status.plane.generation, self.status.waiting.clone());
        Ok(Applied { done, took: began.elapsed(), generation, waiting })
    }

    /// Takes note of structure that waits: what would be done were it allowed, where nothing else is left to do.
    pub(super) fn note_approval(&mut self, observed: &D::Observed) {
        if !self.settings.approve {
            return;
        }
        let why = match self.driver.plan(&self.status.desired, observed, self.settings.mode) {
            Step::Change(plan) => self.driver.view(&plan).reload,
            Step::Converged | Step::Waiting { .. } => None,
        };
        let before = self.status.approval.take();
        if let Some(why) = why.as_ref().filter(|why| before.as_ref().is_none_or(|before| before.why != **why)) {
            tracing::warn!("structure waits for approval: {why}; 'backchat plan --out FILE', 'backchat apply FILE'");
        }
        let since = before.map_or_else(SystemTime::now, |before| before.since);
        self.status.approval = why.map(|why| Approval { since, why });
    }
}

/// Why nothing more came of it.
enum Undone {
    Unapplied(Unapplied),
    Driver(DriverError),
}

impl From<DriverError> for Undone {
    fn from(error: DriverError) -> Self {
        Self::Driver(error)
    }
}

fn no_proposal(error: DriverError) -> NoProposal {
    match error {
        DriverError::Check { file, message } => NoProposal::Template(format!("{file}: {message}")),
        silent if is_silence(&silent) => NoProposal::Unreachable(format!("failed to {silent}")),
        other => NoProposal::Refused(format!("failed to {other}")),
    }
}
