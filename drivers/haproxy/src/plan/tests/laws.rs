//! What holds for every plan, tried on a HAProxy in memory.

use std::time::Duration;

use backchat_contract::{
    Desired, Endpoint, EndpointAddr, EndpointId, EndpointState, Mode, Protocol, Route, Service, Step, Structure,
    Weight, paper::OnPaper,
};
use proptest::{collection::btree_map, prelude::*, sample::select};

use crate::{layout::Admin, paper::Paper, plan::Plan};

const TICK: Duration = Duration::from_secs(1);

/// More steps than any change here takes.
const STEPS: usize = 60;

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: impl AsRef<str>) -> T {
    text.as_ref().parse().unwrap()
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let state = prop_oneof![3 => Just(EndpointState::Ready), 1 => Just(EndpointState::Drain)];
    (1u8..4, select(vec![0u32, 50, 100]), state).prop_map(|(host, weight, state)| Endpoint {
        addr: EndpointAddr::try_from(std::net::SocketAddr::from(([10, 0, 0, host], 80))).unwrap(),
        weight: Weight::try_from(weight).unwrap(),
        state,
    })
}

fn service() -> impl Strategy<Value = Service> {
    let protocol = prop_oneof![6 => Just(Protocol::Http), 1 => Just(Protocol::Tcp)];
    let endpoints = btree_map((0u8..4).prop_map(|n| parsed(format!("e{n}"))), endpoint(), 0..4);
    (protocol, endpoints).prop_map(|(protocol, endpoints)| Service { protocol, endpoints })
}

/// A desired set: up to five services for two spares, routes onto those that speak HTTP.
fn desired() -> impl Strategy<Value = Desired> {
    let services = btree_map((0u8..5).prop_map(|n| parsed(format!("s{n}"))), service(), 0..5);
    let host = select(vec!["a.example", "*.example", "*"]).prop_map(parsed);
    let route = (host, select(vec!["/", "/x"]).prop_map(parsed)).prop_map(|(host, path)| Route { host, path });
    let routes = btree_map(route, (0u8..5).prop_map(|n| parsed(format!("s{n}"))), 0..4);
    (services, routes).prop_map(|(services, mut routes)| {
        routes.retain(|_, s| services.get(s).is_some_and(|s| s.protocol == Protocol::Http));
        Desired { services, routes, ..Desired::default() }
    })
}

/// Something that somebody does behind our back.
#[derive(Clone, Debug)]
enum Tampering {
    Delete,
    Maintain,
    Weigh,
    Move,
    Break,
    Add,
    Busy,
    ClearHosts,
    ClearServices,
    Settings,
}

fn tampering() -> impl Strategy<Value = Vec<Tampering>> {
    use Tampering::{Add, Break, Busy, ClearHosts, ClearServices, Delete, Maintain, Move, Settings, Weigh};
    let one = select(vec![Delete, Maintain, Weigh, Move, Break, Add, Busy, ClearHosts, ClearServices, Settings]);
    proptest::collection::vec(one, 0..4)
}

fn tamper(sim: &mut Paper, tampering: &Tampering) {
    let mut servers = sim.backends.values_mut().flat_map(|b| b.servers.iter_mut());
    match tampering {
        Tampering::ClearHosts => sim.hosts.clear(),
        Tampering::ClearServices => sim.services.clear(),
        Tampering::Settings => sim.alter(),
        Tampering::Delete | Tampering::Add => {
            let Some(backend) = sim.backends.values_mut().find(|b| !b.servers.is_empty()) else { return };
            let (name, mut server) = backend.servers.pop_last().unwrap();
            if matches!(tampering, Tampering::Add) {
                backend.servers.insert(name, server.clone());
                server.id = "77".into();
                backend.servers.insert("stranger".into(), server);
            }
        }
        Tampering::Busy => servers.for_each(|(_, s)| s.used = 3),
        Tampering::Maintain => drop(servers.next().map(|(_, s)| s.admin = Admin::Maint)),
        Tampering::Weigh => drop(servers.next().map(|(_, s)| s.weight = "7".into())),
        Tampering::Move => drop(servers.next().map(|(_, s)| s.addr = "10.0.0.99:99".parse().unwrap())),
        Tampering::Break => drop(servers.next().map(|(_, s)| s.addr = "224.0.0.1:0".parse().unwrap())),
    }
}

/// Steps until converged; every plan on the way.
fn converge(sim: &mut Paper, desired: &Desired, mode: Mode) -> Vec<Plan> {
    let mut plans = Vec::new();
    for _ in 0..STEPS {
        let observed = sim.look();
        match sim.step(desired, &observed, mode) {
            Step::Converged => return plans,
            Step::Waiting { .. } => {}
            Step::Change(plan) => {
                sim.take(&plan);
                plans.push(plan);
            }
        }
        sim.tick(TICK);
    }
    panic!("no convergence on {desired:#?} in {STEPS} steps; the last: {:#?}", plans.last());
}

/// Servers that are as desired, and yet in a command.
fn touched_in_vain(sim: &mut Paper, desired: &Desired) -> Vec<String> {
    let observed = sim.look();
    let live = observed.live(&sim.flavour);
    let Step::Change(plan) = sim.step(desired, &observed, Mode::default()) else { return Vec::new() };
    let equal = desired.endpoints().filter(|(id, e)| live.endpoint(id) == Some(*e));
    let path = |id: EndpointId| {
        let mut backends = observed.layout.backends.iter();
        let (backend, _) = backends.find(|(_, b)| b.service.as_ref() == Some(&id.service))?;
        Some(sim.flavour.path(backend, &id.endpoint).to_string())
    };
    let paths: Vec<String> = equal.filter_map(|(id, _)| path(id)).collect();
    let commands = plan.view().commands;
    commands.into_iter().filter(|c| c.split(' ').any(|word| paths.iter().any(|p| p == word))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// From any set, tampered with, to any other: repeated steps get there, touch nothing that is as it should be,
    /// let no server in unchecked, are never refused, and the files say what runs.
    #[test]
    fn repeated_steps_reach_the_desired_set(before in desired(), tampered in tampering(), after in desired()) {
        let mut sim = Paper::managed();
        converge(&mut sim, &before, Mode::default());
        for one in &tampered {
            tamper(&mut sim, one);
        }
        prop_assert_eq!(touched_in_vain(&mut sim, &after), Vec::<String>::new());

        converge(&mut sim, &after, Mode::default());
        let observed = sim.look();
        prop_assert_eq!(&observed.live(&sim.flavour), &after);
        prop_assert_eq!(sim.step(&after, &observed, Mode::default()), Step::Converged);
        prop_assert!(sim.ungated.is_empty() && sim.refused.is_empty(), "{:?} {:?}", sim.ungated, sim.refused);
        let files = sim.files.as_ref().unwrap();
        prop_assert_eq!(&files.hosts, &crate::maps::text(&observed.hosts));
        prop_assert_eq!(&files.services, &crate::maps::text(&observed.services));
    }

    /// Structure that may not be written holds no endpoint of a placed service back, and no reload happens.
    #[test]
    fn held_structure_holds_nothing_else(before in desired(), after in desired()) {
        let mut sim = Paper::managed();
        converge(&mut sim, &before, Mode::default());
        let reloads = sim.reloads;
        for _ in 0..STEPS {
            let observed = sim.look();
            if let Step::Change(plan) = sim.step(&after, &observed, Mode { structure: Structure::Held }) {
                prop_assert_eq!(&plan.view().reload, &None);
                sim.take(&plan);
            }
            sim.tick(TICK);
        }
        prop_assert_eq!(sim.reloads, reloads);
        let live = sim.look().live(&sim.flavour);
        for (name, service) in &live.services {
            prop_assert_eq!(&service.endpoints, &after.services[name].endpoints);
        }
    }

    /// In somebody else's HAProxy only our servers come and go.
    #[test]
    fn what_is_theirs_stays(before in desired(), after in desired()) {
        let backends = ["s0", "s1", "s2", "theirs"];
        let mut sim = Paper::attached(&backends);
        let here = |desired: &Desired| {
            let mut desired = desired.clone();
            desired.routes.clear();
            desired.services.retain(|name, s| backends.contains(&name.as_str()) && !s.endpoints.is_empty());
            desired.services.values_mut().for_each(|s| s.protocol = Protocol::Http);
            desired
        };
        for desired in [here(&before), here(&after)] {
            converge(&mut sim, &desired, Mode::default());
            prop_assert_eq!(sim.look().live(&sim.flavour), desired);
        }
        converge(&mut sim, &Desired::default(), Mode::default());
        for backend in sim.backends.values() {
            prop_assert_eq!(backend.servers.keys().collect::<Vec<_>>(), ["theirs"]);
        }
        prop_assert!(sim.ungated.is_empty() && sim.refused.is_empty(), "{:?} {:?}", sim.ungated, sim.refused);
    }

    /// Same input, same plan.
    #[test]
    fn a_plan_is_a_function(before in desired(), after in desired()) {
        let mut sim = Paper::managed();
        converge(&mut sim, &before, Mode::default());
        let observed = sim.look();
        prop_assert_eq!(sim.step(&after, &observed, Mode::default()), sim.step(&after, &observed, Mode::default()));
    }
}
