//! The guard: which removals may happen now, and which are held back because it may be this node that is cut
//! off. Additions, drains by a member's own word and graceful leaves always pass.
//!
//! It judges by evidence; how that is found is none of its business.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Cut, Desired, Endpoint, EndpointId, EndpointState, Evidence, Held, NodeName, Service, ServiceName, owner::node_of,
    short_id,
};

/// What may be applied now of `next`, and what is held back and why.
pub fn guard(live: &Desired, next: Desired, evidence: &Evidence) -> (Desired, Vec<Held>) {
    let mut out = next;
    let mut held: BTreeMap<ServiceName, Vec<EndpointId>> = BTreeMap::new();
    // Before all is synced nothing is judged: everything stays.
    let cut_off = evidence.synced && evidence.cut != Cut::No;
    let mut kept: BTreeSet<ServiceName> = BTreeSet::new();
    for (id, endpoint) in live.endpoints() {
        if out.endpoint(&id).is_some() || taken_over(&out, &id, live) {
            continue;
        }
        let node = node_of(&id).filter(|_| !evidence.listed.contains(&id));
        let is = |set: &BTreeSet<NodeName>| node.as_ref().is_some_and(|n| set.contains(n));
        let absent = is(&evidence.silent) || is(&evidence.returning);
        let short = || evidence.synced && falls_short(&out, &id.service, evidence);
        let keep = absent && !evidence.released.contains(&id) && (cut_off || short());
        if keep {
            held.entry(id.service.clone()).or_default().push(id.clone());
        }
        if keep || !evidence.synced || is(&evidence.unread) || is(&evidence.unheard) {
            let protocol = live.services.get(&id.service).map_or_else(Default::default, |s| s.protocol);
            let service = out.services.entry(id.service.clone());
            let service = service.or_insert_with(|| Service { protocol, ..Service::default() });
            // One that a suspicion drained serves by its own word: it is to count among those that stay.
            let state = if keep && evidence.serving.contains(&id) { EndpointState::Ready } else { endpoint.state };
            service.endpoints.insert(id.endpoint.clone(), Endpoint { state, ..endpoint.clone() });
            kept.insert(id.service);
        }
    }
    keep_routes(live, &mut out, &kept, evidence.synced);
    if cut_off {
        undo_drains(&mut out, evidence);
    }
    let held = held.into_iter().map(|(service, endpoints)| describe(&service, endpoints, live, evidence)).collect();
    (out, held)
}

/// Who is only silent, and would serve by its own word, is not drained by a node that may be the one cut off.
fn undo_drains(out: &mut Desired, evidence: &Evidence) {
    for id in evidence.serving.difference(&evidence.released) {
        let service = out.services.get_mut(&id.service);
        if let Some(endpoint) = service.and_then(|service| service.endpoints.get_mut(&id.endpoint)) {
            endpoint.state = EndpointState::Ready;
        }
    }
}

/// Whether fewer of a service would be ready than the operator wants to stay, those that were kept so far among them.
fn falls_short(out: &Desired, service: &ServiceName, evidence: &Evidence) -> bool {
    evidence.floors.get(service).is_some_and(|floor| out.ready(service) < *floor)
}

/// Whether another endpoint of the service has the address now: a node that was replaced is no loss.
fn taken_over(next: &Desired, id: &EndpointId, live: &Desired) -> bool {
    let addr = live.endpoint(id).map(|e| e.addr);
    next.services.get(&id.service).is_some_and(|s| s.endpoints.values().any(|e| Some(e.addr) == addr))
}

/// The routes of a service stay with the endpoints that were kept, and all of them until all is synced; one that
/// another service has now is gone.
fn keep_routes(live: &Desired, out: &mut Desired, kept: &BTreeSet<ServiceName>, synced: bool) {
    for (route, name) in live.routes.iter().filter(|(_, name)| !synced || kept.contains(name)) {
        let Some(service) = live.services.get(name) else { continue };
        let empty = || Service { protocol: service.protocol, ..Service::default() };
        out.services.entry(name.clone()).or_insert_with(empty);
        out.routes.entry(route.clone()).or_insert_with(|| name.clone());
    }
}

fn describe(service: &ServiceName, endpoints: Vec<EndpointId>, live: &Desired, evidence: &Evidence) -> Held {
    // Of the service alone, so that it stays the same while the hold lasts.
    let id = short_id('h', service.as_str());
    let all = live.services.get(service).map_or(0, |s| s.endpoints.len());
    let (silent, living) = (evidence.silent.len(), evidence.living);
    let why = match evidence.cut {
        Cut::No => format!("they do not answer us, and min-ready is {}", evidence.floors.get(service).unwrap_or(&0)),
        Cut::Healing(_) => "enough others are back; it may be on its way back too".to_owned(),
        Cut::Likely if living <= 1 => {
            format!("{silent} of {} members do not answer us; nobody else is heard", silent + living)
        }
        Cut::Likely => format!("{silent} of {} members do not answer us; limit half", silent + living),
    };
    Held {
        why: format!("{} of {all} endpoints of {service}: {why}", endpoints.len()),
        since: evidence.before.iter().find(|h| h.id == id).map_or(evidence.now, |h| h.since),
        id,
        endpoints,
    }
}

#[cfg(test)]
mod tests;
