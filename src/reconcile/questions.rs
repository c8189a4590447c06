//! Nodes ask whether the data plane has followed what they say: let go of what drains, taken back what serves. Here
//! they wait for the answer.

use std::{collections::BTreeSet, time::Duration};

use backchat_contract::{Desired, Driver, Endpoint, EndpointId, EndpointState, Idle};

use super::{inbox::Question, schedule::Outcome};
use crate::model::{NodeName, RawRecord, Snapshot, State, owner::node_of};

/// Questions that wait at one time; the oldest give way, and their askers ask again.
const MOST: usize = 1024;
/// How soon the data plane is looked at again while somebody waits.
const HURRY: Duration = Duration::from_millis(20);

/// The open questions.
#[derive(Debug, Default)]
pub(super) struct Questions(Vec<Question>);

impl Questions {
    pub(super) fn ask(&mut self, question: Question) {
        self.0.retain(|q| !q.answer.is_closed());
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(question);
    }

    /// Answers those whose drain was read back and is idle. After a step that ended well the drain is in the
    /// file too; after one that failed elsewhere the file may lag behind, and the agent is not made to wait for
    /// another service's bad luck.
    pub(super) fn settle<D: Driver>(&mut self, driver: &D, observed: &D::Observed, live: &Desired, known: &[Snapshot]) {
        let open = std::mem::take(&mut self.0);
        for question in open.into_iter().filter(|q| !q.answer.is_closed()) {
            if heard(&question, known).is_some_and(|record| followed(&question, record, driver, observed, live)) {
                // The asker may be gone: then nobody needs the answer.
                let _gone = question.answer.send(true);
            } else {
                self.0.push(question);
            }
        }
    }

    /// While somebody waits, look again soon.
    pub(super) fn hurry(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Converged if !self.0.is_empty() => Outcome::Recheck(HURRY),
            Outcome::Recheck(after) | Outcome::PutOff(after) if !self.0.is_empty() => {
                Outcome::Recheck(after.min(HURRY))
            }
            other => other,
        }
    }
}

/// The record that is asked about, or a newer one.
fn heard<'a>(question: &Question, known: &'a [Snapshot]) -> Option<&'a RawRecord> {
    let members = known.iter().filter_map(|s| s.members.get(&question.node));
    members.filter_map(|m| m.record.as_ref()).find(|record| record.age() >= question.age)
}

/// Whether every endpoint of the node that drains by its record is out or drained, with nothing in flight; and, where
/// that is asked, whether every other one serves.
fn followed<D: Driver>(
    question: &Question,
    record: &RawRecord,
    driver: &D,
    observed: &D::Observed,
    live: &Desired,
) -> bool {
    let let_go =
        |(id, e): &(EndpointId, &Endpoint)| e.state == EndpointState::Drain && driver.idle(observed, id) == Idle::Yes;
    let drains = |(id, _): &(EndpointId, &Endpoint)| record.is_draining(id.service.as_str());
    of_node(&question.node, live).filter(drains).all(|endpoint| let_go(&endpoint))
        && (!question.serves || serves(&question.node, record, live, &driver.down(observed)))
}

/// Whether every sound offer takes requests. One that another member or a rule keeps out never does, and is asked
/// about in vain: whoever asks has a deadline.
fn serves(node: &NodeName, record: &RawRecord, live: &Desired, down: &BTreeSet<EndpointId>) -> bool {
    let ready = |(id, e): &(EndpointId, &Endpoint)| e.state == EndpointState::Ready && !down.contains(id);
    let ready: BTreeSet<(String, u32)> = of_node(node, live)
        .filter(ready)
        .map(|(id, e)| (id.service.to_string(), u32::from(e.addr.get().port())))
        .collect();
    let wanted = record.services.iter().filter(|offer| offer.healthy && !record.is_draining(&offer.name));
    record.state == State::Serving && wanted.map(|o| (o.name.clone(), o.port)).all(|offer| ready.contains(&offer))
}

fn of_node<'a>(node: &'a NodeName, live: &'a Desired) -> impl Iterator<Item = (EndpointId, &'a Endpoint)> {
    live.endpoints().filter(move |(id, _)| node_of(id).as_ref() == Some(node))
}
