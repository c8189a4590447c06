//! Where everything should be: desired services on the backends that there are, and the layout of a new
//! structure. Pure.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use backchat_contract::{Desired, Endpoint, EndpointName, EndpointState, Policies, Protocol, Service, ServiceName};

use crate::{
    layout::{Admin, Backend, BackendName, Layout, Server, ServerId},
    observe::{Flavour, Observed},
};

/// What can be reached without a reload, and what cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The backends that are live, and what each should hold.
    pub layout: Layout,
    /// Services that have no backend.
    pub unplaced: Vec<ServiceName>,
    /// Services that have one which speaks the wrong protocol, or a spare and a policy that needs one of their own; they
    /// stay there until the structure changes.
    pub mismatched: Vec<ServiceName>,
}

/// What of the desired set is here to be held. Left out: names that are ours to give, routes to what is not here or
/// speaks no HTTP; and in somebody else's HAProxy, whose routes are its own, all but endpoints.
pub fn part<'a>(desired: &'a Desired, flavour: &Flavour) -> Cow<'a, Desired> {
    let http = |name| desired.services.get(name).is_some_and(|service| service.protocol == Protocol::Http);
    let is_all = !desired.services.keys().any(reserved) && desired.routes.values().all(http);
    if is_all && *flavour != Flavour::Attached {
        return Cow::Borrowed(desired);
    }
    Cow::Owned(some(desired, flavour))
}

fn some(desired: &Desired, flavour: &Flavour) -> Desired {
    let mut part = desired.clone();
    let attached = *flavour == Flavour::Attached;
    part.services.retain(|name, service| !(reserved(name) || attached && service.endpoints.is_empty()));
    let is_http =
        |name: &ServiceName| part.services.get(name).is_some_and(|service| service.protocol == Protocol::Http);
    part.routes.retain(|_, name| !attached && is_http(name));
    if attached {
        // What they speak there is the backend's to say.
        part.services.values_mut().for_each(|service| service.protocol = Protocol::default());
        part.certificates.clear();
    }
    part
}

/// How far commands alone lead: a service without a backend stays out, and one whose backend speaks something else goes
/// on speaking that.
pub fn reached(wanted: &Desired, live: &Desired, target: &Target) -> Desired {
    let mut reached = wanted.clone();
    for name in &target.unplaced {
        reached.services.remove(name);
    }
    for name in &target.mismatched {
        let now = live.services.get(name).map(|service| service.protocol);
        if let Some((service, now)) = reached.services.get_mut(name).zip(now) {
            service.protocol = now;
        }
    }
    reached
        .routes
        .retain(|_, name| reached.services.get(name).is_some_and(|service| service.protocol == Protocol::Http));
    reached
}

/// The desired set on the live backends.
pub fn runtime(desired: &Desired, observed: &Observed, flavour: &Flavour, policies: &Policies) -> Target {
    let mut target = Target::default();
    target.layout.generation = observed.layout.generation;
    let mut backends = emptied(&observed.layout);
    let placed = place(desired, observed, (flavour, policies), &mut target);
    for (service, name) in &placed {
        let (Some(backend), Some(wanted)) = (backends.get_mut(name), desired.services.get(service)) else { continue };
        backend.service = Some(service.clone());
        backend.servers = servers(wanted, observed, name, name);
    }
    target.layout.routes = routes(desired, &placed, &backends);
    target.layout.backends = backends;
    target.layout.certificates.clone_from(&desired.certificates);
    target
}

/// The desired set as it would be laid out anew: each service on a backend of its own name, all spares free.
/// Servers keep their numbers.
///
/// A reload brings every server up without asking it (haproxy/haproxy#2085). So only those that serve now come up
/// enabled; the others are in drain here, disabled in the file, and pass the gate afterwards like any newcomer. Where
/// that leaves a service nobody, those that serve it now and should leave come along until somebody is up.
pub fn structural(desired: &Desired, observed: &Observed, fresh: &Layout, generation: u64) -> Layout {
    laid_out(desired, observed, fresh, generation, |wanted, from| gated(wanted, &serving(observed, from)))
}

/// The same once all of it is up, where nothing was before: for who wants to see it without any HAProxy.
pub fn settled(desired: &Desired, fresh: &Layout, generation: u64) -> Layout {
    laid_out(desired, &Observed::default(), fresh, generation, |wanted, _| wanted)
}

type Servers = BTreeMap<EndpointName, Server>;

fn laid_out(
    desired: &Desired,
    observed: &Observed,
    fresh: &Layout,
    generation: u64,
    gate: impl Fn(Servers, &BackendName) -> Servers,
) -> Layout {
    let mut layout = Layout { generation, ..fresh.clone() };
    let now: BTreeMap<&ServiceName, &BackendName> = assigned(&observed.layout).collect();
    let mut placed = BTreeMap::new();
    for (service, wanted) in desired.services.iter().filter(|(service, _)| !reserved(service)) {
        let name = BackendName::from(service);
        let from = now.get(service).copied().unwrap_or(&name);
        let servers = gate(servers(wanted, observed, from, &name), from);
        let backend = Backend { service: Some(service.clone()), protocol: wanted.protocol, servers };
        layout.backends.insert(name.clone(), backend);
        placed.insert(service.clone(), name);
    }
    layout.routes = routes(desired, &placed, &layout.backends);
    layout.certificates.clone_from(&desired.certificates);
    layout
}

/// The servers of a live backend that take requests now.
fn serving(observed: &Observed, backend: &BackendName) -> BTreeMap<EndpointName, Server> {
    let live = observed.layout.backends.get(backend).into_iter().flat_map(|b| &b.servers);
    let up = |endpoint: &EndpointName| !observed.down.contains_key(&(backend.clone(), endpoint.clone()));
    let serve = live.filter(|(endpoint, server)| server.admin == Admin::Ready && up(endpoint));
    serve.map(|(endpoint, server)| (endpoint.clone(), server.clone())).collect()
}

/// Closes those of `wanted` that do not serve now; where that is all of them, adds those that do.
fn gated(
    mut wanted: BTreeMap<EndpointName, Server>,
    serving: &BTreeMap<EndpointName, Server>,
) -> BTreeMap<EndpointName, Server> {
    let (mut ready, mut closed) = (0, 0);
    for (endpoint, server) in wanted.iter_mut().filter(|(_, server)| server.admin == Admin::Ready) {
        ready += 1;
        if serving.get(endpoint).is_none_or(|now| now.addr != server.addr) {
            server.admin = Admin::Drain;
            closed += 1;
        }
    }
    if ready > 0 && closed == ready {
        for (endpoint, server) in serving {
            wanted.entry(endpoint.clone()).or_insert_with(|| server.clone());
        }
    }
    wanted
}

/// Names that are ours to give. The model refuses them; here they must not do harm.
fn reserved(service: &ServiceName) -> bool {
    service.as_str().starts_with("bc-")
}

fn emptied(layout: &Layout) -> BTreeMap<BackendName, Backend> {
    let empty = |b: &Backend| Backend { protocol: b.protocol, ..Backend::default() };
    layout.backends.iter().map(|(name, backend)| (name.clone(), empty(backend))).collect()
}

fn assigned(layout: &Layout) -> impl Iterator<Item = (&ServiceName, &BackendName)> {
    layout.backends.iter().filter_map(|(name, backend)| Some((backend.service.as_ref()?, name)))
}

/// Which service has which backend: the one it has, else one of its own name, else the first free spare.
fn place(
    desired: &Desired,
    observed: &Observed,
    (flavour, policies): (&Flavour, &Policies),
    target: &mut Target,
) -> BTreeMap<ServiceName, BackendName> {
    let now: BTreeMap<&ServiceName, &BackendName> = assigned(&observed.layout).collect();
    let mut spares = free_spares(&observed.layout);
    let mut placed = BTreeMap::new();
    for (service, wanted) in desired.services.iter().filter(|(service, _)| !reserved(service)) {
        let own = BackendName::from(service);
        let backend = |name: &BackendName| observed.layout.backends.get(name);
        // A backend of the service's name that nobody has: the service was here before.
        let own = backend(&own).is_some_and(|b| b.service.is_none()).then_some(own);
        let mut spare = || match (flavour, wanted.protocol) {
            (Flavour::Managed { .. }, Protocol::Http) if !policies.names(service) => spares.next(),
            _ => None,
        };
        let Some(name) = now.get(service).map(|name| (*name).clone()).or(own).or_else(&mut spare) else {
            target.unplaced.push(service.clone());
            continue;
        };
        let elsewhere = || policies.names(service) && name.is_spare();
        let other = |b: &Backend| b.protocol != wanted.protocol;
        if *flavour != Flavour::Attached && (elsewhere() || backend(&name).is_some_and(other)) {
            target.mismatched.push(service.clone());
        }
        placed.insert(service.clone(), name);
    }
    placed
}

/// Spares without a service and without a server left of an earlier one.
fn free_spares(layout: &Layout) -> impl Iterator<Item = BackendName> {
    let free = |(name, b): &(&BackendName, &Backend)| name.is_spare() && b.service.is_none() && b.servers.is_empty();
    let names: Vec<_> = layout.backends.iter().filter(free).map(|(name, _)| name.clone()).collect();
    names.into_iter()
}

/// The servers of a service on backend `name`. Those that are live in `now` keep their numbers, the others get the
/// one that their name asks for, or the next free one.
fn servers(
    wanted: &Service,
    observed: &Observed,
    now: &BackendName,
    name: &BackendName,
) -> BTreeMap<EndpointName, Server> {
    let live = observed.layout.backends.get(now).map(|b| &b.servers);
    let id_now = |endpoint: &EndpointName| live.and_then(|servers| servers.get(endpoint)).map(|s| s.id);
    let mut taken: BTreeSet<ServerId> = live.into_iter().flat_map(|servers| servers.values().map(|s| s.id)).collect();
    taken.extend(observed.foreign.get(name).into_iter().flatten());
    let mut server = |endpoint: &EndpointName, e: &Endpoint| {
        let id = id_now(endpoint).unwrap_or_else(|| free_id(endpoint, &taken));
        taken.insert(id);
        let admin = match e.state {
            EndpointState::Ready => Admin::Ready,
            EndpointState::Drain => Admin::Drain,
        };
        Server { id, addr: e.addr, weight: e.weight, admin }
    };
    wanted.endpoints.iter().map(|(endpoint, e)| (endpoint.clone(), server(endpoint, e))).collect()
}

fn free_id(endpoint: &EndpointName, taken: &BTreeSet<ServerId>) -> ServerId {
    let mut id = ServerId::wanted(endpoint);
    while taken.contains(&id) {
        id = id.next();
    }
    id
}

/// The routes onto services that have a backend which speaks HTTP.
fn routes(
    desired: &Desired,
    placed: &BTreeMap<ServiceName, BackendName>,
    backends: &BTreeMap<BackendName, Backend>,
) -> BTreeMap<backchat_contract::Route, BackendName> {
    let http = |name: &&BackendName| backends.get(*name).is_some_and(|b| b.protocol == Protocol::Http);
    let known = desired.routes.iter().filter_map(|(route, service)| Some((route, placed.get(service).filter(http)?)));
    known.map(|(route, backend)| (route.clone(), backend.clone())).collect()
}
