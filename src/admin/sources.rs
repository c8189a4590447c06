//! What the admin server is given: where it reads, and whom it asks. Words of the model alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::model::{
    Applied, Assumption, Fingerprint, Health, Histogram, Kind, Liveness, Moment, NoProposal, NodeName, Obstacle, Order,
    Proposal, Snapshot, Status, Target, Unapplied,
};

/// Where the answers come from.
#[derive(Clone)]
pub struct Sources {
    /// Who answers.
    pub me: Me,
    /// The moment from which `Moment`s count.
    pub start: Instant,
    /// What gossip knows, this node included.
    pub members: watch::Receiver<Arc<Snapshot>>,
    /// What the reconcile loop published last; `None` at an agent.
    pub status: Option<watch::Receiver<Arc<Status>>>,
    /// Who does what is asked.
    pub commands: mpsc::Sender<Command>,
    /// Reads the counters of the other parts.
    pub counts: Arc<dyn Fn() -> Counts + Send + Sync>,
    /// Cancelled when the daemon is about to end: from then on it is not ready.
    pub stopping: CancellationToken,
    /// What an agent offers, and whether it may get requests; nothing at a balancer.
    pub health: watch::Receiver<Vec<Health>>,
}

/// Who answers.
#[derive(Clone, Debug)]
pub struct Me {
    /// Its name.
    pub node: NodeName,
    /// Agent or balancer.
    pub kind: Kind,
}

/// Something that is asked of the daemon. Nobody may wait any more when the answer comes.
#[derive(Debug)]
pub enum Command {
    /// Join by these addresses, as a person wrote them.
    Join {
        /// The addresses, at least one.
        addrs: Vec<String>,
        /// Address by address, what came of it.
        answer: oneshot::Sender<Vec<Joined>>,
    },
    /// Leave the cluster gracefully and end, as on SIGTERM.
    Leave {
        /// Answered once leaving has begun.
        answer: oneshot::Sender<()>,
    },
    /// Drain something by hand, or undrain it.
    Order {
        /// What.
        ordering: Ordering,
        /// What came of it.
        answer: oneshot::Sender<Result<Followed, Obstacle>>,
    },
    /// What would be done now, or if.
    Plan {
        /// The what-if.
        assume: Vec<Assumption>,
        /// The proposal, or why there is none.
        answer: oneshot::Sender<Result<Box<Proposal>, NoProposal>>,
    },
    /// Apply exactly what was shown.
    Apply {
        /// What that was.
        shown: Box<Fingerprint>,
        /// What was done, once it was read back; or why nothing was.
        answer: oneshot::Sender<Result<Applied, Unapplied>>,
    },
    /// Let a held change go.
    Release {
        /// The hold, `h3c9`.
        hold: String,
        /// Whether there is such a hold.
        answer: oneshot::Sender<bool>,
    },
}

/// What an operator orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordering {
    /// Which node, or which service of it.
    pub target: Target,
    /// What is to be so.
    pub order: Order,
    /// Whether it is ordered now; else it was, and is only waited for.
    pub given: bool,
    /// Whether the last one of a service may be drained.
    pub force: bool,
    /// How long to wait until all balancers have followed.
    pub wait: Duration,
}

/// What came of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// The (epoch, version) of the node's record that says so.
    pub age: (u64, u64),
    /// The balancers that have followed; none where nobody waited.
    pub confirmed: BTreeSet<NodeName>,
    /// Those that have not in time, and why.
    pub missing: BTreeMap<NodeName, String>,
    /// Services that are without a ready endpoint after it.
    pub last: Vec<String>,
}

/// What came of joining by one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The address, as it was asked.
    pub addr: String,
    /// How many members are known after it, or why it did not work.
    pub result: Result<usize, String>,
}

/// What the other parts have counted since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Gossip datagrams received.
    pub packets_in: u64,
    /// Gossip datagrams sent.
    pub packets_out: u64,
    /// Gossip datagrams and frames not taken, by reason.
    pub rejected: Vec<(&'static str, u64)>,
    /// TCP exchanges that came to their end.
    pub exchanges_ok: u64,
    /// TCP exchanges that did not.
    pub exchanges_failed: u64,
    /// How long probes of ours took until they were answered.
    pub probe_times: Histogram,
    /// How well gossip does by this node's own measure: 0 is well, 8 the worst.
    pub health_score: u8,
    /// How often other members were found to be so, as newcomers or as they were not before.
    pub transitions: BTreeMap<Liveness, u64>,
    /// When another node was last heard, if ever.
    pub heard: Option<Moment>,
}
