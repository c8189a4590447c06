//! The trait every data plane's driver fills: observe, plan, view, apply, and the life of the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Serialize;

use crate::{
    ServiceName,
    desired::{Desired, EndpointId, Service},
    error::{DriverError, Refusal},
    view::PlanView,
};

/// One data plane. The reconcile loop owns it alone and calls, for each step:
/// `ensure` → `observe` → `plan` → `apply` → `observe`.
///
/// Generic, not boxed: one `match` in the composition root picks the type.
pub trait Driver: Send {
    /// What was read back from the live data plane.
    type Observed: Send + Sync;
    /// What `apply` does, with no choices left.
    type Plan: Clone + Serialize + Send + Sync;

    /// Managed: adopts the data plane of an earlier run, or starts one from the last good file (from an
    /// empty set where there is none). Attached: nothing. Quick where it runs already.
    fn ensure(&mut self) -> impl Future<Output = Result<(), DriverError>> + Send;

    /// Reads the live data plane. Changes nothing.
    fn observe(&mut self) -> impl Future<Output = Result<Self::Observed, DriverError>> + Send;

    /// Where no data plane runs: what would be observed once `ensure` had started one from nothing, with the files that
    /// there are. For a dry run, which starts nothing. `None` where one runs, or where it is somebody else's to start. An
    /// error is what would keep it from starting: a template that does not render, a file that is not ours.
    fn vacant(&self) -> Result<Option<Self::Observed>, DriverError> {
        Ok(None)
    }

    /// What was observed, in the words of the desired set.
    fn live(&self, observed: &Self::Observed) -> Desired;

    /// What the data plane says of itself.
    fn plane(&self, observed: &Self::Observed) -> Plane;

    /// The part of a desired set that this data plane holds: without what is somebody else's there. Pure.
    fn part(&self, desired: &Desired) -> Desired;

    /// The way from the observed to the desired. Pure: same input, same plan.
    fn plan(&self, desired: &Desired, observed: &Self::Observed, mode: Mode) -> Step<Self::Plan>;

    /// The same `desired` by a template that is only tried. Pure: nothing is remembered of it, nor written.
    ///
    /// # Errors
    /// Where it does not render, or the data plane has no file that we render.
    fn plan_by(
        &self,
        trial: Trial<'_>,
        _: &Desired,
        _: &Self::Observed,
        _: Mode,
    ) -> Result<Step<Self::Plan>, DriverError> {
        Err(DriverError::Check {
            file: trial.name.to_owned(),
            message: "no file of this data plane is rendered".into(),
        })
    }

    /// What the plan's reload loads, as a hash: the same for the same, whatever counts up meanwhile and whichever
    /// endpoints come and go. `None` where nothing is reloaded.
    fn structure(&self, _: &Self::Plan) -> Option<String> {
        None
    }

    /// A plan as people read it. The daemon and the dry run show the same.
    fn view(&self, plan: &Self::Plan) -> PlanView;

    /// Executes the plan. Idempotent; one refusal never stops the rest.
    fn apply(&mut self, plan: Self::Plan) -> impl Future<Output = Result<Report, DriverError>> + Send;

    /// Whether [`Driver::at_once`] ever has anything.
    fn is_conditional(&self) -> bool {
        false
    }

    /// What of the way to the desired set may be gone at once, although `observed` was read a while ago: the data plane
    /// itself takes it only where that is still so, and else says that it is stale. It costs less than a plan, for no file
    /// is rendered; the round that follows does the rest. `None` where there is nothing of the kind.
    fn at_once(&self, _desired: &Desired, _observed: &Self::Observed) -> Option<Self::Plan> {
        None
    }

    /// The same of the endpoints of these services alone, which `observed` has all of: all else stays as it is, and what
    /// is said of them is either taken only where they are as they were, or the same whatever they were. It costs as much
    /// as they do, however large the whole set is. `None` where there is nothing of the kind.
    fn at_once_of(&self, _services: &BTreeMap<ServiceName, Service>, _observed: &Self::Observed) -> Option<Self::Plan> {
        None
    }

    /// Notes in what was read what came of a plan of [`Driver::at_once_of`], for the next of its kind.
    fn note(&self, _plan: &Self::Plan, _observed: &mut Self::Observed) {}

    /// Whether an endpoint that drains still has requests in flight.
    fn idle(&self, observed: &Self::Observed, id: &EndpointId) -> Idle;

    /// How many requests an endpoint has in flight; `None` where the data plane does not count.
    fn in_flight(&self, observed: &Self::Observed, id: &EndpointId) -> Option<u64> {
        (self.idle(observed, id) == Idle::Yes).then_some(0)
    }

    /// Which endpoints should take requests and do not, as far as the data plane's own checks go.
    fn down(&self, observed: &Self::Observed) -> BTreeSet<EndpointId>;

    /// Whether a change of endpoints alone takes a reload. Then changes are gathered for longer, and a suspicion, which may
    /// pass, drains nobody.
    fn endpoints_reload(&self) -> bool {
        false
    }

    /// How often the process of the data plane was found ended and was started again, or taken over from whoever did, by
    /// this driver. 0 where it is somebody else's.
    fn restarts(&self) -> u64 {
        0
    }

    /// Ends when the data plane wants looking at: its process ended. Pending for ever where nothing can be heard.
    /// Cancel-safe.
    fn attention(&mut self) -> impl Future<Output = ()> + Send;

    /// Managed: ends the data plane gracefully, within the deadline. Attached: nothing.
    fn stop(&mut self, deadline: Duration) -> impl Future<Output = Result<(), DriverError>> + Send;
}

/// A template that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial<'a> {
    /// As people know it: `my.jinja`.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
}

/// What may be done in this step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// Whether files and reloads are allowed.
    pub structure: Structure,
}

/// Whether a plan may write files and reload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Structure {
    /// Yes, unless somebody else has edited the file.
    #[default]
    Allowed,
    /// Yes, over an edited file too (`--force`).
    Forced,
    /// No: endpoints flow, structure waits (`--approve`).
    Held,
}

/// What a step comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<P> {
    /// The live state is the desired one.
    Converged,
    /// Nothing to do now, and not there yet: a server still drains, old workers retire.
    Waiting {
        /// What is waited for, as a fragment for people.
        why: String,
        /// When to look again.
        recheck: Duration,
    },
    /// Something to do.
    Change(P),
}

/// What applying a plan came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Commands that the data plane confirmed.
    pub applied: usize,
    /// Commands that it refused, and what it said.
    pub refused: Vec<Refusal>,
    /// Whether it was reloaded or restarted.
    pub reloaded: bool,
    /// Whether nothing was done, for what answers now is not what was read: observe again.
    pub stale: bool,
}

/// What a data plane says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plane {
    /// `haproxy`, `nginx`, `openresty`.
    pub name: &'static str,
    /// Its version, `2.6.12`.
    pub version: String,
    /// Which rendering of ours it runs; 0 where none.
    pub generation: u64,
    /// Its processes that retire after a reload.
    pub old_workers: usize,
    /// Why structural writes are blocked: the file was edited by somebody else.
    pub blocked: Option<String>,
    /// Why the operator's template is not the one in use, where it is not: file, line, reason, what serves on.
    pub template: Option<String>,
    /// Why the access log is not written to where it should be, where it is not.
    pub access_log: Option<String>,
    /// Whether an endpoint that fails the data plane's own check is asked all the same, where there is no other.
    pub asks_failing: bool,
}

/// Whether an endpoint has requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// None.
    Yes,
    /// Some.
    No,
    /// The data plane cannot tell.
    Unknown,
}
