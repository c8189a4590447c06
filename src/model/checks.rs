//! Whose endpoints fail the data plane's own checks though they passed them before. One that was added a moment ago
//! has passed none yet, which says nothing of its member.

use std::collections::BTreeSet;

use super::{Desired, EndpointId, EndpointState, NodeName, owner::node_of};

/// Which endpoints were seen to pass.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    passed: BTreeSet<EndpointId>,
}

impl Checks {
    /// The members of those that fail now, out of what is live and which of that is down.
    pub fn failing(&mut self, live: &Desired, down: &BTreeSet<EndpointId>) -> BTreeSet<NodeName> {
        let ready = live.endpoints().filter(|(_, e)| e.state == EndpointState::Ready).map(|(id, _)| id);
        self.passed = ready.filter(|id| !down.contains(id) || self.passed.contains(id)).collect();
        down.intersection(&self.passed).filter_map(node_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, Service, Weight};

    fn id(name: &str) -> EndpointId {
        EndpointId { service: "web".parse().unwrap(), endpoint: name.parse().unwrap() }
    }

    fn live(all: &[(&str, EndpointState)]) -> Desired {
        let endpoint = |(nth, (name, state)): (usize, &(&str, EndpointState))| {
            let addr = format!("10.0.0.{}:80", nth + 1).parse::<std::net::SocketAddr>().unwrap().try_into().unwrap();
            (id(name).endpoint, Endpoint { addr, weight: Weight::DEFAULT, state: *state })
        };
        let endpoints = all.iter().enumerate().map(endpoint).collect();
        let service = Service { endpoints, ..Service::default() };
        Desired { services: [(id("a").service, service)].into(), ..Desired::default() }
    }

    #[track_caller]
    fn check(checks: &mut Checks, all: &[(&str, EndpointState)], down: &[&str], failing: &[&str]) {
        let names: Vec<_> =
            checks.failing(&live(all), &down.iter().map(|name| id(name)).collect()).into_iter().collect();
        assert_eq!(names.iter().map(NodeName::as_str).collect::<Vec<_>>(), failing, "{down:?} of {all:?}");
    }

    #[test]
    fn who_passed_before_fails() {
        use EndpointState::{Drain, Ready};
        let mut checks = Checks::default();
        check(&mut checks, &[("a", Ready), ("b:81", Ready)], &["a"], &[]);
        check(&mut checks, &[("a", Ready), ("b:81", Ready)], &["a", "b:81"], &["b"]);
        check(&mut checks, &[("a", Ready), ("b:81", Ready)], &["b:81"], &["b"]);
        check(&mut checks, &[("a", Ready), ("b:81", Ready)], &["a", "b:81"], &["a", "b"]);
        // What left, or was taken from the requests, begins anew.
        check(&mut checks, &[("a", Drain)], &[], &[]);
        check(&mut checks, &[("a", Ready), ("b:81", Ready)], &["a", "b:81"], &[]);
    }

    /// Several endpoints of one node are one member.
    #[test]
    fn a_node_is_named_once() {
        use EndpointState::Ready;
        let mut checks = Checks::default();
        check(&mut checks, &[("a:80", Ready), ("a:81", Ready)], &[], &[]);
        check(&mut checks, &[("a:80", Ready), ("a:81", Ready)], &["a:80", "a:81"], &["a"]);
    }
}
