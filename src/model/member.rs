//! Members of the cluster and the snapshot that a source keeps of them.

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Kind, Listed, NodeName, RawRecord, Rejection, ServiceName};

/// A point on the monotonic clock: the time since this process began. Never the wall clock, which jumps.
pub type Moment = Duration;

/// Where a snapshot comes from: `gossip`, `file:/etc/backchat.toml`, `redis://10.0.0.5`.
pub type SourceName = Arc<str>;

/// What one source knows now: gossip knows members, a file or a store lists services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Which source.
    pub source: SourceName,
    /// Which of them: of gossip a later one has a higher number.
    pub serial: u64,
    /// Whether it has listed everything once. Before that nothing may be removed on its word.
    pub synced: bool,
    /// The members by name, those that failed or left a short while ago included.
    pub members: BTreeMap<NodeName, Member>,
    /// The services that it lists.
    pub services: BTreeMap<ServiceName, Arc<Listed>>,
    /// What it lists that cannot be taken.
    pub refused: Vec<Rejection>,
    /// Why what it says now cannot be taken; all else here is what it said before. `None` while all is well.
    pub trouble: Option<String>,
}

/// A node, what it says of itself, and whether it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, which no other living node has.
    pub name: NodeName,
    /// Which of its lives: a later one has a higher number.
    pub epoch: u64,
    /// Where it gossips.
    pub addr: SocketAddr,
    /// Whether it lives, as far as the cluster knows.
    pub liveness: Liveness,
    /// What it answered when this node, a balancer, asked it in person: as a suspect, or as it did not answer a ping.
    pub verdict: Verdict,
    /// Since when `liveness` is as it is.
    pub since: Moment,
    /// What it says of itself; `None` until its record has come.
    pub record: Option<RawRecord>,
    /// Why what it said last could not be read; `record` is what it said before. `None` once it says something better.
    pub refused: Option<String>,
}

/// Whether a member lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Liveness {
    /// It answers.
    Alive,
    /// Somebody got no answer. A question, not a fact.
    Suspect,
    /// It was declared down.
    Failed,
    /// It said goodbye.
    Left,
}

impl Member {
    /// Whether it is there, by what is known.
    pub fn lives(&self) -> bool {
        self.liveness.lives()
    }

    /// Whether it stands beside a load balancer, by its own word.
    pub fn is_balancer(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.kind == Kind::Balancer)
    }
}

impl Liveness {
    /// Whether it stands for one that is there: a suspect is, until it is declared down.
    pub fn lives(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect)
    }
}

impl fmt::Display for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Failed => "failed",
            Self::Left => "left",
        })
    }
}

/// What came of asking a suspect in person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was not asked, or the answer is still out.
    #[default]
    Unasked,
    /// It answered: it lives, whatever the others say.
    Answered,
    /// Its host answered that nobody listens: the process is gone, and the path to it works.
    Refused,
    /// Nothing came back: it is gone, or the path to it is.
    Silent,
}
