//! What a balancer would bring its data plane to: its snapshots through `desired` and `guard`, and each change
//! of an endpoint that comes of it.

use std::collections::BTreeSet;

use backchat::model::{
    Cut, Desired, EndpointId, EndpointState, Evidence, Held, Ledger, Moment, NodeName, Policy, Snapshot, Windows,
    desired, guard,
};

/// The live set of one balancer, and its history.
#[derive(Default)]
pub(super) struct Plane {
    live: Desired,
    ledger: Ledger,
    held: Vec<Held>,
    cut: Cut,
    pub(super) policy: Policy,
    pub(super) changes: Vec<Change>,
}

/// An endpoint is another now.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) at: Moment,
    pub(super) node: NodeName,
    /// `None` where it is gone.
    pub(super) state: Option<EndpointState>,
}

impl Plane {
    /// What follows from a snapshot, applied at once.
    pub(super) fn follow(&mut self, snapshot: &Snapshot, now: Moment) {
        let known = std::slice::from_ref(snapshot);
        let (next, ledger, _) = desired(known, &self.policy, &self.ledger, now);
        let (before, released) = ((std::mem::take(&mut self.held), self.cut), BTreeSet::new());
        let times = (Moment::ZERO, now);
        let evidence = Evidence::gather(known, &self.live, before, released, times, Windows::default());
        let (next, held) = guard(&self.live, next, &evidence);
        let gone = self.live.endpoints().filter(|(id, _)| next.endpoint(id).is_none()).map(|(id, _)| (id, None));
        let was = |id: &EndpointId| self.live.endpoint(id).map(|e| e.state);
        let other = next.endpoints().map(|(id, e)| (id, Some(e.state))).filter(|(id, state)| was(id) != *state);
        let changes = gone.chain(other).filter_map(|(id, state)| Some(Change { at: now, node: node_of(&id)?, state }));
        self.changes.extend(changes.collect::<Vec<_>>());
        (self.live, self.ledger, self.held, self.cut) = (next, ledger, held, evidence.cut);
    }

    /// Whether new requests go to a node.
    pub(super) fn serves(&self, node: &NodeName) -> bool {
        self.live.endpoints().any(|(id, e)| e.state == EndpointState::Ready && node_of(&id).as_ref() == Some(node))
    }

    /// Whether the guard holds anything.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }
}

/// Whose endpoint it is.
fn node_of(id: &EndpointId) -> Option<NodeName> {
    id.endpoint.as_str().split(':').next()?.parse().ok()
}
