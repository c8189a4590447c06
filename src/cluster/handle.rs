//! What the rest of the program holds of the cluster: a view to watch, and a few things to ask for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{
    counters::{Counters, Counts},
    drained::{self, Drained},
    error::Error,
    join::{JoinAddr, Joiner},
    mailbox::{Command, Mailbox},
    orders::DrainOrder,
    sync::Speaker,
    view::View,
};
use crate::model::{Drains, Moment, NodeName, RawOffer, State};

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// How it is.
    pub state: State,
    /// What it offers.
    pub services: Vec<RawOffer>,
    /// Free tags.
    pub tags: BTreeMap<String, String>,
    /// What an operator took out by hand.
    pub by_hand: Drains,
    /// At a balancer: whether its data plane serves on when it has left.
    pub plane_stays: bool,
}

/// An agent asks this balancer whether it has been drained.
#[derive(Debug)]
pub struct DrainQuestion {
    /// Which node asks.
    pub node: NodeName,
    /// In which life.
    pub epoch: u64,
    /// From which version of its record on.
    pub version: u64,
    /// Whether what does not drain is asked about too: that it serves.
    pub serves: bool,
    /// Where the answer goes. While nothing is sent the asker waits; one that is dropped makes it ask again.
    pub answer: oneshot::Sender<bool>,
}

/// A running node, to be asked. Cheap to clone; every call ends with [`Error::Ended`] once the node has.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) views: watch::Receiver<Arc<View>>,
    pub(super) speaker: watch::Receiver<Speaker>,
    pub(super) mailbox: Mailbox,
    pub(super) counters: Arc<Counters>,
    pub(super) started: Instant,
    pub(super) drains: Arc<Mutex<Option<mpsc::Receiver<DrainQuestion>>>>,
    /// At an agent: where orders go, those from this host too.
    pub(super) orders: Option<mpsc::Sender<DrainOrder>>,
    pub(super) inbound_orders: Arc<Mutex<Option<mpsc::Receiver<DrainOrder>>>>,
}

impl Handle {
    /// The newest view. Changes at every change of a member, the first at once, in storms every 4 ms.
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.views.clone()
    }

    /// What the moments of the view count from.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// When another node was last heard, if ever.
    pub fn heard(&self) -> Option<Moment> {
        self.counters.last_heard()
    }

    /// The counters, for the metrics.
    pub fn counts(&self) -> Counts {
        self.counters.read()
    }

    /// Says something else of this node from now on; the same again changes nothing. Returns the version.
    pub async fn announce(&self, announcement: Announcement) -> Result<u64, Error> {
        self.mailbox.ask(|answer| Command::Announce(announcement, answer)).await?
    }

    /// Tries each address once, all at the same time; says how many members are known after each that worked.
    pub async fn join(&self, addrs: Vec<JoinAddr>) -> Vec<(JoinAddr, Result<usize, String>)> {
        let joiner = self.joiner();
        let tries = addrs.into_iter().map(|addr| async {
            let result = joiner.once(&addr).await.map(|_| self.views.borrow().snapshot.members.len());
            (addr, result)
        });
        futures_util::future::join_all(tries).await
    }

    /// Leaves the cluster; returns once that is told, after half a second at most. The task ends with it.
    pub async fn leave(&self) -> Result<(), Error> {
        Ok(self.mailbox.ask(Command::Leave).await?)
    }

    /// Asks every balancer whether it has drained what this node says of itself now, and waits for all answers:
    /// asks again where a question was cut off, asks balancers that appear, waits for those that failed within
    /// the last minute, whose data plane may serve on, and drops those that ended theirs. Says who confirmed, and
    /// who did not until the deadline.
    pub async fn wait_drained(&self, deadline: Duration) -> Drained {
        drained::wait(self.views.clone(), self.speaker.clone(), self.started, deadline, false).await
    }

    /// The same, and waits until they have taken in what does not drain as well; not for those that failed.
    pub async fn wait_serving(&self, deadline: Duration) -> Drained {
        drained::wait(self.views.clone(), self.speaker.clone(), self.started, deadline, true).await
    }

    /// At a balancer, once: the questions of agents that leave.
    pub fn drain_questions(&self) -> Option<mpsc::Receiver<DrainQuestion>> {
        self.drains.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// At a balancer: all members whose checks by its data plane fail now, though they passed before. Those that are
    /// new are asked in person, a few at a time; nothing else follows from it.
    pub async fn failing(&self, members: BTreeSet<NodeName>) -> Result<(), Error> {
        Ok(self.mailbox.send(Command::Failing(members)).await?)
    }

    pub(super) fn joiner(&self) -> Joiner {
        Joiner { speaker: self.speaker.clone(), mailbox: self.mailbox.clone(), counters: Arc::clone(&self.counters) }
    }
}
