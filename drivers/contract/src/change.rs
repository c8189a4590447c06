//! The difference between two desired sets, change by change: what a plan shows, whatever the driver.

use serde::Serialize;

use crate::desired::{Desired, Endpoint, EndpointId, EndpointState, Route};

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is.
    pub kind: ChangeKind,
    /// What would happen to it.
    pub action: Action,
    /// `web/web1`, `shop.example.com/`, `web`.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// A server of a service.
    Endpoint,
    /// A host and path.
    Route,
    /// A service as a whole.
    Service,
}

/// What would happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
    /// In words: `failed 4 s ago`.
    pub text: String,
}

/// Whether a change would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeStatus {
    /// Yes.
    Planned,
    /// No: the guard keeps what is there.
    Held,
    /// No: somebody else has it.
    Refused,
}

/// What differs between what is live and what is next, sorted by kind and id.
pub fn diff(live: &Desired, next: &Desired) -> Vec<Change> {
    let mut changes: Vec<Change> =
        endpoints(live, next).chain(routes(live, next)).chain(services(live, next)).collect();
    changes.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
    changes
}

fn change(
    kind: ChangeKind,
    action: Action,
    id: &impl ToString,
    before: Option<String>,
    after: Option<String>,
) -> Change {
    Change { kind, action, id: id.to_string(), before, after, reason: None, status: ChangeStatus::Planned }
}

fn endpoints<'a>(live: &'a Desired, next: &'a Desired) -> impl Iterator<Item = Change> + 'a {
    let gone = live.endpoints().filter(|(id, _)| next.endpoint(id).is_none());
    let gone = gone.map(|(id, e)| change(ChangeKind::Endpoint, Action::Remove, &id, Some(words(e)), None));
    gone.chain(next.endpoints().filter_map(|(id, e)| endpoint(&id, live.endpoint(&id), e)))
}

fn endpoint(id: &EndpointId, before: Option<&Endpoint>, after: &Endpoint) -> Option<Change> {
    let action = match before {
        None => Action::Add,
        Some(before) if before == after => return None,
        Some(before) if before.state == EndpointState::Ready && after.state == EndpointState::Drain => Action::Drain,
        Some(_) => Action::Update,
    };
    Some(change(ChangeKind::Endpoint, action, id, before.map(words), Some(words(after))))
}

fn words(e: &Endpoint) -> String {
    let drain = if e.state == EndpointState::Drain { "  drain" } else { "" };
    format!("{}  weight {}{drain}", e.addr, e.weight)
}

fn routes<'a>(live: &'a Desired, next: &'a Desired) -> impl Iterator<Item = Change> + 'a {
    let gone = live.routes.iter().filter(|(route, _)| !next.routes.contains_key(route));
    let gone = gone.map(|(route, s)| change(ChangeKind::Route, Action::Remove, route, Some(s.to_string()), None));
    gone.chain(next.routes.iter().filter_map(|(route, service)| {
        let before = live.routes.get::<Route>(route);
        let action = match before {
            None => Action::Add,
            Some(before) if before == service => return None,
            Some(_) => Action::Update,
        };
        Some(change(ChangeKind::Route, action, route, before.map(ToString::to_string), Some(service.to_string())))
    }))
}

fn services<'a>(live: &'a Desired, next: &'a Desired) -> impl Iterator<Item = Change> + 'a {
    let gone = live.services.keys().filter(|name| !next.services.contains_key(name));
    let gone = gone.map(|name| change(ChangeKind::Service, Action::Remove, name, Some("here".into()), None));
    let new = next.services.keys().filter(|name| !live.services.contains_key(name));
    gone.chain(new.map(|name| change(ChangeKind::Service, Action::Add, name, None, Some("new".into()))))
}
