//! The members, as the admin API shows them.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::model::{self, Kind, Liveness, Moment, RawOffer, RawRecord, Snapshot, State, Verdict};

/// Who is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// By name; those that failed or left a short while ago included.
    pub members: Vec<Member>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where it gossips.
    pub ip: IpAddr,
    /// Where it gossips.
    pub port: u16,
    /// Whether it lives.
    pub liveness: Liveness,
    /// How it is by its own word; `None` until its record has come.
    pub state: Option<State>,
    /// What it is; `None` until its record has come.
    pub kind: Option<Kind>,
    /// Which of its lives.
    pub epoch: u64,
    /// Which of its records; 0 until one has come.
    pub version: u64,
    /// What it offers, as it says.
    pub services: Vec<Offer>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// For how long its liveness has been as it is, in milliseconds.
    pub since_ms: u64,
    /// Why it is as it is, where there is something to say.
    pub why: Option<String>,
}

/// A service that a member says it offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The service.
    pub name: String,
    /// Where on the member.
    pub port: u32,
    /// The hosts it wants to answer.
    pub hosts: Vec<String>,
    /// The path it wants to answer.
    pub path: Option<String>,
    /// Its share of the traffic.
    pub weight: Option<u32>,
    /// What it speaks.
    pub protocol: Option<String>,
    /// Whether it passes the member's own check.
    pub healthy: bool,
    /// Whether it takes no new requests, by the member's own word or by hand.
    #[serde(default)]
    pub draining: bool,
}

impl Members {
    /// What a snapshot knows, as of now.
    pub fn new(snapshot: &Snapshot, now: Moment) -> Self {
        Self { members: snapshot.members.values().map(|m| Member::new(m, now)).collect() }
    }

    /// How many are as this.
    pub fn count(&self, liveness: Liveness) -> usize {
        self.members.iter().filter(|m| m.liveness == liveness).count()
    }
}

impl Member {
    pub(super) fn new(m: &model::Member, now: Moment) -> Self {
        let record = m.record.as_ref();
        Self {
            name: m.name.to_string(),
            ip: m.addr.ip(),
            port: m.addr.port(),
            liveness: m.liveness,
            state: record.map(|r| r.state),
            kind: record.map(|r| r.kind),
            epoch: m.epoch,
            version: record.map_or(0, |r| r.version),
            services: record.map(|r| r.services.iter().map(|o| Offer::new(o, r)).collect()).unwrap_or_default(),
            tags: record.map(|r| r.tags.clone()).unwrap_or_default(),
            since_ms: u64::try_from(now.saturating_sub(m.since).as_millis()).unwrap_or(u64::MAX),
            why: why(m),
        }
    }
}

impl Offer {
    fn new(o: &RawOffer, of: &RawRecord) -> Self {
        Self {
            name: o.name.clone(),
            port: o.port,
            hosts: o.hosts.clone(),
            path: o.path.clone(),
            weight: o.weight,
            protocol: o.protocol.clone(),
            healthy: o.healthy,
            draining: of.is_draining(&o.name),
        }
    }
}

fn why(m: &model::Member) -> Option<String> {
    let asked = match m.verdict {
        Verdict::Unasked => None,
        Verdict::Answered => Some("answered us"),
        Verdict::Refused => Some("its host refused us"),
        Verdict::Silent => Some("did not answer us"),
    };
    let text = match (m.liveness, &m.record) {
        (Liveness::Suspect, _) => format!("no ack to a member{}", asked.map(|a| format!(", {a}")).unwrap_or_default()),
        (Liveness::Failed, _) => asked.map_or_else(|| "stopped answering".to_owned(), str::to_owned),
        (Liveness::Left, _) => "said goodbye".to_owned(),
        (Liveness::Alive, _) if m.refused.is_some() => "its record is refused: see status".to_owned(),
        (Liveness::Alive, _) if m.verdict == Verdict::Silent => "does not answer us".to_owned(),
        (Liveness::Alive, None) => "its record has not come yet".to_owned(),
        (Liveness::Alive, Some(r)) if r.by_hand.node => "drained by hand".to_owned(),
        (Liveness::Alive, Some(r)) if r.state == State::Draining => "draining, by its own word".to_owned(),
        (Liveness::Alive, Some(r)) => return unusual(r),
    };
    Some(text)
}

/// What of a member that lives and serves does not.
fn unusual(r: &RawRecord) -> Option<String> {
    let unhealthy: Vec<_> = r.services.iter().filter(|s| !s.healthy).map(|s| s.name.as_str()).collect();
    let drained: Vec<_> = r.by_hand.services.iter().map(String::as_str).collect();
    let said = [(unhealthy, "fails its check"), (drained, "drained by hand")];
    let said =
        said.iter().filter(|(names, _)| !names.is_empty()).map(|(names, is)| format!("{} {is}", names.join(", ")));
    said.reduce(|all, one| all + "; " + &one)
}
