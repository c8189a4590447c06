//! A plan, as the admin API shows it and the dry run prints it: one type for both. `plan.schema.json` beside this file
//! says the same for programs.

use std::time::SystemTime;

use backchat_contract as contract;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::status::{Rejection, ago};
use crate::model::{self, Proposal};

/// The JSON Schema of a plan, `backchat.plan/1`.
pub const PLAN_SCHEMA: &str = include_str!("plan.schema.json");

/// What would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The same for the same changes from the same state: `p51c09a2e`.
    pub id: String,
    /// Whose plan.
    pub node: String,
    /// The data plane.
    pub driver: Driver,
    /// The generation that runs.
    pub from: u64,
    /// The generation after it.
    pub to: u64,
    /// How long ago the data plane was read for it, in milliseconds.
    pub read_back_ms: u64,
    /// Whether all sources have listed everything once.
    pub synced: bool,
    /// What changes, what waits, what is held and what was refused, in a plan's order.
    pub changes: Vec<Change>,
    /// What else is waited for: requests that end, the operator.
    #[serde(default)]
    pub waiting: Vec<String>,
    /// What the guard holds back.
    pub holds: Vec<Hold>,
    /// What members said that was not taken.
    pub rejections: Vec<Rejection>,
    /// Capacity before and after, by service.
    pub ready: Vec<Ready>,
    /// Files that would be written.
    pub files: Vec<File>,
    /// Commands that would be sent, in order.
    pub commands: Vec<String>,
    /// What forces a reload.
    pub reload: Option<String>,
    /// What the reload would load, as a hash that nothing changes which counts up: `apply` compares it.
    #[serde(default)]
    pub structure: Option<String>,
    /// What somebody else made of the files that would be written over, as a hash.
    #[serde(default)]
    pub edited: Option<String>,
    /// What it takes for granted, `gone=web1`: such a plan cannot be applied.
    #[serde(default)]
    pub assumed: Vec<String>,
    /// Whether its reload waits until somebody applies the plan (`lb --approve`).
    #[serde(default)]
    pub waits_for_approval: bool,
    /// In numbers.
    pub summary: Summary,
}

/// A data plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// `haproxy`.
    pub name: String,
    /// Its own version.
    pub version: String,
}

/// One thing that changes, or does not though somebody wants it to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `endpoint`, `route`, `service`.
    pub kind: String,
    /// `add`, `update`, `drain`, `remove`.
    pub action: String,
    /// `web/web1`, `shop.example.com/`.
    pub id: String,
    /// As it is, in words.
    pub before: Option<String>,
    /// As it would be, in words.
    pub after: Option<String>,
    /// Why.
    pub reason: Option<Reason>,
    /// `planned`, `waiting`, `held`, `refused`.
    pub status: String,
}

/// Why something changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// A short code for programs.
    pub code: String,
    /// Who caused it.
    pub node: Option<String>,
    /// When that was, in UTC to the second: `2026-11-28T11:05:15Z`; `None` where it is not known.
    #[serde(default)]
    pub at: Option<String>,
    /// In words.
    pub text: String,
}

/// Removals that the guard holds back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// `h3c9`.
    pub id: String,
    /// Why.
    pub why: String,
    /// What is kept that would go: `api/api1`.
    pub endpoints: Vec<String>,
}

/// How many endpoints of a service take new requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The service.
    pub service: String,
    /// Now.
    pub before: usize,
    /// After the plan.
    pub after: usize,
    /// The hold that keeps some of them.
    pub hold: Option<String>,
    /// After the plan, without that hold.
    pub without_hold: Option<usize>,
}

/// A file that would be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its path.
    pub path: String,
    /// The unified diff.
    pub diff: String,
}

/// A plan in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Services, endpoints and routes to add.
    pub add: usize,
    /// To change.
    pub change: usize,
    /// Of those, endpoints that drain.
    pub drain: usize,
    /// To remove.
    pub remove: usize,
    /// Not yet done, for something else is waited for.
    #[serde(default)]
    pub waiting: usize,
    /// Held back.
    pub held: usize,
    /// Refused.
    pub refused: usize,
    /// Commands to send.
    pub commands: usize,
}

impl Plan {
    /// A proposal of this node, as of now.
    pub fn new(node: &str, proposal: &Proposal, now: SystemTime) -> Self {
        let (plane, view) = (&proposal.plane, &proposal.view);
        Self {
            id: id(proposal),
            node: node.to_owned(),
            driver: Driver { name: plane.name.to_owned(), version: plane.version.clone() },
            from: plane.generation,
            to: proposal.to,
            read_back_ms: ago(proposal.observed_at, now),
            synced: proposal.synced,
            changes: view.changes.iter().map(|change| Change::new(change, proposal.observed_at)).collect(),
            waiting: view.waits.clone(),
            holds: proposal.held.iter().map(Hold::from).collect(),
            rejections: proposal.rejections.iter().map(Rejection::from).collect(),
            ready: proposal.ready.iter().map(Ready::from).collect(),
            files: view.files.iter().map(|f| File { path: f.path.clone(), diff: f.diff() }).collect(),
            commands: view.commands.clone(),
            reload: view.reload.clone(),
            structure: proposal.structure.clone(),
            edited: model::Fingerprint::of(proposal).edited,
            assumed: proposal.assumed.clone(),
            waits_for_approval: proposal.waits,
            summary: Summary::from(view.summary()),
        }
    }

    /// Whether there is anything that would be done.
    pub fn changes_anything(&self) -> bool {
        let Summary { add, change, remove, .. } = self.summary;
        add + change + remove + self.commands.len() + self.files.len() > 0 || self.reload.is_some()
    }
}

/// A hash of what is done and from where: short, and the same in every build.
fn id(proposal: &Proposal) -> String {
    let view = &proposal.view;
    let changes = view.changes.iter().map(|c| format!("{:?} {:?} {} {:?}", c.status, c.action, c.id, c.after));
    let files = view.files.iter().flat_map(|f| [f.path.clone(), f.new.clone()]);
    let words = changes.chain(files).chain(view.commands.iter().cloned());
    let text = words.fold(proposal.plane.generation.to_string(), |text, word| text + "\n" + &word);
    Sha256::digest(text).iter().take(4).fold("p".to_owned(), |id, byte| id + &format!("{byte:02x}"))
}

impl Change {
    fn new(c: &contract::Change, now: SystemTime) -> Self {
        use contract::{Action, ChangeKind, ChangeStatus};
        let kind = match c.kind {
            ChangeKind::Endpoint => "endpoint",
            ChangeKind::Route => "route",
            ChangeKind::Service => "service",
            ChangeKind::Certificate => "certificate",
        };
        let action = match c.action {
            Action::Add => "add",
            Action::Update => "update",
            Action::Drain => "drain",
            Action::Remove => "remove",
        };
        let status = match c.status {
            ChangeStatus::Planned => "planned",
            ChangeStatus::Waiting => "waiting",
            ChangeStatus::Held => "held",
            ChangeStatus::Refused => "refused",
        };
        Self {
            kind: kind.into(),
            action: action.into(),
            id: c.id.clone(),
            before: c.before.clone(),
            after: c.after.clone(),
            reason: c.reason.as_ref().map(|reason| Reason::new(reason, now)),
            status: status.into(),
        }
    }
}

impl Reason {
    pub(super) fn new(r: &contract::Reason, now: SystemTime) -> Self {
        // A machine without a clock begins in 1970, and what was before has no name there.
        let at = r.ago.and_then(|ago| now.checked_sub(ago)).filter(|at| *at >= SystemTime::UNIX_EPOCH);
        let at = at.map(|at| humantime::format_rfc3339_seconds(at).to_string());
        Self { code: r.code.into(), node: r.node.clone(), at, text: r.text.clone() }
    }
}

impl From<&model::Held> for Hold {
    fn from(h: &model::Held) -> Self {
        let endpoints = h.endpoints.iter().map(ToString::to_string).collect();
        Self { id: h.id.clone(), why: h.why.clone(), endpoints }
    }
}

impl From<&model::Ready> for Ready {
    fn from(r: &model::Ready) -> Self {
        let (without_hold, hold) = r.without_hold.clone().unzip();
        Self { service: r.service.to_string(), before: r.before, after: r.after, hold, without_hold }
    }
}

impl From<contract::Summary> for Summary {
    fn from(s: contract::Summary) -> Self {
        let contract::Summary { add, change, drain, remove, waiting, held, refused, commands } = s;
        Self { add, change, drain, remove, waiting, held, refused, commands }
    }
}
