//! The agent runs the service: what is told of it, how it ends, and that it never outlives its agent.

use std::{collections::BTreeSet, fs, net::SocketAddr, time::Duration};

use backchat::demo::{
    Child, Driver,
    child::{children_of, kill_pid, runs},
    ports,
};
use rustix::process::Signal;
use tokio::time::Instant;

use super::{
    plane::ANY,
    world::{PATIENCE, World, backchat, none_failed},
};
use crate::signal::{halt, send};

/// The web server of these tests, as the child itself.
const WEB: [&str; 5] = ["BACKCHAT", "demo-web", "--kept", "--listen=ADDR", "--name=NAME"];

/// The same within a shell's line, behind `before`.
fn shell(before: &str) -> [String; 3] {
    ["sh".into(), "-c".into(), format!("{before} {}", WEB.join(" "))]
}

/// All that descends from it.
fn descendants_of(ancestor: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut left = children_of(ancestor);
    while let Some(pid) = left.pop() {
        if found.insert(pid) {
            left.extend(children_of(pid));
        }
    }
    found
}

/// The one process that an agent's keeper has started.
fn service_of(world: &World, name: &str) -> Option<u32> {
    let keeper = children_of(world.agents[name].process.pid()).first().copied()?;
    children_of(keeper).first().copied()
}

async fn code(world: &mut World, name: &str) -> Option<i32> {
    let status = world.agents.get_mut(name).unwrap().process.ended(PATIENCE).await.unwrap();
    status.unwrap_or_else(|| panic!("{name} runs on\n{}", world.last_words())).code()
}

/// Why the agent offers its service or not, as its status says.
async fn check(world: &World, name: &str) -> Option<(bool, String)> {
    let status = world.json(name, &["status"]).await?;
    let check = &status["checks"][0];
    Some((check["up"].as_bool()?, check["why"].as_str().unwrap_or_default().to_owned()))
}

pub(super) async fn a_service_that_dies_is_out_at_once_and_its_agent_ends_as_it_did(driver: Driver) {
    let mut world = World::with(driver, &["web1"]).await;
    let names = ["web2", "web3", "web4", "web5", "web6"];
    let addrs = names.map(|name| world.start_agent_running(name, &[], &WEB));
    world.serves(&["web1", "web2", "web3", "web4", "web5", "web6"]).await;
    let traffic = world.traffic();
    let mut took = Vec::new();
    for (name, addr) in names.into_iter().zip(addrs) {
        took.push(killed_until_gone(&world, name, addr).await);
        assert_eq!(code(&mut world, name).await, Some(128 + 9), "{}", world.last_words());
        world.members("proxy", &[(name, "left")]).await;
    }
    took.sort();
    let median = took[took.len() / 2];
    println!("kill -9 of a service: forgotten by {driver} after {median:?} in the median of {took:?}");
    // The issue asks for a tenth of a second, which the benchmark shows; machines that run tests are busy with others.
    // One that reloads gathers changes first.
    let soon = Duration::from_secs(if world.plane("proxy").endpoints_reload() { 4 } else { 1 });
    assert!(median < soon, "{took:?}\n{}", world.last_words());
    none_failed(traffic).await;
}

/// Kills the service of this node; how long it takes until the data plane has nothing there any more. Its own checks may
/// be as quick to take it out; that it is forgotten goes by our word alone.
async fn killed_until_gone(world: &World, name: &str, addr: SocketAddr) -> Duration {
    let service = service_of(world, name).expect("it runs");
    let (plane, killed) = (world.plane("proxy"), Instant::now());
    kill_pid(service).unwrap();
    world.eventually(&format!("{addr} is gone"), || async { !plane.knows(addr).await }).await;
    killed.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_an_agent_that_is_killed() {
    let mut world = World::new(ANY).await;
    // A child, one in a session of its own, one whose parent is gone, and one that is deaf to every polite word.
    let forks = "trap '' TERM; sleep 600 & setsid sleep 600 & (sleep 600 & sleep 600 &)";
    let line = shell(&format!("{forks}; exec"));
    world.start_agent_running("web1", &[], &line.each_ref().map(String::as_str));
    world.serves(&["web1"]).await;
    let agent = world.agents["web1"].process.pid();
    let family = descendants_of(agent);
    assert!(family.len() >= 6, "keeper, web server, four sleeps: {family:?}");

    let killed = Instant::now();
    kill_pid(agent).unwrap();
    world.eventually("nobody is left", async || !family.iter().any(|pid| runs(*pid))).await;
    println!("kill -9 of the agent: the last of {} descendants ended after {:?}", family.len(), killed.elapsed());
    assert_eq!(code(&mut world, "web1").await, None);
}

/// A check's command that is under way when its agent is killed. It must not end by itself where nobody reads it.
#[tokio::test(flavor = "multi_thread")]
async fn no_check_outlives_an_agent_that_is_killed() {
    let mut world = World::new(ANY).await;
    let told = world.folder.path().join("check");
    let command = format!("exec:echo $$ >>{0}; exec tail -f {0} >/dev/null 2>&1", told.display());
    world.start_agent("web1", &["--check", &command, "--check-timeout", "10m"]).await;
    let check = || fs::read_to_string(&told).ok()?.trim().parse().ok();
    world.eventually("it looks", async || check().is_some_and(runs)).await;
    let check = check().expect("it looks");
    kill_pid(world.agents["web1"].process.pid()).unwrap();
    world.eventually("its check ends with it", async || !runs(check)).await;
}

/// What SIGKILL does not end is waited for in D state: here, for a test's sake, it is what cannot be found.
#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_gives_up_what_it_cannot_end() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: a process namespace needs root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    // Of its own accord it left the group, and /proc shows another namespace. It ends with this one.
    let line = format!(
        "setsid sh -c 'echo >{0}; exec sleep 600' & until test -s {0}; do sleep 0.01; done; exit 3",
        ready.display()
    );
    let (_agent, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut keeper = tokio::process::Command::new("unshare");
    keeper.args(["--fork", "--pid", "--kill-child"]).arg(backchat());
    keeper.args(["keep", "--grace-ms", "100", "--", "sh", "-c", &line]);
    keeper.stdin(std::os::fd::OwnedFd::from(theirs)).kill_on_drop(true);
    let ended = tokio::time::timeout(2 * PATIENCE, keeper.output()).await;
    let output = ended.expect("it does not look for ever").unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("that cannot be found"), "{}: {said}", output.status);
}

/// Whoever kills the keeper ends the service, and its agent knows.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_a_keeper_that_is_killed() {
    let mut world = World::new(ANY).await;
    let line = shell("sleep 600 & exec");
    let addr = world.start_agent_running("web1", &[], &line.each_ref().map(String::as_str));
    world.serves(&["web1"]).await;
    let agent = world.agents["web1"].process.pid();
    let (keeper, family) = (children_of(agent)[0], descendants_of(agent));
    send(keeper, Signal::TERM);
    send(keeper, Signal::INT);
    world.serves(&["web1"]).await;
    assert!(family.iter().all(|pid| runs(*pid)), "what is meant for all processes of a unit ends no keeper");

    // While the agent cannot do anything, the kernel does.
    let service = service_of(&world, "web1").expect("it runs");
    halt(agent);
    kill_pid(keeper).unwrap();
    world.eventually("the service ends with its keeper", async || !runs(service)).await;
    send(agent, Signal::CONT);
    world.eventually("nobody is left", async || !family.iter().any(|pid| runs(*pid))).await;
    world.out(addr).await;
    assert_eq!(code(&mut world, "web1").await, Some(128 + 9), "{}", world.last_words());
}

pub(super) async fn a_leave_drains_first_and_passes_the_status_on(driver: Driver) {
    let mut world = World::with(driver, &["web1"]).await;
    let line = shell("trap 'kill $web; wait $web; exit 7' TERM;").map(|line| line + " & web=$!; wait");
    let line = ["sh", "-c", line[2].as_str()];
    let addr = world.start_agent_running("web2", &[], &line);
    world.serves(&["web1", "web2"]).await;
    let traffic = world.traffic();
    let family = descendants_of(world.agents["web2"].process.pid());
    world.agents["web2"].process.terminate().unwrap();
    world.out(addr).await;
    assert_eq!(code(&mut world, "web2").await, Some(7), "{}", world.last_words());
    assert!(!family.iter().any(|pid| runs(*pid)), "nothing of it is left when the agent has ended");
    let words = world.agents["web2"].process.last_words(10);
    let (drained, stopped) = (words.find("drained balancers=\"proxy\""), words.find("exited with status 7"));
    assert!(drained.is_some() && drained < stopped, "it is stopped after the drain: {words}");
    world.members("proxy", &[("web2", "left")]).await;
    none_failed(traffic).await;
}

/// A service that is deaf to its stop signal: the second signal does not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_kills_a_service_that_does_not_stop() {
    let mut world = World::new(ANY).await;
    let line = shell("trap '' INT; (");
    let line = ["sh", "-c", &format!("{}) & wait; wait; sleep 600", line[2])];
    world.start_agent_running("web1", &["--stop-timeout", "10m", "--stop-signal", "INT"], &line);
    world.serves(&["web1"]).await;
    let pid = world.agents["web1"].process.pid();
    let family = descendants_of(pid);
    send(pid, Signal::TERM);
    let draining = async || world.agents["web1"].process.last_words(10).contains("drained balancers");
    world.eventually("web1 has drained", draining).await;
    assert!(world.agents.get_mut("web1").unwrap().process.is_running(), "it waits for its service");
    let second = Instant::now();
    send(pid, Signal::TERM);
    assert_eq!(code(&mut world, "web1").await, Some(128 + 9), "{}", world.last_words());
    assert!(second.elapsed() < Duration::from_secs(6), "took {:?}", second.elapsed());
    assert!(!family.iter().any(|pid| runs(*pid)), "nothing of it is left");
}

pub(super) async fn a_service_gets_no_request_before_it_listens(driver: Driver) {
    let mut world = World::with(driver, &["web1"]).await;
    let traffic = world.traffic();
    let gate = world.folder.path().join("gate");
    let line = shell(&format!("until test -e {}; do sleep 0.05; done; exec", gate.display()));
    let addr = world.start_agent_running("web2", &[], &line.each_ref().map(String::as_str));
    world.members("proxy", &[("web2", "alive")]).await;
    let refused = async || check(&world, "web2").await.is_some_and(|(up, why)| !up && why.contains("refused"));
    world.eventually("web2 says that nobody listens yet", refused).await;
    assert!(!world.plane("proxy").knows(addr).await, "the data plane has heard of it already");
    fs::write(gate, "").unwrap();
    world.serves(&["web1", "web2"]).await;
    none_failed(traffic).await;
}

pub(super) async fn what_fails_its_check_is_withdrawn_until_it_passes(driver: Driver) {
    let mut world = World::with(driver, &["web1"]).await;
    let fine = world.folder.path().join("fine");
    fs::write(&fine, "").unwrap();
    let command = format!("exec:test -e {} || {{ echo gone fishing; exit 3; }}", fine.display());
    let pace = ["--check-interval", "50ms", "--check-fall", "3", "--check-timeout", "20s"];
    world.start_agent("web2", &[&["--check", &command], &pace[..]].concat()).await;
    world.serves(&["web1", "web2"]).await;
    let traffic = world.traffic();
    fs::remove_file(&fine).unwrap();
    world.out(world.agents["web2"].addr).await;
    world.serves(&["web1"]).await;
    let told = async || {
        check(&world, "web2").await.is_some_and(|(up, why)| !up && why.contains("exit status: 3: gone fishing"))
    };
    world.eventually("web2 says why it is withdrawn", told).await;
    world.members("proxy", &[("web2", "alive")]).await;
    fs::write(&fine, "").unwrap();
    world.serves(&["web1", "web2"]).await;
    let told = async || check(&world, "web2").await == Some((true, String::new()));
    world.eventually("web2 has nothing to complain of", told).await;
    none_failed(traffic).await;
}

pub(super) async fn a_service_that_fails_is_started_again_after_growing_pauses(driver: Driver) {
    let mut world = World::with(driver, &["web1"]).await;
    let addr = world.start_agent_running("web2", &["--restart", "on-failure"], &WEB);
    world.serves(&["web1", "web2"]).await;
    let traffic = world.traffic();
    let mut before = service_of(&world, "web2").expect("it runs");
    for pause in ["100ms", "200ms"] {
        kill_pid(before).unwrap();
        world.out(addr).await;
        world.serves(&["web1", "web2"]).await;
        let again = async || service_of(&world, "web2").is_some_and(|pid| pid != before);
        world.eventually("another one runs", again).await;
        before = service_of(&world, "web2").expect("it runs");
        let words = world.agents["web2"].process.last_words(10);
        assert!(words.contains(&format!("it is started again in {pause}")), "{words}");
    }
    none_failed(traffic).await;
    // It ends well: that is no failure.
    send(before, Signal::TERM);
    assert_eq!(code(&mut world, "web2").await, Some(0), "{}", world.last_words());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_started_says_so() {
    let mut world = World::new(ANY).await;
    world.start_agent_running("web1", &[], &["/no/such/program"]);
    assert_eq!(code(&mut world, "web1").await, Some(127), "{}", world.last_words());
    let words = world.agents["web1"].process.last_words(10);
    assert!(words.contains("agent: cannot start /no/such/program: No such file or directory"), "{words}");
}

/// A reload by SIGHUP is the service's own matter.
#[tokio::test(flavor = "multi_thread")]
async fn signals_are_handed_on() {
    let mut world = World::new(ANY).await;
    let heard = world.folder.path().join("heard");
    let traps: String = ["HUP", "QUIT", "USR1", "USR2"]
        .map(|name| format!("trap 'echo {name} >>{}' {name}; ", heard.display()))
        .concat();
    let line = shell(&traps).map(|line| line + " & while :; do wait; done");
    world.start_agent_running("web1", &[], &["sh", "-c", &line[2]]);
    world.serves(&["web1"]).await;
    let pid = world.agents["web1"].process.pid();
    for (signal, name) in [(Signal::HUP, "HUP"), (Signal::QUIT, "QUIT"), (Signal::USR1, "USR1"), (Signal::USR2, "USR2")]
    {
        send(pid, signal);
        let came = async || fs::read_to_string(&heard).is_ok_and(|text| text.lines().last() == Some(name));
        world.eventually(&format!("the service has heard {name}"), came).await;
    }
}

/// nginx forks its workers; they are neither left over a crash of the agent nor cut off by a leave.
#[tokio::test(flavor = "multi_thread")]
async fn nginx_is_run_and_leaves_no_worker() {
    if !["/usr/sbin/nginx", "/usr/bin/nginx"].iter().any(|path| fs::exists(path).unwrap_or(false)) {
        eprintln!("SKIPPED: there is no nginx: packaging/install-deps.sh test");
        return;
    }
    let mut world = World::with(ANY, &["web1"]).await;
    let configured = |world: &World, name: &str| {
        let (path, folder) = (world.folder.path().join(format!("{name}.conf")), world.folder.path().display());
        // The address is known only once the agent is started: the line below fills it in.
        let text = format!(
            "worker_processes 2; pid {folder}/{name}.pid; error_log stderr; events {{}} http {{ access_log off; \
             server {{ listen ADDR; location / {{ return 200 '{name}'; }} }} }}"
        );
        format!("echo \"{text}\" >{path}; exec nginx -c {path} -g 'daemon off;'", path = path.display())
    };
    let line = configured(&world, "web2");
    world.start_agent_running("web2", &["--stop-signal", "QUIT"], &["sh", "-c", &line]);
    let line = configured(&world, "web3");
    let addr = world.start_agent_running("web3", &[], &["sh", "-c", &line]);
    world.serves(&["web1", "web2", "web3"]).await;
    let traffic = world.traffic();
    world.agents["web2"].process.terminate().unwrap();
    assert_eq!(code(&mut world, "web2").await, Some(0), "{}", world.last_words());
    world.serves(&["web1", "web3"]).await;

    let agent = world.agents["web3"].process.pid();
    let family = descendants_of(agent);
    assert_eq!(family.len(), 4, "keeper, master, two workers");
    kill_pid(agent).unwrap();
    world.eventually("no worker is left", async || !family.iter().any(|pid| runs(*pid))).await;
    world.out(addr).await;
    none_failed(traffic).await;
}

/// In a container: what the service and the checks orphan is reaped, signals come through, the status goes out.
#[tokio::test(flavor = "multi_thread")]
async fn as_the_first_process_an_agent_reaps_and_passes_the_status_on() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: a process namespace needs root");
        return;
    }
    let world = World::new(ANY).await;
    let addr = ports::free().unwrap();
    let (bind, join, run_dir) =
        (ports::free().unwrap().to_string(), world.proxy().gossip.to_string(), world.run_dir("web1"));
    let orphans = world.folder.path().join("orphans");
    // Away from its check's process group, which ends with the check.
    let check = format!("exec:setsid sh -c 'sleep 0.01; echo >>{}' & true", orphans.display());
    let line = shell("trap 'kill $!; exit 9' TERM; (sleep 0.01 &);")[2].clone() + " & wait";
    let line = line.replace("ADDR", &addr.to_string()).replace("NAME", "web1");
    let line = line.replace("BACKCHAT", &backchat().display().to_string());
    let port = format!("web:{}", addr.port());
    let run_dir = run_dir.display().to_string();
    let args = ["--fork", "--pid", "--mount-proc", backchat().to_str().unwrap(), "agent", "--node", "web1", "--bind"];
    let more = ["--service", &port, "--check", &check, "--check-interval", "20ms", "--run-dir", &run_dir];
    let args = [&args[..], &[&bind, "--join", &join], &more, &["--", "sh", "-c", &line]].concat();
    let log = world.folder.path().join("web1.log");
    let mut outside = Child::start("unshare".as_ref(), &args, &log).unwrap();
    world.serves(&["web1"]).await;

    let first = children_of(outside.pid())[0];
    let reaped = async || {
        let many = fs::read_to_string(&orphans).is_ok_and(|text| text.lines().count() > 10);
        many && descendants_of(first).into_iter().all(runs)
    };
    world.eventually("no zombie is left", reaped).await;
    send(first, Signal::TERM);
    let status = outside.ended(PATIENCE).await.unwrap().expect("it ends");
    assert_eq!(status.code(), Some(9), "{}", outside.last_words(20));
}
