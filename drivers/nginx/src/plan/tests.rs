//! Plans: what needs a reload, what is only written, who may forbid it, and what is said of it.

use backchat_contract::{Endpoint, EndpointState, Idle, Route, Weight};
use proptest::prelude::*;

use super::*;
use crate::{
    ages::Worker,
    paper::{By, Paper},
    runner::Look,
};

impl Paper {
    fn plan(&self, desired: &Desired, structure: Structure) -> Step<Plan> {
        self.step(desired, &Observed::of(self.look.clone()), Mode { structure })
    }

    /// Steps until nothing is left to do; why it reloaded.
    fn converge(&mut self, desired: &Desired) -> Vec<String> {
        let mut whys = Vec::new();
        for _ in 0..4 {
            let Step::Change(plan) = self.plan(desired, Structure::Allowed) else { return whys };
            whys.extend(plan.reload.iter().map(|reload| reload.why.clone()));
            self.take(&plan);
        }
        panic!("never done");
    }

    fn live(&self) -> Desired {
        Observed::of(self.look.clone()).live.desired()
    }
}

/// `web/web1 ready`, `web/web2 drain 0`, `api`, `route a.example/x web`.
fn desired(words: &[&str]) -> Desired {
    let mut desired = Desired::default();
    for line in words {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["route", route, service] = words[..] {
            let (host, path) = route.split_at(route.find('/').unwrap());
            let route = Route { host: host.parse().unwrap(), path: path.parse().unwrap() };
            desired.routes.insert(route, service.parse().unwrap());
            continue;
        }
        let (service, endpoint) = words[0].split_once('/').unwrap_or((words[0], ""));
        let service = desired.services.entry(service.parse().unwrap()).or_default();
        if !endpoint.is_empty() {
            let port = 80 + u16::from(endpoint.as_bytes()[endpoint.len() - 1]);
            let state = if words[1] == "drain" { EndpointState::Drain } else { EndpointState::Ready };
            let weight = words.get(2).map_or(100, |weight| weight.parse().unwrap());
            let one = Endpoint {
                addr: std::net::SocketAddr::from(([10, 0, 0, 1], port)).try_into().unwrap(),
                weight: Weight::try_from(weight).unwrap(),
                state,
            };
            service.endpoints.insert(endpoint.parse().unwrap(), one);
        }
    }
    desired
}

const ONE: &[&str] = &["web/web1 ready", "route a.example/ web"];

/// What nginx took is not checked again where only endpoints differ from it.
#[test]
fn endpoints_alone_are_not_checked_again() {
    let mut paper = Paper::by(include_str!("../../../../templates/nginx.conf.jinja"));
    let two = [ONE, &["web/web2 ready"]].concat();
    let reload = |paper: &Paper, words: &[&str]| {
        let Step::Change(plan) = paper.plan(&desired(words), Structure::Allowed) else { panic!("{words:?}: nothing") };
        (plan.reload.clone().expect("a reload"), plan)
    };
    let (first, plan) = reload(&paper, ONE);
    assert!(first.is_checked && first.commands.len() == 2, "{:?}", first.commands);
    paper.take(&plan);
    let (unknown, _) = reload(&paper, &two);
    assert!(unknown.is_checked, "it took that in another life");
    paper.taken = Some(first.alike);
    let (alike, _) = reload(&paper, &two);
    assert!(!alike.is_checked && alike.commands.len() == 1, "{:?}", alike.commands);
    for more in ["api/api1 ready", "route b.example/ web"] {
        let (other, _) = reload(&paper, &[ONE, &[more]].concat());
        assert!(other.is_checked, "{more}");
    }
    if let By::Settings(settings) = &mut paper.by {
        std::sync::Arc::make_mut(settings).template.text.insert_str(0, "# mine\n");
    }
    assert!(reload(&paper, &two).0.is_checked, "another template");
}

#[test]
fn reasons_to_reload() {
    let mut paper = Paper::new();
    let mut check = |words: &[&str], whys: &[&str]| {
        assert_eq!(paper.converge(&desired(words)), whys, "{words:?}");
        assert_eq!(paper.live(), desired(words));
    };
    check(ONE, &["new: web, routes changed"]);
    check(ONE, &[]);
    check(&[ONE, &["web/web2 ready"]].concat(), &["endpoints of web changed"]);
    check(&[ONE, &["web/web2 drain"]].concat(), &["endpoints of web changed"]);
    check(&[ONE, &["web/web2 drain", "web/web3 drain"]].concat(), &[]);
    check(&[ONE, &["web/web2 ready 0"]].concat(), &[]);
    check(ONE, &[]);
    check(&[ONE, &["api/api1 ready", "route b.example/ api"]].concat(), &["new: api, routes changed"]);
    check(&["api/api1 ready", "route b.example/ api"], &["gone: web, routes changed"]);
    check(&["api/api1 ready", "route b.example/x api"], &["routes changed"]);
    check(&["api/api1 ready 50", "route b.example/x api"], &["endpoints of api changed"]);
    check(&["a", "b", "c", "d", "e", "f", "g"], &["new: a, b, c, d, e and 2 more, gone: api, routes changed"]);
    paper.by = By::Word("u");
    assert_eq!(paper.converge(&paper.live()), ["template or settings changed"]);
    paper.look.distrusted = true;
    assert_eq!(paper.converge(&paper.live()), ["somebody else has reloaded nginx, and changed its file meanwhile"]);
    paper.look.running = None;
    assert_eq!(paper.converge(&paper.live()), ["nginx does not run a configuration of ours"]);
}

#[test]
fn a_plan_shows_what_nginx_reads() {
    let mut paper = Paper::new();
    let Step::Change(plan) = paper.plan(&desired(ONE), Structure::Allowed) else { panic!() };
    let view = plan.view();
    assert_eq!(view.commands, ["nginx -t", "kill -HUP 7"]);
    assert_eq!(view.reload.as_deref(), Some("new: web, routes changed"));
    let diff = view.files.iter().map(FileChange::diff).collect::<String>();
    assert!(
        diff.contains("+server web/web1 10.0.0.1:129 100\n") && !diff.contains("#bc") && !diff.contains("end of file")
    );
    assert_eq!(view.changes.len(), 3);
    paper.take(&plan);
    // What nginx reads stays as it is: nothing to show, nothing to run.
    let Step::Change(plan) = paper.plan(&desired(&[ONE, &["web/web2 drain"]].concat()), Structure::Allowed) else {
        panic!()
    };
    let view = plan.view();
    assert_eq!((view.files.len(), view.commands.len(), view.reload, view.changes.len()), (0, 0, None, 1));
}

#[test]
fn an_edited_file_is_not_written_over() {
    let mut paper = Paper::new();
    paper.converge(&desired(ONE));
    paper.look.file = paper.look.file.replacen("t\n", "t # mine\n", 1);
    let waits = |words: &[&str], expected: &str| {
        let Step::Waiting { why, recheck } = paper.plan(&desired(words), Structure::Allowed) else {
            panic!("{words:?}")
        };
        assert!(why.starts_with("/r/nginx.conf was edited by hand; ") && why.ends_with(expected), "{why}");
        assert_eq!(recheck, OPERATOR);
    };
    waits(ONE, "nginx.conf.edited");
    waits(&[], "(needed: gone: web, routes changed)");
    assert_eq!(paper.live(), desired(ONE));
    let Step::Change(plan) = paper.plan(&desired(ONE), Structure::Forced) else { panic!() };
    assert_eq!(plan.reload, None);
    paper.take(&plan);
    assert_eq!(paper.plan(&desired(ONE), Structure::Allowed), Step::Converged);
}

#[test]
fn held_structure_lets_endpoints_flow() {
    let mut paper = Paper::new();
    paper.converge(&desired(ONE));
    let more = [ONE, &["web/web2 ready", "api/api1 ready", "route b.example/ api"]].concat();
    let Step::Change(plan) = paper.plan(&desired(&more), Structure::Held) else { panic!() };
    assert_eq!(plan.view().reload.as_deref(), Some("endpoints of web changed"));
    paper.take(&plan);
    assert_eq!(paper.live(), desired(&[ONE, &["web/web2 ready"]].concat()));
    let Step::Waiting { why, .. } = paper.plan(&desired(&more), Structure::Held) else { panic!() };
    assert_eq!(why, "structure waits for approval (needed: new: api, routes changed)");
    // A service that goes loses its endpoints, and stays until that is approved.
    let Step::Change(plan) = paper.plan(&desired(&[]), Structure::Held) else { panic!() };
    paper.take(&plan);
    assert_eq!(paper.live(), desired(&["web", "route a.example/ web"]));
    // Endpoints alone are nobody's to approve.
    let Step::Change(plan) = paper.plan(&desired(ONE), Structure::Held) else { panic!() };
    paper.take(&plan);
    assert_eq!(paper.plan(&desired(ONE), Structure::Held), Step::Converged);
    // No file has the old template and new endpoints.
    paper.by = By::Word("u");
    let Step::Waiting { why, .. } = paper.plan(&desired(&[]), Structure::Held) else { panic!() };
    assert!(why.starts_with("structure waits for approval"), "{why}");
}

#[test]
fn a_template_that_does_not_render_is_told_and_changes_nothing() {
    let mut paper = Paper::new();
    paper.converge(&desired(ONE));
    paper.by = By::Word("");
    let Step::Waiting { why, .. } = paper.plan(&desired(&[]), Structure::Allowed) else { panic!() };
    assert_eq!(why, "check t: no; the last good configuration serves on");
}

#[test]
fn what_runs_is_known_by_its_hash() {
    let mut paper = Paper::new();
    paper.converge(&desired(ONE));
    let ran = paper.look.clone();
    let Step::Change(plan) = paper.plan(&desired(&["api/api1 ready"]), Structure::Allowed) else { panic!() };
    // A crash: the file is there, and was not loaded.
    paper.look.last_good = std::mem::replace(&mut paper.look.file, plan.text);
    assert_eq!(paper.live(), desired(ONE));
    let Step::Change(plan) = paper.plan(&desired(ONE), Structure::Allowed) else { panic!() };
    assert!(plan.fall_back && plan.reload.is_none());
    assert_eq!(plan.text, ran.file);
    // A file that is cut says nothing.
    paper.look.file.truncate(40);
    assert_eq!(paper.live(), desired(ONE));
    assert_eq!(Observed::of(Look { last_good: String::new(), ..paper.look.clone() }).live, Layout::default());
}

#[test]
fn a_drain_is_as_old_as_the_generation_without_it() {
    let mut paper = Paper::new();
    let idle = |paper: &Paper| {
        let id = |endpoint: &str| backchat_contract::EndpointId {
            service: "web".parse().unwrap(),
            endpoint: endpoint.parse().unwrap(),
        };
        let observed = Observed::of(paper.look.clone());
        [observed.idle(&id("web1")), observed.idle(&id("web2"))]
    };
    paper.converge(&desired(&["web/web1 ready", "web/web2 ready"]));
    paper.look.workers.retain(|worker| !worker.retiring);
    paper.converge(&desired(&["web/web1 drain", "web/web2 ready"]));
    assert_eq!(idle(&paper), [Idle::No, Idle::Unknown]);
    let Step::Waiting { why, .. } = paper.plan(&paper.live(), Structure::Allowed) else { panic!() };
    assert_eq!(why, "web/web1 may have requests left with 1 workers of before");
    paper.look.workers.retain(|worker| !worker.retiring);
    paper.converge(&desired(&["web/web1 drain", "web/web2 drain"]));
    // The worker that retires was begun without web1.
    assert_eq!(idle(&paper), [Idle::Yes, Idle::No]);
    paper.look.workers.retain(|worker| !worker.retiring);
    assert_eq!(idle(&paper), [Idle::Yes, Idle::Yes]);
    assert_eq!(paper.plan(&paper.live(), Structure::Allowed), Step::Converged);
    paper.look.distrusted = true;
    assert_eq!(idle(&paper), [Idle::Unknown, Idle::Unknown]);
}

#[test]
fn too_many_that_retire_hold_a_reload_and_nothing_else() {
    let mut paper = Paper::new();
    paper.converge(&desired(ONE));
    let worker = |pid, retiring| Worker { pid, born: 1, retiring };
    let mut check = |retiring: u32, serving: u32, waits: bool| {
        let old = (0..retiring).map(|n| worker(n + 1000, true));
        paper.look.workers = old.chain((0..serving).map(|n| worker(n + 2000, false))).collect();
        let step = paper.plan(&desired(&[]), Structure::Allowed);
        assert_eq!(matches!(step, Step::Waiting { .. }), waits, "{retiring} beside {serving}");
        assert_eq!(matches!(step, Step::Change(_)), !waits);
        let written = paper.plan(&desired(&[ONE, &["web/web2 drain"]].concat()), Structure::Allowed);
        assert!(matches!(written, Step::Change(plan) if plan.reload.is_none()));
    };
    check(15, 1, false);
    check(16, 1, true);
    check(16, 8, false);
    check(32, 8, true);
}

#[test]
fn names_that_are_ours_to_give_are_left_out() {
    let mut paper = Paper::new();
    let words = &["bc-web/web1 ready", "route a.example/ bc-web", "route b.example/ nobody"];
    assert_eq!(paper.converge(&desired(words)), Vec::<String>::new());
    assert_eq!(paper.live(), Desired::default());
    assert_eq!(paper.plan(&desired(words), Structure::Allowed), Step::Converged);
}

fn any_desired() -> impl Strategy<Value = Desired> {
    let endpoint = (0..3_usize, 0..3_usize, 0..3_usize).prop_map(|(service, endpoint, state)| {
        let state = ["ready", "drain", "ready 0"][state];
        format!("{}/e{endpoint} {state}", ["web", "api", "db"][service])
    });
    let route = (0..2_usize, 0..3_usize).prop_map(|(host, service)| {
        format!("route {}/ {}", ["a.example", "*.example"][host], ["web", "api", "db"][service])
    });
    (proptest::collection::vec(endpoint, 0..6), proptest::collection::vec(route, 0..3)).prop_map(
        |(endpoints, routes)| {
            let words: Vec<&str> = endpoints.iter().chain(&routes).map(String::as_str).collect();
            let mut desired = desired(&words);
            let services = desired.services.clone();
            desired.routes.retain(|_, service| services.contains_key(service));
            desired
        },
    )
}

proptest! {
    /// Whatever is wanted one after the other: it is reached with a reload at most, and then nothing is left to do.
    #[test]
    fn applied_plans_reach_what_was_wanted(wanted in proptest::collection::vec(any_desired(), 1..6)) {
        let mut paper = Paper::new();
        for desired in wanted {
            let reloads = paper.converge(&desired).len();
            prop_assert!(reloads <= 1);
            prop_assert_eq!(paper.live(), desired.clone());
            paper.look.workers.retain(|worker| !worker.retiring);
            prop_assert_eq!(paper.plan(&desired, Structure::Allowed), Step::Converged);
        }
    }
}

/// What a reload loads has one hash, whichever endpoints come and go beside it, and another for another template or
/// service.
#[test]
fn what_is_loaded_is_told_without_what_comes_and_goes() {
    let loads = |before: &[&str], after: &[&str], template| {
        let mut paper = Paper::new();
        paper.converge(&desired(before));
        paper.by = By::Word(template);
        let Step::Change(plan) = paper.plan(&desired(after), Structure::Allowed) else { panic!("nothing to do") };
        plan.reload.unwrap().alike
    };
    let more = [ONE, &["web/web2 ready"]].concat();
    let shown = loads(ONE, ONE, "u");
    assert_eq!(loads(&more, &more, "u"), shown);
    assert_eq!(loads(ONE, &more, "u"), shown);
    assert_ne!(loads(ONE, ONE, "v"), shown);
    assert_ne!(loads(ONE, &[ONE, &["api/api1 ready"]].concat(), "u"), shown);
}
