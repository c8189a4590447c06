//! `lb --dry-run`: it starts nothing, writes nothing, asks the data plane nothing but questions, no member hears of it,
//! and the daemon then does what it said.

mod attached;
mod looks_on;
mod witness;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use backchat::demo::{Driver, Web};
use serde_json::Value;

use self::witness::{Witness, changed, lacking, tree};
use super::{
    disk::Mount,
    recorder::Recorder,
    templates::shown,
    world::{PATIENCE, World, backchat, free},
};
use crate::schema::is_a_plan;

fn list(file: &Path, endpoints: &[(&str, SocketAddr)]) {
    let line = |(name, addr): &(&str, SocketAddr)| format!("      - {{name: {name}, addr: '{addr}'}}\n");
    let lines: String = endpoints.iter().map(line).collect();
    fs::write(file, format!("services:\n  web:\n    endpoints:\n{lines}")).unwrap();
}

/// The flags of an lb that goes by this file alone.
fn by_file(file: &Path) -> Vec<String> {
    vec!["--no-gossip".into(), "--source".into(), format!("file:{}", file.display())]
}

/// What a dry run says, and its status.
struct Said {
    text: String,
    aside: String,
    status: Option<i32>,
}

impl Said {
    fn plan(&self) -> Value {
        let plan = serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}{}", self.text, self.aside));
        is_a_plan(&plan);
        plan
    }
}

/// The arguments of a dry run for the data plane of `proxy`.
fn args(world: &World, more: &[String]) -> Vec<String> {
    let run_dir = world.run_dir("proxy").display().to_string();
    let (gossip, http) = world.balancers.get("proxy").map_or((free(), free()), |b| (b.gossip, b.http));
    let (gossip, http) = (gossip.to_string(), http.to_string());
    let ours = ["lb", "--dry-run", "--node", "proxy", "--bind", &gossip, "--run-dir", &run_dir, "--listen", &http];
    let flags = world.driver.flags().into_iter().map(|flag| flag.into_string().expect("a program's name is text"));
    ours.map(String::from).into_iter().chain(flags).chain(more.iter().cloned()).collect()
}

async fn dry(world: &World, more: &[String], how: &[&str]) -> Said {
    said(&args(world, more), how).await
}

async fn said(args: &[String], how: &[&str]) -> Said {
    let mut command = tokio::process::Command::new(backchat());
    command.args(args).arg("--once").args(how).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { text: text(&output.stdout), aside: text(&output.stderr), status: output.status.code() }
}

/// What would be done, as `add web/web1`.
fn changes(plan: &Value) -> Vec<String> {
    let all = plan["changes"].as_array().into_iter().flatten().filter(|c| c["status"] == "planned");
    all.map(|c| format!("{} {}", c["action"], c["id"]).replace('"', "")).collect()
}

/// What `proxy` has said since then that it does, in the same words; the first so many.
fn done(world: &World, since: usize, first: usize) -> Vec<String> {
    let log = fs::read_to_string(world.folder.path().join("proxy.log")).unwrap_or_default();
    let change = |line: &str| {
        let (before, after) = line.split_once(" kind=")?;
        let action = before.rsplit([' ', ':']).next()?.to_lowercase();
        let id = after.split_whitespace().find_map(|word| word.strip_prefix("id="))?.trim_matches('"');
        Some(format!("{action} {id}"))
    };
    log[since..].lines().filter_map(change).take(first).collect()
}

fn length_of_log(world: &World) -> usize {
    fs::read_to_string(world.folder.path().join("proxy.log")).unwrap_or_default().len()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// Waits until the daemon's status tells that it has applied something in this life, and has nothing left to do.
async fn has_done_all(world: &World) {
    let applied = || async {
        let status = world.status().await;
        status["last_apply"].is_object() && status["converged"] == true && status["error"].is_null()
    };
    world.eventually("the daemon has done all", applied).await;
}

/// The daemon with these flags does what the plan said, and the witnesses saw it do that.
async fn the_daemon_does_this(world: &mut World, plan: &Value, flags: &[String], seen: (&Recorder, &Witness)) {
    let (recorder, witness) = seen;
    let (since, asked, called) = (length_of_log(world), recorder.count(), witness.calls().len());
    let more: Vec<&str> = flags.iter().map(String::as_str).collect();
    world.restart_balancer_with("proxy", &more);
    let said = changes(plan);
    has_done_all(world).await;
    assert_eq!(sorted(done(world, since, said.len())), sorted(said), "{}", world.last_words());
    let commands: Vec<&str> = plan["commands"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
    let sent = recorder.asked().split_off(asked);
    let calls = witness.calls().split_off(called);
    world.plane("proxy").was_told(&commands, &sent, &calls);
    if world.plane("proxy").endpoints_reload() {
        assert_eq!(world.status().await["generation"], plan["to"]);
        let diff = plan["files"][0]["diff"].as_str().unwrap();
        assert_eq!(lacking(diff, &world.plane("proxy").text()), Vec::<String>::new());
    }
}

/// On a tree that may be written and on one that cannot, with witnesses of what the data plane is asked, and of what is
/// called. Whoever would write to the latter would say that he cannot.
async fn nothing_is_done(world: &World, flags: &[String], (recorder, witness): (&Recorder, &Witness)) -> Value {
    let (plane, folder) = (world.plane("proxy"), world.run_dir("proxy"));
    let before = (tree(&folder), plane.state().await, plane.running().await);
    let (asked, called) = (recorder.count(), witness.calls().len());
    // The operator's own template is neither followed nor kept.
    a_mistake_in_a_template_is_said(world, flags).await;
    let template = template(world);
    let text = dry(world, flags, &["--template", &template]).await;
    let mount = Mount::read_only(&folder);
    let json = dry(world, flags, &["-o", "json"]).await;
    drop(mount);
    let (asked, called) = (recorder.asked().split_off(asked), witness.calls().split_off(called));
    assert_eq!((text.status, json.status), (Some(2), Some(2)), "{}{}", text.text, text.aside);
    assert!(!asked.is_empty() && asked.iter().all(|line| plane.is_question(line)), "{asked:#?}");
    assert!(called.iter().all(|args| args == "-V"), "{called:#?}");
    assert_eq!(changed(&before.0, &tree(&folder)), Vec::<PathBuf>::new());
    assert_eq!((plane.state().await, plane.running().await), (before.1, before.2));
    assert_eq!((text.aside.as_str(), json.aside.as_str()), ("", ""));
    let plan = json.plan();
    for id in changes(&plan) {
        assert!(text.text.contains(id.rsplit(' ').next().unwrap()), "{id} is not in {}", text.text);
    }
    plan
}

/// Ours, as a file of the operator's.
fn template(world: &World) -> String {
    let path = world.folder.path().join("own.jinja");
    fs::write(&path, shown(world.driver)).unwrap();
    path.display().to_string()
}

/// A template that does not render is told with its line, whatever else would be done.
async fn a_mistake_in_a_template_is_said(world: &World, flags: &[String]) {
    let path = world.folder.path().join("broken.jinja");
    let ours = shown(world.driver);
    fs::write(&path, format!("{ours}{{{{ nonsense }}}}\n")).unwrap();
    let said = dry(world, flags, &["--template", &path.display().to_string()]).await;
    let words = format!("lb: failed to check {}:{}: 'nonsense' is undefined", path.display(), ours.lines().count() + 1);
    assert_eq!((said.text.as_str(), said.status), ("", Some(78)), "{}", said.aside);
    assert!(said.aside.starts_with(&words), "{}", said.aside);
}

/// Where no data plane runs none is started, and there is no folder.
async fn nothing_is_made(world: &World, flags: &[String]) -> Value {
    a_mistake_in_a_template_is_said(world, flags).await;
    let template = template(world);
    let before = tree(world.folder.path());
    let said = dry(world, flags, &["--template", &template]).await;
    assert_eq!((said.status, said.aside.as_str()), (Some(2), ""), "{}", said.text);
    assert!(said.text.contains(" does not run, "), "{}", said.text);
    let mount = Mount::read_only(world.folder.path());
    let said = dry(world, flags, &["-o", "json"]).await;
    drop(mount);
    assert_eq!((said.status, said.aside.as_str()), (Some(2), ""), "{}", said.text);
    assert_eq!(changed(&before, &tree(world.folder.path())), Vec::<PathBuf>::new());
    assert!(!world.run_dir("proxy").exists(), "it made its run folder");
    said.plan()
}

pub(super) async fn by_a_file_nothing_is_done_and_the_daemon_then_does_it(driver: Driver) {
    by_a_file(driver, |_| Vec::new()).await;
}

/// An OpenResty without Lua is driven as an nginx is.
#[tokio::test(flavor = "multi_thread")]
async fn an_openresty_that_reloads_is_rehearsed_too() {
    let mode = ["--driver", "openresty", "--openresty-mode", "reload", "--openresty"].map(String::from);
    by_a_file(Driver::Nginx, |witness| [&mode[..], &witness.flags()[1..]].concat()).await;
}

async fn by_a_file(driver: Driver, more: impl Fn(&Witness) -> Vec<String>) {
    let mut world = World::empty(driver);
    let mut webs = Vec::new();
    for name in ["a", "b", "c"] {
        webs.push(Web::start(SocketAddr::from(([127, 0, 0, 1], 0)), name).await.unwrap());
    }
    let addr = |n: usize| webs[n].addr();
    let (now, next) = (world.folder.path().join("now.yaml"), world.folder.path().join("next.yml"));
    list(&now, &[("a", addr(0)), ("b", addr(1))]);
    list(&next, &[("b", addr(1)), ("c", addr(2))]);
    let witness = Witness::new(&world);
    let flags = |file: &Path| [by_file(file), witness.flags(), more(&witness)].concat();

    let plan = nothing_is_made(&world, &flags(&now)).await;
    assert_eq!(plan["format"], "backchat.plan/1");
    assert_eq!(changes(&plan), ["add web/a", "add web/b", "add */", "add web"]);
    let start = flags(&now);
    world.start_balancer("proxy", &start.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.serves(&["a", "b"]).await;
    has_done_all(&world).await;
    assert_eq!(sorted(done(&world, 0, 4)), sorted(changes(&plan)), "{}", world.last_words());
    let at = || async { world.status().await["generation"] == plan["to"] };
    world.eventually("its generation is the one that was said", at).await;
    let said = dry(&world, &start, &[]).await;
    assert_eq!(said.status, Some(0), "what is there needs no change: {}{}", said.text, said.aside);

    world.kill_lb().await;
    let recorder = Recorder::before(&world.plane("proxy").socket()).unwrap();
    let plan = nothing_is_done(&world, &flags(&next), (&recorder, &witness)).await;
    assert!(
        changes(&plan).contains(&"add web/c".into()) && changes(&plan).contains(&"remove web/a".into()),
        "{plan:#}"
    );
    the_daemon_does_this(&mut world, &plan, &flags(&next), (&recorder, &witness)).await;
    world.serves(&["b", "c"]).await;
}

pub(super) async fn by_gossip_nothing_is_done_and_the_daemon_then_does_it(driver: Driver) {
    let mut world = World::empty(driver);
    world.start_agent("web1", &["--drain-timeout", "300ms"]).await;
    let first = world.agents["web1"].gossip.to_string();
    world.start_agent("web2", &["--join", &first]).await;
    let second = world.agents["web2"].gossip.to_string();
    world.members("web2", &[("web1", "alive"), ("web2", "alive")]).await;
    let witness = Witness::new(&world);
    let flags = [vec!["--join".into(), second.clone()], witness.flags()].concat();

    let plan = nothing_is_made(&world, &flags).await;
    assert_eq!(changes(&plan), ["add web/web1", "add web/web2", "add */", "add web"]);
    world.start_balancer("proxy", &flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.serves(&["web1", "web2"]).await;
    has_done_all(&world).await;
    assert_eq!(sorted(done(&world, 0, 4)), sorted(changes(&plan)), "{}", world.last_words());
    let said = dry(&world, &flags, &[]).await;
    assert_eq!(said.status, Some(0), "what is there needs no change: {}{}", said.text, said.aside);

    // One that comes is told of before all else is, by itself: it may be done in a step of its own. One that has left is
    // not, so that the daemon's first step is the one that was shown.
    world.kill_lb().await;
    let agent = world.agents.get_mut("web1").unwrap();
    agent.process.terminate().unwrap();
    agent.process.ended(PATIENCE).await.unwrap().expect("it leaves");
    let as_it_is = [("web1", "left"), ("web2", "alive"), ("proxy", "failed")];
    world.members("web2", &as_it_is).await;
    let recorder = Recorder::before(&world.plane("proxy").socket()).unwrap();
    let plan = nothing_is_done(&world, &flags, (&recorder, &witness)).await;
    assert_eq!(changes(&plan), ["remove web/web1"], "{plan:#}");
    world.members("web2", &as_it_is).await;
    the_daemon_does_this(&mut world, &plan, &flags, (&recorder, &witness)).await;
    world.serves(&["web2"]).await;
}

/// It was ended with its lb: what it would start from is what it would serve, and the rest is what would be done.
pub(super) async fn one_that_was_ended_is_shown_as_it_would_start(driver: Driver) {
    let mut world = World::with(driver, &["web1", "web2"]).await;
    world.converges().await;
    let join = world.agents["web1"].gossip.to_string();
    world.end_lb().await;
    let flags = vec!["--join".into(), join.clone()];
    let said = dry(&world, &flags, &[]).await;
    assert_eq!(said.status, Some(0), "{}{}", said.text, said.aside);
    world.start_agent("web3", &["--join", &join]).await;
    world.members("web1", &[("web3", "alive")]).await;
    let (before, since) = (tree(&world.run_dir("proxy")), length_of_log(&world));
    let said = dry(&world, &flags, &["-o", "json"]).await;
    assert_eq!(changed(&before, &tree(&world.run_dir("proxy"))), Vec::<PathBuf>::new());
    let plan = said.plan();
    assert_eq!((changes(&plan), said.status), (vec!["add web/web3".into()], Some(2)), "{plan:#}");
    world.restart_balancer_with("proxy", &["--join", &join]);
    world.serves(&["web1", "web2", "web3"]).await;
    assert_eq!(done(&world, since, 1), changes(&plan), "{}", world.last_words());
}
