//! What becomes of the desired set: endpoints and routes that come, change and go, with why.

use std::collections::BTreeMap;

use backchat_contract::{Action, Change, ChangeKind, diff};

use super::{Event, What};
use crate::model::{
    Desired, Endpoint, EndpointId, EndpointState, Ledger, Moment, Snapshot, Status, owner::node_of, reasons,
};

/// Endpoints of one service that are told one by one; more at once are told as a number.
const SINGLY: usize = 64;

/// What is another in the set that should be. What was found at the first look is no news.
pub(super) fn changes(before: &Status, after: &Status, members: &Snapshot, now: Moment) -> Vec<Event> {
    if before.ledger.is_none() || before.desired == after.desired {
        return Vec::new();
    }
    let mut changes = diff(&before.desired, &after.desired);
    let nothing = Ledger::default();
    let known = reasons::Known {
        snapshots: std::slice::from_ref(members),
        next: &after.desired,
        ours: None,
        ledger: after.ledger.as_deref().unwrap_or(&nothing),
        before: before.ledger.as_deref().unwrap_or(&nothing),
        flapping: &after.flapping,
        in_flight: &|_| None,
        now,
    };
    known.explain(&mut changes);
    let mut of_services: BTreeMap<_, usize> = BTreeMap::new();
    for id in changes.iter().filter_map(endpoint) {
        *of_services.entry(id.service).or_default() += 1;
    }
    of_services.retain(|_, count| *count > SINGLY);
    let many = of_services.iter().map(|(service, count)| {
        Event::new(What::Endpoints { count: *count }, service, format!("{count} endpoints change at once"))
    });
    let singly = |change: &Change| match endpoint(change) {
        Some(id) if of_services.contains_key(&id.service) => None,
        Some(id) => Some(of_endpoint(before, after, &id, change)),
        None => of_route(change),
    };
    many.chain(changes.iter().filter_map(singly)).collect()
}

/// The endpoint that a change is about.
fn endpoint(change: &Change) -> Option<EndpointId> {
    let (service, endpoint) = change.id.split_once('/').filter(|_| change.kind == ChangeKind::Endpoint)?;
    Some(EndpointId { service: service.parse().ok()?, endpoint: endpoint.parse().ok()? })
}

fn of_endpoint(before: &Status, after: &Status, id: &EndpointId, change: &Change) -> Event {
    let text = words(&before.desired, &after.desired, id);
    let event = Event::new(What::Endpoint { change: change.action }, id, text);
    let ledgers = [after, before].map(|status| status.ledger.as_ref());
    let listed = ledgers.into_iter().flatten().find_map(|ledger| ledger.listed.get(id));
    // What should be does not drift: where the member is forgotten there is nothing to say.
    let reason = change.reason.as_ref().filter(|reason| reason.code != "drift");
    match (listed, reason) {
        (Some(source), _) => event.so(source.to_string()),
        (None, Some(why)) => {
            Event { node: why.node.clone().or(node_of(id).map(|n| n.to_string())), ..event }.so(&why.text)
        }
        (None, None) => event,
    }
}

/// `ready → drain`, `weight 100 → 50`.
fn words(before: &Desired, after: &Desired, id: &EndpointId) -> String {
    let drain = |e: &Endpoint| if e.state == EndpointState::Drain { ", drain" } else { "" };
    match (before.endpoint(id), after.endpoint(id)) {
        (None, Some(e)) => format!("in at {}, weight {}{}", e.addr, e.weight, drain(e)),
        (Some(_), None) => "out".to_owned(),
        (Some(b), Some(a)) => {
            let state = (b.state != a.state).then(|| format!("{} → {}", b.state, a.state));
            let addr = (b.addr != a.addr).then(|| format!("{} → {}", b.addr, a.addr));
            let weight = (b.weight != a.weight).then(|| format!("weight {} → {}", b.weight, a.weight));
            [state, addr, weight].into_iter().flatten().collect::<Vec<_>>().join(", ")
        }
        (None, None) => String::new(),
    }
}

fn of_route(change: &Change) -> Option<Event> {
    let route = &change.id;
    let text = match (&change.before, &change.after) {
        _ if change.kind != ChangeKind::Route => return None,
        (None, Some(to)) => format!("{route} → {to}"),
        (Some(from), Some(to)) => format!("{route} → {to}, was {from}"),
        (_, None) => format!("{route} is gone"),
    };
    Some(Event::new(What::Route { route: route.clone(), change: change.action }, "route", text))
}

/// The same, where it is told with what its member did: `drain web/web3`.
pub(super) fn in_passing(event: &Event) -> Option<String> {
    let What::Endpoint { change } = event.what else { return None };
    Some(match change {
        Action::Add => format!("add {}", event.subject),
        Action::Drain => format!("drain {}", event.subject),
        Action::Remove => format!("remove {}", event.subject),
        Action::Update => format!("{} {}", event.subject, event.text),
    })
}
