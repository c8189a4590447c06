//! A service on its way to the desired set: its endpoints, whose word each is, and which of them drain or stay out.

use std::{cmp::Reverse, collections::BTreeMap};

use super::serving::{By, Serving};
use crate::model::{
    Endpoint, EndpointAddr, EndpointId, EndpointName, EndpointState, Listed, Liveness, Member, Moment, NodeName,
    Rejection, Service, ServiceName, SourceName, Verdict, flaps::Flaps, owner::node_of_name,
};

/// A service on its way, with what decides which suspects drain.
#[derive(Default)]
pub(super) struct Draft<'a> {
    pub(super) service: Service,
    suspects: Vec<(Moment, EndpointName)>,
    /// Whose word each endpoint is; the ones held down included.
    origins: BTreeMap<EndpointName, Origin<'a>>,
    addrs: BTreeMap<EndpointAddr, EndpointName>,
}

/// Whose word an endpoint is.
#[derive(Clone, Copy)]
struct Origin<'a> {
    source: &'a SourceName,
    listed: bool,
}

/// The services with all that is said of them; of two that say the same name or address, the first is taken.
pub(super) fn drafts<'a>(serving: &[Serving<'a>], refused: &mut Vec<Rejection>) -> BTreeMap<ServiceName, Draft<'a>> {
    let mut offered: BTreeMap<(&ServiceName, &NodeName), usize> = BTreeMap::new();
    for s in serving {
        if let Some(member) = s.member() {
            *offered.entry((s.service(), &member.name)).or_default() += 1;
        }
    }
    let mut drafts: BTreeMap<ServiceName, Draft<'a>> = BTreeMap::new();
    for s in serving {
        let draft = drafts.entry(s.service().clone()).or_default();
        match &s.by {
            By::Member { member, offer, addr, state } => {
                let several = offered.get(&(&offer.service, &member.name)).is_some_and(|n| *n > 1);
                let name = endpoint_name(&member.name, several.then_some(offer.port));
                let endpoint = Endpoint { addr: *addr, weight: offer.weight, state: *state };
                if let Err(why) = draft.offer(name, endpoint, member, s.source) {
                    refused.push(s.refused("duplicate", why));
                }
            }
            By::List { listed, .. } => draft.list(listed, s, refused),
        }
    }
    drafts
}

fn endpoint_name(node: &NodeName, port: Option<u16>) -> EndpointName {
    let Some(port) = port else { return EndpointName::from(node) };
    let name = format!("{node}:{port}");
    name.parse().expect("a node name, a colon and a port are an endpoint name")
}

impl<'a> Draft<'a> {
    /// Whether somebody says that there is an endpoint of this name.
    pub(super) fn has(&self, name: &EndpointName) -> bool {
        self.origins.contains_key(name)
    }

    /// The endpoints that are a file's to say.
    pub(super) fn listed(&self) -> impl Iterator<Item = (&EndpointName, &'a SourceName)> {
        self.origins.iter().filter(|(_, origin)| origin.listed).map(|(name, origin)| (name, origin.source))
    }

    fn offer(
        &mut self,
        name: EndpointName,
        endpoint: Endpoint,
        member: &Member,
        source: &'a SourceName,
    ) -> Result<(), String> {
        let unheard = matches!(member.verdict, Verdict::Refused | Verdict::Silent);
        let suspect = member.liveness == Liveness::Suspect && unheard && endpoint.state == EndpointState::Ready;
        self.take(&name, endpoint, Origin { source, listed: false })?;
        if suspect {
            self.suspects.push((member.since, name));
        }
        Ok(())
    }

    fn list(&mut self, listed: &Listed, s: &Serving<'a>, refused: &mut Vec<Rejection>) {
        let origin = Origin { source: s.source, listed: true };
        for (name, e) in &listed.endpoints {
            let endpoint = Endpoint { addr: e.addr, weight: e.weight, state: e.state };
            if let Err(why) = self.take(name, endpoint, origin) {
                let subject = format!("endpoint {}/{name}", s.service());
                let (node, service) = (e.place.of(s.source), Some(s.service().clone()));
                refused.push(Rejection { node, subject, service, why, code: "duplicate" });
            }
        }
    }

    /// Takes an endpoint, unless its name or its address is another's.
    fn take(&mut self, name: &EndpointName, endpoint: Endpoint, origin: Origin<'a>) -> Result<(), String> {
        if let Some(first) = self.origins.get(name) {
            return Err(format!("{} says where {name} is", first.source));
        }
        if let Some(first) = self.addrs.get(&endpoint.addr) {
            return Err(format!("{} is {first}'s address", endpoint.addr));
        }
        self.addrs.insert(endpoint.addr, name.clone());
        self.origins.insert(name.clone(), origin);
        self.service.endpoints.insert(name.clone(), endpoint);
        Ok(())
    }

    /// Those that come and go stay out, the longest held down first: at most a third of those that are ready (at least
    /// one), and only while another is ready that is no suspect. One that is needed is let in until it comes back
    /// again: an endpoint that flaps is better than none, and one that serves is not taken out for the sake of a share.
    pub(super) fn hold_down(&mut self, service: &ServiceName, flaps: &mut Flaps, now: Moment) {
        let ready = self.service.endpoints.iter().filter(|(_, e)| e.state == EndpointState::Ready);
        let ready: Vec<EndpointName> = ready.map(|(name, _)| name.clone()).collect();
        let held = |name: &EndpointName| {
            if self.origins.get(name).is_some_and(|origin| origin.listed) {
                return None;
            }
            let id = EndpointId { service: service.clone(), endpoint: name.clone() };
            let node = node_of_name(name)?;
            flaps.holds(&node, &id, now).map(|left| (Reverse(left), node, id))
        };
        let mut candidates: Vec<_> = ready.iter().filter_map(held).collect();
        let is_sound = |name: &EndpointName| {
            !self.suspects.iter().any(|(_, suspect)| suspect == name)
                && !candidates.iter().any(|c| c.2.endpoint == *name)
        };
        let limit = if ready.iter().any(is_sound) { (ready.len() / 3).max(1) } else { 0 };
        candidates.sort();
        for (nth, (_, node, id)) in candidates.into_iter().enumerate() {
            if nth < limit {
                self.service.endpoints.remove(&id.endpoint);
                self.suspects.retain(|(_, suspect)| *suspect != id.endpoint);
            }
            flaps.note(&node, &id, nth < limit, now);
        }
    }

    /// Suspects that do not answer drain, the longest suspected first: at most a third of those that are ready
    /// (at least one), never the last, and never so many that fewer than `min_ready` are left. A suspicion is cheap to be wrong about only while others serve.
    pub(super) fn drain_suspects(&mut self, min_ready: usize) {
        let ready = self.service.endpoints.values().filter(|e| e.state == EndpointState::Ready).count();
        let limit = (ready / 3).max(1).min(ready.saturating_sub(min_ready.max(1)));
        self.suspects.sort();
        for (_, name) in self.suspects.iter().take(limit) {
            if let Some(endpoint) = self.service.endpoints.get_mut(name) {
                endpoint.state = EndpointState::Drain;
            }
        }
    }
}
