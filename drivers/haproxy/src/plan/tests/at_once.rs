//! What is done over what was read a while ago: what comes, and what is relieved by it; and what is noted of it.

use std::collections::BTreeSet;

use backchat_contract::{Desired, ServiceName};

use super::{holding, web};
use crate::{
    observe::Observed,
    paper::Paper,
    plan::{Action, Plan},
    protocol::{Command, ServerPath},
};

/// The plan for the service `web` alone, where it has one.
fn of_web(sim: &Paper, observed: &Observed, wanted: &Desired) -> Option<Plan> {
    sim.planned(|planner| planner.at_once_of(&wanted.services, observed))
}

fn commands(plan: &Plan) -> Vec<String> {
    let all = plan.view().commands.into_iter();
    all.map(|c| c.replace("set server bc-spare-01/", "").replace("bc-spare-01/", "")).map(|c| short(&c)).collect()
}

fn short(command: &str) -> String {
    command.split(" id ").next().unwrap_or_default().to_owned()
}

fn relieved(plan: &Plan) -> Vec<String> {
    plan.relieved.iter().map(ToString::to_string).collect()
}

#[test]
fn the_last_one_is_relieved_once_a_newcomer_is_in() {
    let mut sim = holding("a@1");
    let plan = of_web(&sim, &sim.clone().look(), &web("b@2")).unwrap();
    let gate = ["add server b 10.0.0.2:80", "enable health b", "b state drain", "b health down", "b state ready"];
    assert_eq!(commands(&plan), gate);
    assert_eq!(
        plan.gate.iter().map(|(path, addr)| format!("{path} {addr}")).collect::<Vec<_>>(),
        ["bc-spare-01/b 10.0.0.2:80"]
    );
    assert_eq!(relieved(&plan), ["set server bc-spare-01/a state drain"]);
    assert!(plan.files.is_none() && plan.structure.is_none());

    // What is noted is what is read.
    let mut observed = sim.look();
    sim.take(&plan);
    let let_in: BTreeSet<ServerPath> = plan.gate.iter().map(|(path, _)| path.clone()).collect();
    let up = plan.gate.iter().map(|(path, _)| Action::Run(Command::HealthUp(path.clone())));
    let drain = plan.relieved.iter().cloned().map(Action::Run);
    sim.take(&Plan { actions: up.chain(drain).collect(), ..Plan::default() });
    observed.note(&sim.flavour, &plan, &let_in);
    let read = sim.look();
    assert_eq!(observed.layout.backends, read.layout.backends);
    assert_eq!(observed.down.keys().collect::<Vec<_>>(), read.down.keys().collect::<Vec<_>>());
    assert_eq!(observed.leaving.keys().collect::<Vec<_>>(), read.leaving.keys().collect::<Vec<_>>());
}

#[test]
fn beside_one_that_serves_what_goes_drains_at_once() {
    let sim = holding("a@1 b@2");
    let plan = of_web(&sim, &sim.clone().look(), &web("a@1")).unwrap();
    assert_eq!((commands(&plan), relieved(&plan)), (vec!["b state drain".into()], vec![]));
    // A newcomer that was not let in relieves nobody, and is not counted on by the next.
    let mut observed = sim.clone().look();
    let first = of_web(&sim, &observed, &web("a@1 c@3")).unwrap();
    observed.note(&sim.flavour, &first, &BTreeSet::new());
    let next = of_web(&sim, &observed, &web("c@3"));
    assert!(next.is_none_or(|plan| plan.actions.is_empty() || !commands(&plan).contains(&"a state drain".to_owned())));
}

#[test]
fn nothing_where_nothing_comes_or_the_service_has_no_backend() {
    let sim = holding("a@1");
    assert_eq!(of_web(&sim, &sim.clone().look(), &web("a@1")), None);
    let mut other = web("a@1");
    let service = other.services.remove(&"web".parse::<ServiceName>().unwrap()).unwrap();
    other.services.insert("other".parse().unwrap(), service);
    assert_eq!(of_web(&sim, &sim.clone().look(), &other), None);
}
