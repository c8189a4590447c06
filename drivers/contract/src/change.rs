//! The difference between two desired sets, change by change: what a plan shows, whatever the driver.

use std::{cmp::Ordering, collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    certificate::Certificate,
    desired::{Desired, Endpoint, EndpointState, Protocol, Service},
    digits::{push_addr, push_number},
    names::{EndpointName, ServiceName},
};

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is.
    pub kind: ChangeKind,
    /// What would happen to it.
    pub action: Action,
    /// `web/web1`, `shop.example.com/`, `web`, `www.example.com`.
    pub id: String,
    /// As it is, in words; `None` where it is not there.
    pub before: Option<String>,
    /// As it would be; `None` where it goes.
    pub after: Option<String>,
    /// Why, where it is known.
    pub reason: Option<Reason>,
    /// Whether it would be done.
    pub status: ChangeStatus,
}

/// What a change is about. The order is the order of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// A server of a service.
    Endpoint,
    /// A host and path.
    Route,
    /// A service as a whole.
    Service,
    /// What TLS is spoken by for some hosts.
    Certificate,
}

/// What would happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It comes.
    Add,
    /// It changes.
    Update,
    /// It changes so that it takes no new requests.
    Drain,
    /// It goes.
    Remove,
}

/// Why something changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// A short code for programs: `joined`, `failed`, `suspect`, `left`, `record`, `drift`, `hold`, `conflict`.
    pub code: &'static str,
    /// Who caused it.
    pub node: Option<String>,
    /// How long ago it came about, where that is known.
    pub ago: Option<Duration>,
    /// In words: `failed 4 s ago`.
    pub text: String,
}

/// Whether a change would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeStatus {
    /// Yes.
    Planned,
    /// Not yet: what the plan waits for stands against it.
    Waiting,
    /// No: the guard keeps what is there.
    Held,
    /// No: somebody else has it.
    Refused,
}

/// What differs between what is live and what is next, in a plan's order.
pub fn diff(live: &Desired, next: &Desired) -> Vec<Change> {
    let mut changes: Vec<Change> = endpoints(live, next)
        .chain(routes(live, next))
        .chain(services(live, next))
        .chain(certificates(live, next))
        .collect();
    sort(&mut changes);
    changes
}

/// The same where a plan does not get all the way: what it leads to, and what waits beyond that.
pub fn diff_by_way_of(live: &Desired, reached: &Desired, next: &Desired) -> Vec<Change> {
    let mut changes = diff(live, reached);
    changes.extend(waiting(reached, next));
    sort(&mut changes);
    changes
}

/// What differs, none of which is done yet.
pub fn waiting(live: &Desired, next: &Desired) -> Vec<Change> {
    let waits = |change| Change { status: ChangeStatus::Waiting, ..change };
    let mut changes: Vec<Change> = diff(live, next).into_iter().map(waits).collect();
    sort(&mut changes);
    changes
}

/// A plan's order: by kind; what comes, what changes, what goes, what is not done; by id.
pub fn sort(changes: &mut [Change]) {
    changes.sort_by(|a, b| (a.kind, a.rank(), &a.id).cmp(&(b.kind, b.rank(), &b.id)));
}

impl Change {
    fn rank(&self) -> u8 {
        match (self.status, self.action) {
            (ChangeStatus::Planned, Action::Add) => 0,
            (ChangeStatus::Planned, Action::Update | Action::Drain) => 1,
            (ChangeStatus::Planned, Action::Remove) => 2,
            (ChangeStatus::Waiting | ChangeStatus::Held | ChangeStatus::Refused, _) => 3,
        }
    }
}

fn change(kind: ChangeKind, action: Action, id: String, before: Option<String>, after: Option<String>) -> Change {
    Change { kind, action, id, before, after, reason: None, status: ChangeStatus::Planned }
}

/// The keys of both, in order, with what each side has: one walk, however few of them differ.
fn beside<'a, K: Ord, V>(
    live: &'a BTreeMap<K, V>,
    next: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, Option<&'a V>, Option<&'a V>)> {
    let (mut live, mut next) = (live.iter().peekable(), next.iter().peekable());
    std::iter::from_fn(move || {
        let order = match (live.peek(), next.peek()) {
            (Some((before, _)), Some((after, _))) => before.cmp(after),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        let before = if order.is_le() { live.next() } else { None };
        let after = if order.is_ge() { next.next() } else { None };
        let (key, _) = before.or(after)?;
        Some((key, before.map(|(_, value)| value), after.map(|(_, value)| value)))
    })
}

fn endpoints<'a>(live: &'a Desired, next: &'a Desired) -> impl Iterator<Item = Change> + 'a {
    beside(&live.services, &next.services).flat_map(|(service, before, after)| {
        let of = |side: Option<&'a Service>| side.map_or(&NONE, |service| &service.endpoints);
        let differ = beside(of(before), of(after)).filter_map(|(endpoint, before, after)| {
            let action = endpoint_action(before, after)?;
            let id = [service.as_str(), "/", endpoint.as_str()].concat();
            Some(change(ChangeKind::Endpoint, action, id, before.map(words), after.map(words)))
        });
        differ.collect::<Vec<_>>()
    })
}

/// What a service that is not there has.
static NONE: BTreeMap<EndpointName, Endpoint> = BTreeMap::new();

/// What is to be done; `None` where nothing is.
fn action<V: PartialEq>(before: Option<&V>, after: Option<&V>) -> Option<Action> {
    match (before, after) {
        (None, Some(_)) => Some(Action::Add),
        (Some(_), None) => Some(Action::Remove),
        (before, after) => (before != after).then_some(Action::Update),
    }
}

fn endpoint_action(before: Option<&Endpoint>, after: Option<&Endpoint>) -> Option<Action> {
    let drains = |side: Option<&Endpoint>| side.is_some_and(|e| e.state == EndpointState::Drain);
    match action(before, after)? {
        Action::Update if drains(after) && !drains(before) => Some(Action::Drain),
        other => Some(other),
    }
}

/// An endpoint in the words of a change: `10.0.0.7:8080  weight 100  drain`.
pub fn words(e: &Endpoint) -> String {
    let mut text = String::with_capacity(48);
    push_addr(&mut text, e.addr.get());
    text.push_str("  weight ");
    push_number(&mut text, e.weight.get().into());
    if e.state == EndpointState::Drain {
        text.push_str("  drain");
    }
    text
}

fn routes<'a>(live: &'a Desired, next: &'a Desired) -> impl Iterator<Item = Change> + 'a {
    beside(&live.routes, &next.routes).filter_map(|(route, before, after)| {
        let action = action(before, after)?;
        let said = |side: Option<&ServiceName>| side.map(ToString::to_string);
        Some(change(ChangeKind::Route, action, route.to_string(), said(before), said(after)))
    })
}

fn services<'a>(live: &'a Desired, next: &'a Desired) -> impl Iterator<Item = Change> + 'a {
    beside(&live.services, &next.services).filter_map(|(name, before, after)| {
        let (before, after) = (before.map(|service| service.protocol), after.map(|service| service.protocol));
        let action = action(before.as_ref(), after.as_ref())?;
        let said = |side: Option<Protocol>| side.map(|protocol| protocol.to_string());
        Some(change(ChangeKind::Service, action, name.to_string(), said(before), said(after)))
    })
}

fn certificates<'a>(live: &'a Desired, next: &'a Desired) -> impl Iterator<Item = Change> + 'a {
    beside(&live.certificates, &next.certificates).filter_map(|(name, before, after)| {
        let action = action(before, after)?;
        let said = |side: Option<&Certificate>| side.map(Certificate::words);
        Some(change(ChangeKind::Certificate, action, name.to_string(), said(before), said(after)))
    })
}
