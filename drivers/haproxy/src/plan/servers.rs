//! The commands of servers: how one comes, changes and goes without a request lost. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use backchat_contract::{EndpointName, Protocol};

use super::{Action, Planner, Target, Wait};
use crate::{
    layout::{Admin, Backend, BackendName, Server},
    observe::{Leaving, Newcomer, Observed, PATIENCE, Place},
    protocol::{Command, ServerPath},
};

/// How soon to look again at newcomers.
const NEWCOMER: Duration = Duration::from_millis(5);

type Servers = BTreeMap<EndpointName, Server>;

/// What comes, and what changes without ceasing to serve.
pub(super) fn opening(
    planner: &Planner<'_>,
    observed: &Observed,
    target: &Target,
    waits: &mut Vec<Wait>,
) -> Vec<Action> {
    let mut commands = Vec::new();
    for (backend, live, wanted) in backends(observed, target) {
        if observed.newcomers.is_empty() && is_settled(live, wanted) {
            continue;
        }
        for (endpoint, server) in wanted {
            let now = live.get(endpoint);
            let path = || planner.flavour.path(backend, endpoint);
            match now {
                _ if find(&observed.broken, backend, endpoint) => {}
                None => commands.extend(add(planner, protocol(observed, backend), &path(), server)),
                Some(live) if live == server => {}
                Some(live) => commands.extend(change(&path(), live, server, planner.is_sticky(backend))),
            }
            let stays = || now.is_some_and(|live| stays_ready(live, server));
            match look_up(&observed.newcomers, backend, endpoint).filter(|_| stays()) {
                // A path is HAProxy's to ask: that somebody listens is not enough there.
                Some(newcomer) if newcomer.listens && !planner.asks_path(backend) => {
                    commands.push(Command::HealthUp(path()));
                }
                Some(newcomer) => waits.push(not_up(backend, endpoint, *newcomer)),
                None => {}
            }
        }
    }
    commands.into_iter().map(Action::Run).collect()
}

/// What ceases to serve, and what goes for good.
pub(super) fn closing(
    planner: &Planner<'_>,
    observed: &Observed,
    target: &Target,
    waits: &mut Vec<Wait>,
) -> Vec<Action> {
    let mut commands = Vec::new();
    for (backend, live, wanted) in backends(observed, target) {
        if is_settled(live, wanted) {
            continue;
        }
        let keep = keeps_for_newcomers(planner, backend, (live, wanted), observed);
        if let Some(wait) = keep.then(|| newcomers(backend, live, wanted)).flatten() {
            waits.push(wait);
        }
        for (endpoint, server) in live {
            let to = wanted.get(endpoint).map(|s| s.admin);
            if (server.admin, to) == (Admin::Ready, Some(Admin::Ready)) {
                continue;
            }
            let place = (backend.clone(), endpoint.clone());
            let path = planner.flavour.path(backend, endpoint);
            let leaving = observed.leaving.get(&place).copied().unwrap_or_default();
            match (server.admin, to) {
                (Admin::Ready, Some(Admin::Drain) | None) if keep => {}
                // A sticky client would go on asking a server that drains; of one in maintenance it is taken away.
                (Admin::Ready, Some(Admin::Drain) | None) if planner.is_sticky(backend) => {
                    commands.push(Command::State(path, Admin::Maint));
                }
                (Admin::Ready, Some(Admin::Drain) | None) => commands.push(Command::State(path, Admin::Drain)),
                (Admin::Drain, Some(Admin::Drain)) => waits.extend(still_drains(planner, &place, leaving)),
                (Admin::Drain, None) if planner.is_sticky(backend) => {
                    commands.extend(remove(planner, path, &place, leaving, delete_again, waits));
                }
                (Admin::Drain, None) => commands.extend(remove(planner, path, &place, leaving, delete, waits)),
                (Admin::Maint, None) => commands.extend(remove(planner, path, &place, leaving, delete_again, waits)),
                (_, Some(_)) => {}
            }
        }
    }
    for place in &observed.broken {
        let path = planner.flavour.path(&place.0, &place.1);
        match observed.leaving.get(place) {
            Some(leaving) => commands.extend(remove(planner, path, place, *leaving, delete_again, waits)),
            None => commands.push(Command::State(path, Admin::Drain)),
        }
    }
    commands.into_iter().map(Action::Run).collect()
}

/// What ceases to serve, without a word of what is in flight: what drains now, for another serves or nobody is to; and
/// what may once a newcomer was let in.
pub(super) fn relieving(planner: &Planner<'_>, observed: &Observed, target: &Target) -> (Vec<Action>, Vec<Command>) {
    let (mut now, mut later) = (Vec::new(), Vec::new());
    for (backend, live, wanted) in backends(observed, target) {
        let goes = |endpoint: &EndpointName| wanted.get(endpoint).is_none_or(|s| s.admin != Admin::Ready);
        let serving = live.iter().filter(|(_, server)| server.admin == Admin::Ready);
        let going = serving.map(|(endpoint, _)| endpoint).filter(|endpoint| goes(endpoint));
        let to = if planner.is_sticky(backend) { Admin::Maint } else { Admin::Drain };
        let going = going.map(|endpoint| Command::State(planner.flavour.path(backend, endpoint), to));
        if keeps_for_newcomers(planner, backend, (live, wanted), observed) {
            later.extend(going);
        } else {
            now.extend(going.map(Action::Run));
        }
    }
    (now, later)
}

/// Whether nothing comes, changes or goes: of most backends that is all there is to say.
fn is_settled(live: &Servers, wanted: &Servers) -> bool {
    live == wanted && live.values().all(|server| server.admin == Admin::Ready)
}

/// Whether a place is among these. Most often there are none, and a place is made of two texts.
fn find(places: &BTreeSet<Place>, backend: &BackendName, endpoint: &EndpointName) -> bool {
    !places.is_empty() && places.contains(&(backend.clone(), endpoint.clone()))
}

/// What is known of a place, as rarely as [`find`] finds one.
fn look_up<'a, T>(places: &'a BTreeMap<Place, T>, backend: &BackendName, endpoint: &EndpointName) -> Option<&'a T> {
    (!places.is_empty()).then(|| places.get(&(backend.clone(), endpoint.clone()))).flatten()
}

fn backends<'a>(
    observed: &'a Observed,
    target: &'a Target,
) -> impl Iterator<Item = (&'a BackendName, &'a Servers, &'a Servers)> {
    let live = observed.layout.backends.iter();
    live.filter_map(|(name, live): (_, &Backend)| {
        Some((name, &live.servers, &target.layout.backends.get(name)?.servers))
    })
}

/// What the backend speaks.
fn protocol(observed: &Observed, backend: &BackendName) -> Protocol {
    observed.layout.backends.get(backend).map(|b| b.protocol).unwrap_or_default()
}

/// A newcomer. Measured: in this order not one request reaches a server that does not listen yet.
fn add(planner: &Planner<'_>, protocol: Protocol, path: &ServerPath, server: &Server) -> Vec<Command> {
    let Server { id, addr, weight, .. } = *server;
    let options = planner.options(&path.backend, protocol);
    let mut commands = vec![Command::Add { server: path.clone(), addr, id, weight, options }];
    if planner.is_sticky(&path.backend) {
        // HAProxy before 3.0 gives a server that comes at run time no cookie else.
        commands.push(Command::DynamicCookie(path.backend.clone()));
    }
    commands.extend(leave_maintenance(path, server.admin));
    commands
}

/// Out of maintenance. Straight to ready would let requests in before the first check.
fn leave_maintenance(path: &ServerPath, to: Admin) -> Vec<Command> {
    let mut commands = vec![Command::EnableHealth(path.clone()), Command::State(path.clone(), Admin::Drain)];
    if to == Admin::Ready {
        commands.extend(open(path));
    }
    commands
}

/// Out of drain, down until a check has passed.
fn open(path: &ServerPath) -> [Command; 2] {
    [Command::HealthDown(path.clone()), Command::State(path.clone(), Admin::Ready)]
}

/// Ready, and to stay so where it is.
fn stays_ready(live: &Server, wanted: &Server) -> bool {
    (live.admin, wanted.admin) == (Admin::Ready, Admin::Ready) && live.addr == wanted.addr
}

fn not_up(backend: &BackendName, endpoint: &EndpointName, newcomer: Newcomer) -> Wait {
    let what = if newcomer.listens { "has not passed its check" } else { "does not listen" };
    let why = format!("{backend}/{endpoint} {what} yet");
    Wait { why, recheck: gently(newcomer.lasted) }
}

fn change(path: &ServerPath, live: &Server, wanted: &Server, is_sticky: bool) -> Vec<Command> {
    let mut commands = Vec::new();
    let moved = live.addr != wanted.addr;
    if moved && live.admin != Admin::Maint {
        // Checks stop here: none of the old address may open the new one.
        commands.push(Command::State(path.clone(), Admin::Maint));
    }
    if moved {
        commands.push(Command::Addr(path.clone(), wanted.addr));
    }
    if live.weight != wanted.weight {
        commands.push(Command::Weight(path.clone(), wanted.weight));
    }
    match (live.admin, wanted.admin) {
        _ if moved => commands.extend(leave_maintenance(path, wanted.admin)),
        (Admin::Maint, to) => commands.extend(leave_maintenance(path, to)),
        (Admin::Drain, Admin::Ready) if is_sticky => commands.extend(leave_maintenance(path, wanted.admin)),
        (Admin::Drain, Admin::Ready) => {
            // Its check may never have been enabled, where a daemon before us ended between two commands.
            commands.push(Command::EnableHealth(path.clone()));
            commands.extend(open(path));
        }
        // To drain: `closing` does it.
        (Admin::Ready | Admin::Drain, _) => {}
    }
    commands
}

/// Whether what should leave stays for a moment: nothing else of this backend takes requests yet, and something
/// is about to. Not for ever: neither for one that does not listen nor for one that HAProxy refuses.
fn keeps_for_newcomers(
    planner: &Planner<'_>,
    backend: &BackendName,
    (live, wanted): (&Servers, &Servers),
    observed: &Observed,
) -> bool {
    let denied_for = |endpoint: &EndpointName| observed.denied.get(&planner.flavour.path(backend, endpoint)).copied();
    let down_for = |endpoint: &EndpointName| observed.down.get(&(backend.clone(), endpoint.clone())).copied();
    let mut coming = false;
    for (endpoint, server) in wanted.iter().filter(|(_, server)| server.admin == Admin::Ready) {
        match live.get(endpoint) {
            Some(live) if stays_ready(live, server) => match down_for(endpoint) {
                None => return false,
                Some(lasted) => coming |= lasted < PATIENCE,
            },
            _ => coming |= denied_for(endpoint).is_none_or(|lasted| lasted < PATIENCE),
        }
    }
    coming
}

fn newcomers(backend: &BackendName, live: &Servers, wanted: &Servers) -> Option<Wait> {
    let stays = |e: &EndpointName| wanted.get(e).is_some_and(|s| s.admin == Admin::Ready);
    let held = live.iter().filter(|(endpoint, server)| server.admin == Admin::Ready && !stays(endpoint)).count();
    let why = format!("{held} of {backend} serve until a newcomer has passed its first check");
    (held > 0).then_some(Wait { why, recheck: NEWCOMER })
}

/// Not in the desired set, and without new requests: gone as soon as it is idle. When the time is up what runs on
/// it is cut, and its deletion still waits until that was read back: with streams left 2.6 may crash over it
/// (haproxy/haproxy#2298).
fn remove(
    planner: &Planner<'_>,
    path: ServerPath,
    place: &Place,
    leaving: Leaving,
    delete: fn(ServerPath) -> Vec<Command>,
    waits: &mut Vec<Wait>,
) -> Vec<Command> {
    if leaving.used == Some(0) {
        return delete(path);
    }
    if leaving.lasted >= planner.drain_limit {
        return vec![Command::ShutdownSessions(path)];
    }
    waits.push(drains(place, leaving));
    Vec::new()
}

/// Idle in drain.
fn delete(path: ServerPath) -> Vec<Command> {
    vec![Command::State(path.clone(), Admin::Maint), Command::Delete(path)]
}

/// Idle in maintenance, and not deleted. On 2.6 a server that went there with requests in flight refuses for ever;
/// through drain it lets go. No version minds.
fn delete_again(path: ServerPath) -> Vec<Command> {
    let drain = Command::State(path.clone(), Admin::Drain);
    [vec![drain], delete(path)].concat()
}

/// As desired, and yet worth looking at again: an agent may wait for it to be idle.
fn still_drains(planner: &Planner<'_>, place: &Place, leaving: Leaving) -> Option<Wait> {
    let busy = leaving.used != Some(0) && leaving.lasted < planner.drain_limit;
    busy.then(|| drains(place, leaving))
}

fn drains((backend, endpoint): &Place, leaving: Leaving) -> Wait {
    let used = leaving.used.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    Wait { why: format!("{backend}/{endpoint} drains, {used} in flight"), recheck: gently(leaving.lasted) }
}

/// Soon at first, for most things here are short.
fn gently(lasted: Duration) -> Duration {
    (lasted / 4).clamp(Duration::from_millis(5), Duration::from_millis(500))
}
