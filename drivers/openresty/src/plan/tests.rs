//! Plans, tried on an OpenResty in memory: it takes what a real one takes, and forgets what a real one forgets.

mod laws;

use backchat_contract::{
    Endpoint,
    EndpointState::{self, Drain, Ready},
    Weight,
};

use super::*;
use crate::{paper::Paper, table::endpoint_id};

const ALLOWED: Mode = Mode { structure: Structure::Allowed };
const HELD: Mode = Mode { structure: Structure::Held };
const FORCED: Mode = Mode { structure: Structure::Forced };

/// Endpoints as `service/name`, each with its own address.
fn desired(endpoints: &[(&str, EndpointState)]) -> Desired {
    let mut set = Desired::default();
    for (n, (id, state)) in (1..).zip(endpoints) {
        let id = endpoint_id(id).unwrap();
        let addr = std::net::SocketAddr::from(([10, 0, 0, n], 80)).try_into().unwrap();
        let endpoint = Endpoint { addr, weight: Weight::DEFAULT, state: *state };
        set.services.entry(id.service).or_default().endpoints.insert(id.endpoint, endpoint);
    }
    set
}

/// The plan of a step that changes something.
fn change(step: Step<Plan>) -> Plan {
    match step {
        Step::Change(plan) => plan,
        other => panic!("{other:?}"),
    }
}

#[test]
fn endpoints_are_pushed_and_then_written() {
    let mut sim = Paper::with(&desired(&[("web/a", Ready)]));
    let plan = change(sim.step(&desired(&[("web/a", Drain), ("web/b", Ready), ("new/c", Ready)]), ALLOWED));
    let view = plan.view();
    assert_eq!(view.commands, ["POST /table: version 3: + new/c, + web/b, ~ web/a"]);
    assert_eq!((view.reload, view.files), (None, vec![]), "nothing that nginx reads");
    assert!(plan.write.as_deref().unwrap().contains("\n#bc endpoint web/a 10.0.0.1:80 100 drain\n"));
    sim.take(plan);
    assert_eq!(sim.step(&desired(&[("web/a", Drain), ("web/b", Ready), ("new/c", Ready)]), ALLOWED), Step::Converged);
}

#[test]
fn many_changes_are_a_number() {
    let sim = Paper::with(&desired(&[]));
    let names: Vec<String> = (0..9).map(|n| format!("web/{n}")).collect();
    let wanted: Vec<_> = names.iter().map(|name| (name.as_str(), Ready)).collect();
    let view = change(sim.step(&desired(&wanted), ALLOWED)).view();
    assert_eq!(view.commands, ["POST /table: version 3: + web/0, + web/1, + web/2, + web/3, + web/4 and 4 more"]);
}

#[test]
fn a_service_without_endpoints_is_named() {
    let mut wanted = desired(&[]);
    wanted.services.insert("empty".parse().unwrap(), backchat_contract::Service::default());
    let view = change(Paper::with(&desired(&[])).step(&wanted, ALLOWED)).view();
    assert_eq!(view.commands, ["POST /table: version 3: + empty"]);
}

#[test]
fn settings_take_a_reload_and_say_so() {
    let mut sim = Paper::with(&desired(&[("web/a", Ready)]));
    sim.settings += 1;
    let wanted = desired(&[("web/b", Ready)]);
    let Step::Change(plan) = sim.step(&wanted, HELD) else { panic!("endpoints flow") };
    assert!(plan.push.is_some() && plan.reload.is_none() && plan.write.is_none());
    sim.take(plan);
    let held = "structure waits for approval (needed: settings or template changed)";
    assert_eq!(sim.step(&wanted, HELD), Step::Waiting { why: held.into(), recheck: OPERATOR });
    let plan = change(sim.step(&wanted, ALLOWED));
    let reload = plan.reload.as_ref().unwrap();
    assert_eq!((reload.generation, &*reload.why, plan.push.is_some()), (2, "settings or template changed", false));
    assert_eq!(plan.view().commands, ["nginx -t -c /run/nginx.conf.staged", "kill -HUP 7"]);
    sim.take(plan);
    assert_eq!(sim.step(&wanted, ALLOWED), Step::Converged);
}

/// While a change of size is held, the file keeps up with what is pushed.
#[test]
fn held_room_keeps_the_file_up() {
    let mut sim = Paper::with(&desired(&[]));
    sim.capacity = 64;
    sim.forget_file();
    let wanted = desired(&[("web/a", Ready)]);
    let plan = change(sim.step(&wanted, HELD));
    assert!(plan.push.is_some() && plan.write.is_some() && plan.reload.is_none());
    sim.take(plan);
    let held = "structure waits for approval (needed: shared memory of 64 KiB, 16384 needed)";
    assert_eq!(sim.step(&wanted, HELD), Step::Waiting { why: held.into(), recheck: OPERATOR });
    assert_eq!(change(sim.step(&wanted, ALLOWED)).reload.unwrap().why, "shared memory of 64 KiB, 16384 needed");
}

#[test]
fn an_edited_file_is_left_alone() {
    let mut sim = Paper::with(&desired(&[]));
    sim.disk = sim.disk.replace("access", "excess");
    let wanted = desired(&[("web/a", Ready)]);
    let plan = change(sim.step(&wanted, ALLOWED));
    assert!(plan.push.is_some() && plan.write.is_none());
    sim.take(plan);
    let Step::Waiting { why, .. } = sim.step(&wanted, ALLOWED) else { panic!("it waits") };
    assert!(why.starts_with("/run/nginx.conf was edited by hand; start lb with --force"), "{why}");
    assert!(change(sim.step(&wanted, FORCED)).write.is_some());
}

#[test]
fn what_drains_is_waited_for() {
    let wanted = desired(&[("web/a", Drain), ("web/b", Ready)]);
    let mut sim = Paper::with(&wanted);
    sim.flights.insert(endpoint_id("web/a").unwrap(), 2);
    sim.flights.insert(endpoint_id("web/b").unwrap(), 2);
    let why = "web/a may have requests in flight".to_owned();
    assert_eq!(sim.step(&wanted, ALLOWED), Step::Waiting { why, recheck: SOON });
    sim.flights.remove(&endpoint_id("web/a").unwrap());
    assert_eq!(sim.step(&wanted, ALLOWED), Step::Converged);
}

#[test]
fn a_foreign_configuration_takes_a_reload() {
    let mut sim = Paper::with(&desired(&[]));
    sim.is_ours = false;
    let plan = change(sim.step(&desired(&[("web/a", Ready)]), ALLOWED));
    assert!(plan.push.is_none());
    assert_eq!(plan.reload.unwrap().why, "openresty does not run a configuration of ours");
}

#[test]
fn too_many_retiring_workers_are_waited_for() {
    let mut sim = Paper::with(&desired(&[]));
    sim.settings += 1;
    sim.retiring = 16;
    let Step::Waiting { why, recheck } = sim.step(&desired(&[]), ALLOWED) else { panic!("it waits") };
    assert_eq!(recheck, SOON);
    assert_eq!(why, "16 workers of before still end what they have (then: settings or template changed)");
    // Endpoints flow.
    let plan = change(sim.step(&desired(&[("web/a", Ready)]), ALLOWED));
    assert!(plan.push.is_some() && plan.reload.is_none());
}

/// A daemon crashed before its reload: its file makes room for the one that runs, which stays the last good one.
#[test]
fn a_file_that_never_ran_is_no_last_good_one() {
    let mut sim = Paper::with(&desired(&[("web/a", Ready)]));
    let ran = sim.disk.clone();
    sim.settings = 1;
    let reload = change(sim.step(&desired(&[("web/a", Ready)]), ALLOWED)).reload.unwrap();
    sim.settings = 0;
    sim.last_good = std::mem::replace(&mut sim.disk, reload.text);
    let plan = change(sim.step(&desired(&[("web/a", Ready)]), ALLOWED));
    assert!(plan.fall_back && plan.reload.is_none() && plan.push.is_none());
    sim.take(plan);
    assert_eq!((&sim.disk, &sim.last_good), (&ran, &ran));
}

/// A table that has become small again is no reason for a reload.
#[test]
fn room_does_not_shrink() {
    let mut sim = Paper::with(&desired(&[("web/a", Ready)]));
    sim.capacity = 65_536;
    sim.forget_file();
    assert_eq!(sim.step(&desired(&[("web/a", Ready)]), ALLOWED), Step::Converged);
}

#[test]
fn what_is_ours_to_name_is_not_served() {
    let sim = Paper::with(&desired(&[("web/a", Ready)]));
    assert_eq!(sim.step(&desired(&[("web/a", Ready), ("bc-x/b", Ready)]), ALLOWED), Step::Converged);
}

/// Over what was read, and noted in it for the next: all else stays as it is.
#[test]
fn a_few_services_are_pushed_by_themselves() {
    let mut sim = Paper::with(&desired(&[("web/a", Ready), ("api/b", Ready)]));
    let mut observed = sim.look();
    let few = |endpoints: &[(&str, EndpointState)]| desired(endpoints).services;
    let plan = at_once_of(&few(&[("web/c", Ready)]), &observed).unwrap();
    assert_eq!(plan.view().commands, ["POST /table: version 3: + web/c, - web/a"]);
    assert!(plan.write.is_none() && plan.reload.is_none());
    assert_eq!(plan.push.as_ref().unwrap().what.encode().lines().count(), 4, "a patch: nothing of the others");
    sim.take(plan.clone());
    note(&plan, &mut observed);
    assert_eq!(observed, sim.look());
    assert!(observed.live().endpoint(&endpoint_id("api/b").unwrap()).is_some());

    let next = at_once_of(&few(&[("web/c", Drain)]), &observed).unwrap();
    sim.take(next);
    assert_eq!(sim.look().live().endpoint(&endpoint_id("web/c").unwrap()).map(|e| e.state), Some(Drain));
    assert!(at_once_of(&few(&[("web/c", Ready)]), &observed).is_none(), "as it was read");
    assert!(at_once_of(&few(&[("new/x", Ready)]), &observed).is_none(), "a new service is more than endpoints");
}

/// Behind many patches the next one is a whole table, and so is a push of many services.
#[test]
fn patches_end_with_a_table() {
    let services: Vec<String> = (0..PATCHED).map(|n| format!("web{n}/a")).chain(["web/a".into()]).collect();
    let all = |state| desired(&services.iter().map(|id| (id.as_str(), state)).collect::<Vec<_>>());
    let mut sim = Paper::with(&all(Ready));
    let is_whole = |plan: &Plan| matches!(plan.push.as_ref().unwrap().what, Push::Whole(_));
    assert!(is_whole(&at_once_of(&all(Drain).services, &sim.look()).unwrap()));
    let mut observed = sim.look();
    for n in 0..=PATCHES {
        let mut one = desired(&[("web/a", if n % 2 == 0 { Drain } else { Ready })]);
        let plan = at_once_of(&std::mem::take(&mut one.services), &observed).unwrap();
        assert_eq!(is_whole(&plan), n == PATCHES, "{n}");
        sim.take(plan.clone());
        note(&plan, &mut observed);
    }
    assert_eq!(observed, sim.look());
    assert_eq!(observed.state.unwrap().patches, 0);
}
