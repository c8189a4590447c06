//! Plans case by case; the laws they all obey are in `laws`.

mod at_once;
mod laws;

use std::time::Duration;

use backchat_contract::{Desired, Endpoint, EndpointState, Mode, Route, Service, Step, Weight};

use super::*;
use crate::paper::{By, Paper};

/// `name@host*weight`, drained with a `-` in front.
fn endpoint(word: &str) -> (backchat_contract::EndpointName, Endpoint) {
    let state = if word.starts_with('-') { EndpointState::Drain } else { EndpointState::Ready };
    let (name, rest) = word.trim_start_matches('-').split_once('@').unwrap();
    let (host, weight) = rest.split_once('*').unwrap_or((rest, "100"));
    let addr: std::net::SocketAddr = format!("10.0.0.{host}:80").parse().unwrap();
    let weight = Weight::try_from(weight.parse::<u32>().unwrap()).unwrap();
    (name.parse().unwrap(), Endpoint { addr: addr.try_into().unwrap(), weight, state })
}

/// One service `web` with these endpoints, at `a.example`.
fn web(words: &str) -> Desired {
    let mut desired = Desired::default();
    let endpoints = words.split_whitespace().map(endpoint).collect();
    desired.services.insert("web".parse().unwrap(), Service { endpoints, ..Service::default() });
    let route = Route { host: "a.example".parse().unwrap(), path: "/".parse().unwrap() };
    desired.routes.insert(route, "web".parse().unwrap());
    desired
}

/// A HAProxy that holds this, every server checked.
fn holding(words: &str) -> Paper {
    let mut sim = Paper::managed();
    for _ in 0..20 {
        let observed = sim.look();
        if let Step::Change(plan) = sim.step(&web(words), &observed, Mode::default()) {
            sim.take(&plan);
        }
        sim.tick(Duration::from_secs(1));
    }
    sim
}

/// The next step in short: commands on servers without their keywords, or what is waited for.
fn next(sim: &mut Paper, desired: &Desired) -> Vec<String> {
    let observed = sim.look();
    let short = |command: String| {
        let command = command.replace("set server bc-spare-01/", "").replace("bc-spare-01/", "");
        command.split(" id ").next().unwrap_or_default().to_owned()
    };
    match sim.step(desired, &observed, Mode::default()) {
        Step::Converged => vec!["converged".into()],
        Step::Waiting { why, .. } => vec![format!("waits: {why}")],
        Step::Change(plan) => {
            sim.take(&plan);
            let commands = plan.view().commands.into_iter().filter(|c| !c.contains(" map "));
            commands.map(short).collect()
        }
    }
}

fn check(before: &str, after: &str, steps: &[&[&str]]) {
    let mut sim = holding(before);
    for (number, expected) in steps.iter().enumerate() {
        assert_eq!(next(&mut sim, &web(after)), *expected, "{before} → {after}, step {number}");
    }
}

#[test]
fn a_newcomer_passes_the_gate() {
    let gate: &[&str] =
        &["add server b 10.0.0.2:80", "enable health b", "b state drain", "b health down", "b state ready"];
    check("a@1", "a@1 b@2", &[gate, &["b health up"], &["converged"]]);
}

#[test]
fn a_newcomer_that_drains_is_not_opened() {
    let add: &[&str] = &["add server b 10.0.0.2:80", "enable health b", "b state drain"];
    check("a@1", "a@1 -b@2", &[add, &["converged"]]);
}

#[test]
fn weights_and_drains_are_one_command() {
    check("a@1 b@2", "a@1*7 -b@2", &[&["a weight 7", "b state drain"], &["converged"]]);
    check("a@1 -b@2", "a@1 b@2", &[&["enable health b", "b health down", "b state ready"]]);
}

/// Straight from maintenance to ready would let requests in unchecked.
#[test]
fn an_address_changes_behind_the_gate() {
    let moved: &[&str] = &[
        "b state maint",
        "b addr 10.0.0.9 port 80",
        "enable health b",
        "b state drain",
        "b health down",
        "b state ready",
    ];
    check("a@1 b@2", "a@1 b@9", &[moved, &["b health up"], &["converged"]]);
}

#[test]
fn a_server_goes_in_two_steps() {
    check("a@1 b@2", "a@1", &[&["b state drain"], &["b state maint", "del server b"], &["converged"]]);
}

#[test]
fn a_busy_server_is_waited_for_and_cut_at_last() {
    let mut sim = holding("a@1 b@2");
    assert_eq!(next(&mut sim, &web("a@1")), ["b state drain"]);
    let busy = |sim: &mut Paper| sim.backends.get_mut("bc-spare-01").unwrap().servers.get_mut("b").unwrap().used = 2;
    busy(&mut sim);
    assert_eq!(next(&mut sim, &web("a@1")), ["waits: bc-spare-01/b drains, 2 in flight"]);
    sim.tick(Duration::from_secs(30));
    busy(&mut sim);
    assert_eq!(next(&mut sim, &web("a@1")), ["shutdown sessions server b"]);
    // Again where it did not help; gone only when it was seen to be idle.
    busy(&mut sim);
    assert_eq!(next(&mut sim, &web("a@1")), ["shutdown sessions server b"]);
    assert_eq!(next(&mut sim, &web("a@1")), ["b state maint", "del server b"]);
}

/// On 2.6 a server that went to maintenance with requests in flight can be deleted only by way of drain.
#[test]
fn what_stayed_in_maintenance_goes_through_drain() {
    let mut sim = holding("a@1 b@2");
    let server = sim.backends.get_mut("bc-spare-01").unwrap().servers.get_mut("b").unwrap();
    (server.admin, server.used) = (crate::layout::Admin::Maint, 1);
    let nothing: [&str; 0] = [];
    assert_eq!(next(&mut sim, &web("a@1")), nothing, "the file alone");
    assert_eq!(next(&mut sim, &web("a@1")), ["waits: bc-spare-01/b drains, 1 in flight"]);
    sim.tick(Duration::from_secs(1));
    assert_eq!(next(&mut sim, &web("a@1")), ["b state drain", "b state maint", "del server b"]);
}

/// All servers replaced at once: the old one serves until a new one is up.
#[test]
fn the_last_one_serves_until_a_newcomer_can() {
    let mut sim = holding("a@1");
    assert_eq!(next(&mut sim, &web("b@2")).len(), 5);
    assert_eq!(next(&mut sim, &web("b@2")), ["b health up"]);
    assert_eq!(next(&mut sim, &web("b@2")), ["a state drain"]);
    assert_eq!(next(&mut sim, &web("b@2")), ["a state maint", "del server a"]);
    assert_eq!(next(&mut sim, &web("b@2")), ["converged"]);
}

/// One that HAProxy refuses for ever keeps its predecessor for a moment, not for ever.
#[test]
fn a_refused_newcomer_keeps_nobody_for_ever() {
    let mut sim = holding("a@1");
    sim.never = Some("b".into());
    for _ in 0..2 {
        assert_eq!(next(&mut sim, &web("b@2")).len(), 5);
    }
    sim.tick(Duration::from_secs(1));
    assert_eq!(next(&mut sim, &web("b@2")).last().unwrap(), "a state drain");
}

#[test]
fn an_id_that_is_taken_is_passed_over() {
    let mut sim = holding("a@1");
    let backend = sim.backends.get_mut("bc-spare-01").unwrap();
    let wanted = crate::layout::ServerId::wanted(&"b".parse().unwrap());
    // A name that we could not have given.
    let mut theirs = backend.servers["a"].clone();
    theirs.id = wanted.to_string();
    backend.servers.insert("-theirs".into(), theirs);
    let observed = sim.look();
    let Step::Change(plan) = sim.step(&web("a@1 b@2"), &observed, Mode::default()) else { panic!("nothing to do") };
    let add = plan.view().commands.into_iter().find(|c| c.starts_with("add server")).unwrap();
    assert!(add.contains(&format!(" id {} ", wanted.next())), "{add}");
}

/// A spare whose servers of before still drain is not given to the next service: there is another.
#[test]
fn a_spare_is_free_when_its_last_server_is_gone() {
    let mut sim = holding("a@1");
    let mut desired = Desired::default();
    desired.services.insert("next".parse().unwrap(), web("b@2").services.into_values().next().unwrap());
    next(&mut sim, &desired);
    let live = sim.look().layout;
    let serves = |n| live.backends[&crate::layout::BackendName::spare(n)].service.as_ref().map(ToString::to_string);
    assert_eq!((serves(1), serves(2).as_deref()), (None, Some("next")));
}

/// Where the live map was emptied, the file still says whose the servers are: the map comes back, nothing else.
#[test]
fn a_lost_services_map_is_only_put_back() {
    let mut sim = holding("a@1");
    sim.services.clear();
    assert_eq!(sim.look().live(&sim.flavour), web("a@1"));
    let observed = sim.look();
    let Step::Change(plan) = sim.step(&web("a@1"), &observed, Mode::default()) else { panic!("nothing to do") };
    let commands = plan.view().commands;
    assert!(plan.structure.is_none() && commands.iter().all(|c| c.contains("map")), "{commands:?}");
}

/// Names that are ours to give reach no backend, whoever lets them through.
#[test]
fn reserved_names_are_left_out() {
    let mut sim = holding("a@1");
    let mut desired = web("a@1");
    desired.services.insert("bc-spare-02".parse().unwrap(), Service::default());
    assert_eq!(next(&mut sim, &desired), ["converged"]);
}

/// Every push is a generation: the files and the live map say the same.
#[test]
fn a_push_counts() {
    let mut sim = holding("a@1");
    let before = sim.look().layout.generation;
    next(&mut sim, &web("a@1*7"));
    assert_eq!(sim.look().layout.generation, before + 1);
    assert!(sim.files.as_ref().unwrap().config.starts_with(&format!("{} ", before + 1)));
    assert_eq!(next(&mut sim, &web("a@1*7")), ["converged"]);
    assert_eq!(sim.look().layout.generation, before + 1);
}

#[test]
fn a_view_shows_no_seal() {
    let mut sim = holding("a@1");
    let observed = sim.look();
    let Step::Change(plan) = sim.step(&web("a@1*7"), &observed, Mode::default()) else { panic!("nothing to do") };
    assert!(plan.files.as_ref().unwrap().changes[0].new.contains("end of file"));
    let view = plan.view();
    assert!(!view.files.is_empty());
    assert!(view.files.iter().all(|f| !f.diff().contains("end of file")), "{}", view.files[0].diff());
}

#[test]
fn what_forces_a_reload_is_named() {
    let mut sim = holding("a@1");
    let mut desired = web("a@1");
    for n in 0..8 {
        desired.services.insert(format!("s{n}").parse().unwrap(), Service::default());
    }
    sim.by = By::Salt(1);
    let observed = sim.look();
    let Step::Change(plan) = sim.step(&desired, &observed, Mode::default()) else { panic!("nothing to do") };
    let why = "settings or template changed, no backend for s1, s2, s3, s4, s5 and 2 more";
    assert_eq!(plan.view().reload.as_deref(), Some(why));
    let held = sim.step(&desired, &observed, Mode { structure: backchat_contract::Structure::Held });
    let Step::Change(plan) = held else { panic!("nothing to do") };
    assert_eq!(plan.view().reload, None);
}

/// A reload brings up whatever it enables: newcomers in it wait for the gate, and until one of them has passed it,
/// those that serve now serve on.
#[test]
fn newcomers_in_a_new_structure_pass_the_gate() {
    let disabled = |before: &str, after: &str| {
        let mut sim = holding(before);
        sim.by = By::Salt(1);
        let observed = sim.look();
        let Step::Change(plan) = sim.step(&web(after), &observed, Mode::default()) else { panic!("nothing to do") };
        let layout = plan.structure.expect("a new structure").layout;
        let word = |(_, e, s): (_, &backchat_contract::EndpointName, &crate::layout::Server)| {
            let mark = if s.admin == crate::layout::Admin::Ready { "" } else { "-" };
            format!("{mark}{e}@{}", s.addr.get())
        };
        layout.servers().map(word).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(disabled("a@1", "a@1 b@2"), "a@10.0.0.1:80 -b@10.0.0.2:80");
    assert_eq!(disabled("a@1", "b@2"), "a@10.0.0.1:80 -b@10.0.0.2:80");
    assert_eq!(disabled("a@1 b@2", "a@1 b@9"), "a@10.0.0.1:80 -b@10.0.0.9:80");
    assert_eq!(disabled("a@1", "-a@1"), "-a@10.0.0.1:80");
}

/// A file that somebody edited stays; endpoints flow.
#[test]
fn an_edited_file_stays() {
    let mut sim = holding("a@1");
    let files = sim.files.as_mut().unwrap();
    files.config = files.config.replace("10.0.0.1", "10.0.0.99");
    let edited = files.config.clone();
    assert_eq!(next(&mut sim, &web("a@1 -b@2")).len(), 3);
    let waits = next(&mut sim, &web("a@1 -b@2")).join(" ");
    assert!(
        waits.starts_with("waits: ") && waits.contains("/haproxy.cfg was edited by hand; start lb with"),
        "{waits}"
    );
    assert_eq!(sim.files.unwrap().config, edited);
}

#[test]
fn many_reasons_to_wait_are_told_in_short() {
    let wait = |n: u64| Wait { why: format!("w{n}"), recheck: Duration::from_secs(n) };
    let waiting = |why: &str, secs| Step::Waiting { why: why.into(), recheck: Duration::from_secs(secs) };
    assert_eq!(waited((2..7).map(wait).collect()), waiting("w2; w3; w4; and 2 more", 2));
    assert_eq!(waited(vec![wait(3)]), waiting("w3", 3));
    assert_eq!(waited(Vec::new()), Step::Converged);
}

/// What a reload loads has one hash, whichever endpoints come and go beside it, and another for another template.
#[test]
fn what_is_loaded_is_told_without_what_comes_and_goes() {
    let loads = |before: &str, after: &str, salt| {
        let mut sim = holding(before);
        sim.by = By::Salt(salt);
        let observed = sim.look();
        let Step::Change(plan) = sim.step(&web(after), &observed, Mode::default()) else { panic!("nothing to do") };
        plan.structure.map(|structure| structure.structure)
    };
    let shown = loads("a@1", "a@1", 1);
    assert!(shown.is_some());
    assert_eq!(loads("a@1 b@2", "-b@2 c@3", 1), shown);
    assert_ne!(loads("a@1", "a@1", 2), shown);
    assert_eq!(loads("a@1", "a@1 b@2", 0), None);
}
