//! Agents that leave ask whether the data plane has let go of them; here they wait for the answer.

use std::time::Duration;

use backchat_contract::{Desired, Driver, EndpointState, Idle};

use super::{inbox::Question, schedule::Outcome};
use crate::model::{Snapshot, guard::node_of};

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
            if heard(&question, known) && let_go(&question, driver, observed, live) {
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
            Outcome::Recheck(after) if !self.0.is_empty() => Outcome::Recheck(after.min(HURRY)),
            other => other,
        }
    }
}

/// Whether the record that is asked about has come.
fn heard(question: &Question, known: &[Snapshot]) -> bool {
    let mut members = known.iter().filter_map(|s| s.members.get(&question.node));
    members.any(|m| m.record.as_ref().is_some_and(|r| r.age() >= question.age))
}

/// Whether every endpoint of the node is out or drained, with nothing in flight.
fn let_go<D: Driver>(question: &Question, driver: &D, observed: &D::Observed, live: &Desired) -> bool {
    let mut of_node = live.endpoints().filter(|(id, _)| node_of(id).as_ref() == Some(&question.node));
    of_node.all(|(id, e)| e.state == EndpointState::Drain && driver.idle(observed, &id) == Idle::Yes)
}
