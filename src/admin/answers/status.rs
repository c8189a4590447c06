//! How a daemon is: its place in the cluster, and at a balancer its data plane.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use backchat_contract::Manners;
use serde::{Deserialize, Serialize};

use super::{Flapping, Hold, Members, ServiceState, Services};
use crate::model::{self, Kind, Liveness, Moment, Snapshot};

/// How the daemon is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Who answers.
    pub node: String,
    /// backchat's version.
    pub version: String,
    /// What it is.
    pub kind: Kind,
    /// For how long it has run, in milliseconds.
    pub uptime_ms: u64,
    /// How many members are alive, suspect, failed, left.
    pub members: BTreeMap<Liveness, usize>,
    /// How long ago another member was heard, in milliseconds; `None`: never.
    pub heard_ms: Option<u64>,
    /// Whether all sources have listed everything once.
    pub synced: bool,
    /// Where a balancer knows from who is there, in the order in which they count.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// What was drained by hand: `web1`, `web2/api`.
    #[serde(default)]
    pub drained: Vec<String>,
    /// Which data plane is driven; `None` at an agent, as is all that follows.
    pub driver: Option<String>,
    /// The data plane's own version.
    pub driver_version: Option<String>,
    /// Whether the data plane answered at the last look.
    pub up: Option<bool>,
    /// Which rendering the data plane runs.
    pub generation: Option<u64>,
    /// Whether the live state was read back to be the desired one.
    pub converged: Option<bool>,
    /// How long ago the data plane was read, in milliseconds.
    pub read_back_ms: Option<u64>,
    /// What is waited for.
    pub waiting: Option<String>,
    /// Why the last step failed.
    pub error: Option<String>,
    /// Why structural writes are blocked.
    pub blocked: Option<String>,
    /// Why the operator's template is not the one in use.
    #[serde(default)]
    pub template: Option<String>,
    /// Why the access log is not written to its file.
    #[serde(default)]
    pub access_log: Option<String>,
    /// New structure that waits until somebody applies it (`lb --approve`).
    #[serde(default)]
    pub approval: Option<Approval>,
    /// Reloads and restarts of the data plane, since the start.
    pub reloads: u64,
    /// Services that no endpoint answers for.
    pub services_down: Vec<String>,
    /// What requests for these get, where that is not 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_status: Option<u16>,
    /// Canaries that nobody answers for: their requests go to their service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canaries_down: Vec<String>,
    /// What the guard holds back.
    pub held: Vec<Hold>,
    /// Members that come and go, and are held down for it.
    #[serde(default)]
    pub flapping: Vec<Flapping>,
    /// What members said that was not taken.
    pub rejections: Vec<Rejection>,
    /// What TLS is spoken by.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// Files that should hold certificates and do not, why, and what holds meanwhile.
    #[serde(default)]
    pub certificate_errors: Vec<String>,
    /// The last apply.
    pub last_apply: Option<LastApply>,
    /// What an agent offers, and whether it may get requests.
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// A service of this node, by the node's own check of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The service.
    pub service: String,
    /// Where on this node.
    pub port: u32,
    /// Whether it may get requests.
    pub up: bool,
    /// Why not, or what the last look found that has no effect yet.
    pub why: Option<String>,
}

impl From<&model::Health> for Check {
    fn from(h: &model::Health) -> Self {
        let (service, why) = (h.service.clone(), h.why.clone());
        Self { service, port: h.port, up: h.up, why }
    }
}

/// What requests get that nobody answers, where that is not 503.
pub(super) fn unusual(manners: Manners) -> Option<u16> {
    Some(manners.no_server_status()).filter(|status| *status != 503)
}

/// Where it is known from who is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `gossip`, `file:/etc/services.toml`.
    pub name: String,
    /// Whether it has listed everything once.
    pub synced: bool,
    /// The services that a file lists.
    pub services: usize,
    /// Their endpoints.
    pub endpoints: usize,
    /// Why what it says now is not taken, and what holds meanwhile.
    pub error: Option<String>,
}

impl From<&model::SourceState> for Source {
    fn from(s: &model::SourceState) -> Self {
        Self {
            name: s.name.to_string(),
            synced: s.synced,
            services: s.services,
            endpoints: s.endpoints,
            error: s.trouble.as_ref().map(|why| format!("{why}; {}", s.meanwhile())),
        }
    }
}

/// New structure that waits until somebody applies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// For how long, in milliseconds.
    pub since_ms: u64,
    /// What it is needed for.
    pub why: String,
}

impl Approval {
    fn new(approval: &model::Approval, now: SystemTime) -> Self {
        Self { since_ms: ago(approval.since, now), why: approval.why.clone() }
    }
}

/// Something a member said that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Who said it.
    pub node: String,
    /// What was refused.
    pub subject: String,
    /// Why.
    pub why: String,
    /// A short code for programs.
    pub code: String,
}

/// One apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastApply {
    /// How long ago, in milliseconds.
    pub ago_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Commands that the data plane confirmed.
    pub commands: usize,
    /// Commands it refused.
    pub refused: Vec<Refused>,
    /// Whether it was reloaded.
    pub reloaded: bool,
    /// The generation after it.
    pub generation: u64,
    /// How many things it changed.
    pub changes: usize,
}

/// A command that the data plane refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// As sent.
    pub command: String,
    /// What came back.
    pub reply: String,
}

impl Status {
    /// An agent's status.
    pub fn agent(node: &str, members: &Snapshot, uptime: Moment, heard: Option<Duration>) -> Self {
        Self {
            node: node.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kind: Kind::Agent,
            uptime_ms: millis(uptime),
            members: by_liveness(members),
            heard_ms: heard.map(millis),
            synced: members.synced,
            sources: Vec::new(),
            drained: drained(members),
            driver: None,
            driver_version: None,
            up: None,
            generation: None,
            converged: None,
            read_back_ms: None,
            waiting: None,
            error: None,
            blocked: None,
            template: None,
            access_log: None,
            approval: None,
            reloads: 0,
            services_down: Vec::new(),
            down_status: None,
            canaries_down: Vec::new(),
            held: Vec::new(),
            flapping: Vec::new(),
            rejections: Vec::new(),
            certificates: Vec::new(),
            certificate_errors: Vec::new(),
            last_apply: None,
            checks: Vec::new(),
        }
    }

    /// With what the node's own checks say.
    #[must_use]
    pub fn with_checks(self, health: &[model::Health]) -> Self {
        Self { checks: health.iter().map(Check::from).collect(), ..self }
    }

    /// A balancer's status: an agent's, and what its loop published last.
    #[must_use]
    pub fn with_plane(self, s: &model::Status, now: SystemTime) -> Self {
        let (services_down, canaries_down) = down(s);
        Self {
            kind: Kind::Balancer,
            synced: self.synced && s.synced,
            sources: s.sources.iter().map(Source::from).collect(),
            driver: Some(s.plane.name.to_owned()),
            driver_version: Some(s.plane.version.clone()),
            up: Some(s.plane_up),
            generation: Some(s.plane.generation),
            converged: Some(s.converged),
            read_back_ms: s.observed_at.map(|at| ago(at, now)),
            waiting: s.waiting.clone(),
            error: s.error.clone(),
            blocked: s.plane.blocked.clone(),
            template: s.plane.template.clone(),
            access_log: s.plane.access_log.clone(),
            approval: s.approval.as_ref().map(|approval| Approval::new(approval, now)),
            services_down,
            down_status: unusual(s.manners),
            canaries_down,
            reloads: s.reloads,
            held: s.held.iter().map(Hold::from).collect(),
            flapping: s.flapping.iter().map(Flapping::from).collect(),
            rejections: s.rejections.iter().map(Rejection::from).collect(),
            certificates: certificates(s, now),
            certificate_errors: s.certificate_troubles.clone(),
            last_apply: s.last_apply.as_ref().map(|apply| LastApply::new(apply, now)),
            ..self
        }
    }
}

/// A certificate that is shown, or should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// By what it is told apart: its file's name.
    pub name: String,
    /// The hosts that it is for.
    pub hosts: Vec<String>,
    /// SHA-256 over its chain, in hexadecimal digits.
    pub fingerprint: String,
    /// When it expires (RFC 3339).
    pub expires: String,
    /// Whole days until then; `None` where it has expired.
    pub days_left: Option<u64>,
    /// Whether it is shown for names that no other is for.
    pub default: bool,
    /// Whether the data plane was read to show this very one.
    pub live: bool,
    /// Whether it expires soon, or has.
    pub ends: bool,
}

/// Those that should be shown, and those that are shown yet.
fn certificates(s: &model::Status, now: SystemTime) -> Vec<Certificate> {
    let live = s.live.certificates.iter().filter(|(name, _)| !s.desired.certificates.contains_key(*name));
    let all = s.desired.certificates.iter().chain(live);
    let one = |(name, c): (&model::CertName, &model::Certificate)| Certificate {
        name: name.to_string(),
        hosts: c.names.iter().map(ToString::to_string).collect(),
        fingerprint: c.fingerprint.to_string(),
        expires: humantime::format_rfc3339_seconds(c.expires()).to_string(),
        days_left: model::days_left(c, now),
        default: c.default,
        live: s.live.certificates.get(name).is_some_and(|live| live.fingerprint == c.fingerprint),
        ends: c.expires() < now + model::SOON,
    };
    all.map(one).collect()
}

/// By hand, at members that live.
fn drained(members: &Snapshot) -> Vec<String> {
    let living = members.members.values().filter(|m| m.lives());
    let of = |m: &model::Member| {
        let by_hand = m.record.as_ref().map(|r| r.by_hand.clone()).unwrap_or_default();
        let services: Vec<_> = by_hand.services.iter().map(|service| format!("{}/{service}", m.name)).collect();
        if by_hand.node { vec![m.name.to_string()] } else { services }
    };
    living.flat_map(of).collect()
}

/// Services without anybody who answers, and canaries, those that no member ever was among them.
fn down(s: &model::Status) -> (Vec<String>, Vec<String>) {
    let services = Services::new(s).services;
    let (down, up): (Vec<_>, Vec<_>) = services.into_iter().partition(|service| service.state == ServiceState::Down);
    let answers = |name: &String| up.iter().any(|service| service.name == *name);
    let canaries = s.services.iter().flat_map(|(_, policy)| policy.canaries.iter().map(|c| c.service.to_string()));
    let canaries: Vec<String> = canaries.filter(|name| !answers(name)).collect();
    let services = down.into_iter().map(|service| service.name).filter(|name| !canaries.contains(name));
    (services.collect(), canaries)
}

fn by_liveness(snapshot: &Snapshot) -> BTreeMap<Liveness, usize> {
    let members = Members::new(snapshot, Moment::ZERO);
    let all = [Liveness::Alive, Liveness::Suspect, Liveness::Failed, Liveness::Left];
    all.into_iter().map(|liveness| (liveness, members.count(liveness))).collect()
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How long ago in milliseconds; 0 where the wall clock went back since.
pub(super) fn ago(at: SystemTime, now: SystemTime) -> u64 {
    now.duration_since(at).map_or(0, millis)
}

impl From<&model::Rejection> for Rejection {
    fn from(r: &model::Rejection) -> Self {
        let code = r.code.to_owned();
        Self { node: r.node.clone(), subject: r.subject.clone(), why: r.why.clone(), code }
    }
}

impl From<&backchat_contract::Refusal> for Refused {
    fn from(r: &backchat_contract::Refusal) -> Self {
        Self { command: r.command.clone(), reply: r.reply.clone() }
    }
}

impl LastApply {
    fn new(apply: &model::LastApply, now: SystemTime) -> Self {
        Self {
            ago_ms: ago(apply.at, now),
            took_ms: millis(apply.took),
            commands: apply.commands,
            refused: apply.refused.iter().map(Refused::from).collect(),
            reloaded: apply.reloaded,
            generation: apply.generation,
            changes: apply.changes,
        }
    }
}
