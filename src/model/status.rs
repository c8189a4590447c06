//! What the reconcile loop publishes after each step: all that status, services, routes, plan and metrics show.
//!
//! Plain data: the loop fills it and the admin server reads it, and neither knows the other.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use backchat_contract::{Desired, Manners, PlanView, Plane, Policies, Refusal};

use super::{EndpointId, Flapping, Held, Ledger, Rejection, Snapshot, SourceName, Tally};

/// The newest word of the reconcile loop.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each of which is shown by itself")]
pub struct Status {
    /// What the data plane said of itself at the last look.
    pub plane: Plane,
    /// Whether the data plane answered at the last look.
    pub plane_up: bool,
    /// When the last step ended, well or not, if one has.
    pub stepped_at: Option<SystemTime>,
    /// When the data plane was last read, if ever.
    pub observed_at: Option<SystemTime>,
    /// Whether the live state was read back to be the desired one.
    pub converged: bool,
    /// Whether all sources have listed everything once.
    pub synced: bool,
    /// The values of the tag `role` that declare a service of that name.
    pub roles: Arc<BTreeSet<String>>,
    /// How services are balanced.
    pub services: Arc<Policies>,
    /// How clients are treated.
    pub manners: Manners,
    /// The sources, in their order.
    pub sources: Vec<SourceState>,
    /// What is waited for: a server that drains, workers that retire.
    pub waiting: Option<String>,
    /// What should be, after the guard.
    pub desired: Arc<Desired>,
    /// What was read back.
    pub live: Arc<Desired>,
    /// Endpoints that should take requests and do not, as far as the data plane's own checks go.
    pub down: Arc<BTreeSet<EndpointId>>,
    /// What the loop remembers from step to step; `None` until what is live was adopted.
    pub ledger: Option<Arc<Ledger>>,
    /// What the guard holds back.
    pub held: Vec<Held>,
    /// Members that come and go, and services of members that live, held down for it.
    pub flapping: Vec<Flapping>,
    /// What members said that was not taken.
    pub rejections: Vec<Rejection>,
    /// Files that should hold certificates and do not, why, and what holds meanwhile.
    pub certificate_troubles: Vec<String>,
    /// What the next step would do; empty where converged.
    pub plan: Arc<PlanView>,
    /// New structure that waits until a person applies it, if any does.
    pub approval: Option<Approval>,
    /// The last apply.
    pub last_apply: Option<LastApply>,
    /// Why the last step failed, until one succeeds.
    pub error: Option<String>,
    /// Whether that is the fault of the template, or of what it renders.
    pub bad_configuration: bool,
    /// Steps that ended well, since the start.
    pub steps: u64,
    /// Steps that failed, since the start.
    pub failures: u64,
    /// Reloads and restarts of the data plane, since the start.
    pub reloads: u64,
    /// What else was counted since the start.
    pub tally: Tally,
}

impl Status {
    /// Whether the data plane was read at least once: before that nothing is known of what is served.
    pub fn was_read(&self) -> bool {
        self.ledger.is_some()
    }
}

/// New structure that waits until a person applies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Since when something waits without a break.
    pub since: SystemTime,
    /// What it is needed for.
    pub why: String,
}

/// How a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// Which: `gossip`, `file:/etc/services.toml`.
    pub name: SourceName,
    /// Which of its snapshots the last step went by.
    pub serial: u64,
    /// Whether it has listed everything once.
    pub synced: bool,
    /// The services that it lists; none where it knows members.
    pub services: usize,
    /// Their endpoints.
    pub endpoints: usize,
    /// Why what it says now cannot be taken, if so.
    pub trouble: Option<String>,
}

impl SourceState {
    /// How the source of this snapshot is.
    pub fn of(snapshot: &Snapshot) -> Self {
        Self {
            name: SourceName::clone(&snapshot.source),
            serial: snapshot.serial,
            synced: snapshot.synced,
            services: snapshot.services.len(),
            endpoints: snapshot.services.values().map(|listed| listed.endpoints.len()).sum(),
            trouble: snapshot.trouble.clone(),
        }
    }

    /// What holds while it is in trouble.
    pub fn meanwhile(&self) -> &'static str {
        if self.synced { "what it listed before stays" } else { "nothing is removed until it can be read" }
    }
}

/// One apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastApply {
    /// When it ended.
    pub at: SystemTime,
    /// How long it took, the reading back included.
    pub took: std::time::Duration,
    /// Commands that the data plane confirmed.
    pub commands: usize,
    /// Commands it refused.
    pub refused: Vec<Refusal>,
    /// Whether it was reloaded.
    pub reloaded: bool,
    /// The generation after it.
    pub generation: u64,
    /// What it changed.
    pub changes: usize,
}
