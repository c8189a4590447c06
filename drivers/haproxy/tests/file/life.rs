//! The process: what it survives, what is noticed, what the next start finds.

use std::{fs, os::unix::fs::MetadataExt, time::Duration};

use backchat_contract::{Desired, Driver, Mode, Step};
use backchat_haproxy::{
    HaproxyDriver, ManagedSettings,
    check::check,
    files,
    layout::Admin,
    master,
    process::{Launch, Process},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout};

use crate::rig::{LONG, Load, Rig, Web, running, until};

async fn with_web() -> (Rig, Web) {
    let web = Web::start("web").await;
    let mut rig = Rig::new();
    rig.service("web", &[(web.addr, Admin::Ready)]);
    rig.route("*", "/", "web");
    (rig, web)
}

fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

async fn worker(rig: &Rig) -> u32 {
    master::processes(rig.paths()).await.unwrap().serving().unwrap().pid
}

#[tokio::test]
async fn dropped_it_serves_on_and_is_adopted() {
    let (rig, _web) = with_web().await;
    let process = rig.start().await;
    let pid = process.pid();
    let load = Load::start(rig.port, 4);
    drop(process);
    // Without the pid file too: the master itself says who it is.
    fs::remove_file(&rig.paths().pid).unwrap();
    let mut adopted = Process::adopt(&rig.launch).await.unwrap().unwrap();
    assert_eq!(adopted.pid(), pid);
    assert!(adopted.is_running());
    let (good, bad) = load.stop().await;
    assert!(good > 0 && bad == 0, "{good} answered, {bad} failed");
    // The end of an adopted process is noticed though it is no child of the one who waits.
    kill(pid, Signal::KILL);
    timeout(LONG, adopted.ended()).await.unwrap();
    assert!(!adopted.is_running());
    adopted.ended().await;
}

#[tokio::test]
async fn nothing_is_adopted_where_nothing_runs() {
    let (rig, _web) = with_web().await;
    assert!(Process::adopt(&rig.launch).await.unwrap().is_none());
    // A pid that another program has by now, or nobody.
    for pid in [std::process::id().to_string(), "4194305".into(), "-1".into(), "x".into()] {
        fs::write(&rig.paths().pid, pid).unwrap();
        assert!(Process::adopt(&rig.launch).await.unwrap().is_none());
    }
}

/// Killed with its sockets and pid file left behind: the workers go with their master, and the next start is
/// not held up.
#[tokio::test]
async fn a_killed_master_takes_its_workers_along_and_is_started_again() {
    let (rig, _web) = with_web().await;
    let mut process = rig.start().await;
    let worker = worker(&rig).await;
    kill(process.pid(), Signal::KILL);
    timeout(LONG, process.ended()).await.unwrap();
    assert!(rig.paths().socket.exists() && rig.paths().master.exists() && rig.paths().pid.exists());
    assert!(Process::adopt(&rig.launch).await.unwrap().is_none());
    let again = Process::start(&rig.launch).await.unwrap();
    rig.comes_to("a", "/", (200, "web")).await;
    let ours = |pid: u32| running(rig.folder.path()).contains(&Pid::from_raw(i32::try_from(pid).unwrap()).unwrap());
    until("the old worker is gone", || !ours(worker)).await;
    assert!(again.is_running());
}

/// What serves on is told only where something serves.
#[tokio::test]
async fn a_first_start_that_fails_promises_nothing() {
    let rig = Rig::new();
    let mut settings =
        ManagedSettings { program: rig.launch.program.clone(), ..ManagedSettings::new(rig.settings.clone()) };
    settings.config.template.text.push_str("\nnonsense\n");
    let error = HaproxyDriver::managed(settings.clone()).unwrap().ensure().await.unwrap_err().to_string();
    assert!(error.contains("unknown keyword 'nonsense'") && !error.contains("serves on"), "{error}");

    let _process = rig.start().await;
    let mut driver = HaproxyDriver::managed(settings).unwrap();
    driver.ensure().await.unwrap();
    let observed = driver.observe().await.unwrap();
    let step = driver.plan(&Desired::default(), &observed, Mode::default());
    let Step::Change(plan) = step else { panic!("no new structure: {step:?}") };
    let error = driver.apply(plan).await.unwrap_err().to_string();
    assert!(error.ends_with("; the last good configuration serves on"), "{error}");
}

/// One that starts and dies comes back at once the first time, and then not in a loop.
#[tokio::test]
async fn short_lives_are_not_restarted_in_a_loop() {
    let (rig, _web) = with_web().await;
    let program = rig.launch.program.clone();
    let settings = ManagedSettings { program, ..ManagedSettings::new(rig.settings.clone()) };
    let mut driver = HaproxyDriver::managed(settings).unwrap();
    let pid = async || master::processes(rig.paths()).await.unwrap().master;
    driver.ensure().await.unwrap();
    for _ in 0..2 {
        kill(pid().await, Signal::KILL);
        timeout(LONG, driver.attention()).await.unwrap();
        // Its end is told once until somebody has looked.
        driver.ensure().await.ok();
        driver.observe().await.ok();
    }
    let error = driver.ensure().await.unwrap_err().to_string();
    assert!(error.contains(": it ended after ") && error.contains("; trying again in "), "{error}");
    let deadline = Instant::now() + LONG;
    while driver.ensure().await.is_err() {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(master::live_generation(rig.paths()).await.unwrap(), Some(1));
}

/// A worker that cannot notice its master's end holds port and sockets: the new one shares the port and takes
/// the sockets over.
#[tokio::test]
async fn a_stuck_worker_does_not_hold_up_the_next_start() {
    let (rig, _web) = with_web().await;
    let mut process = rig.start().await;
    let stuck = worker(&rig).await;
    kill(stuck, Signal::STOP);
    kill(process.pid(), Signal::KILL);
    timeout(LONG, process.ended()).await.unwrap();
    let again = Process::start(&rig.launch).await.unwrap();
    assert_ne!(worker(&rig).await, stuck);
    assert!(again.is_running());
}

/// Up means that its own worker answers, not one of somebody else on the same paths.
#[tokio::test]
async fn a_start_waits_for_its_own_worker() {
    let (rig, _web) = with_web().await;
    let _first = rig.start().await;
    let second = Process::start(&rig.launch).await.unwrap();
    assert_eq!(master::processes(rig.paths()).await.unwrap().master, second.pid());
}

/// HAProxy's own rule: a worker that ends unasked ends the master. That is noticed.
#[tokio::test]
async fn a_killed_worker_is_noticed() {
    let (rig, _web) = with_web().await;
    let mut process = rig.start().await;
    kill(worker(&rig).await, Signal::KILL);
    timeout(LONG, process.ended()).await.unwrap();
    assert!(process.last_words().contains("exited"), "{}", process.last_words());
    Process::start(&rig.launch).await.unwrap();
    rig.comes_to("a", "/", (200, "web")).await;
}

/// A master that is there and says nothing, and no worker either, is of no use: it is ended, and a start can follow.
#[tokio::test]
async fn a_mute_haproxy_is_ended() {
    let (mut rig, _web) = with_web().await;
    let process = rig.start().await;
    kill(worker(&rig).await, Signal::STOP);
    kill(process.pid(), Signal::STOP);
    rig.launch.limit = Duration::from_millis(100);
    assert!(Process::adopt(&rig.launch).await.unwrap().is_none());
    assert!(!process.is_running());
    rig.launch.limit = LONG;
    Process::start(&rig.launch).await.unwrap();
    rig.comes_to("a", "/", (200, "web")).await;
}

/// A worker that serves is not cut off for its master's sake: only structure is out of reach, and that is told.
#[tokio::test]
async fn a_mute_master_serves_on() {
    let (rig, _web) = with_web().await;
    let pid = rig.start().await.pid();
    rig.comes_to("a", "/", (200, "web")).await;
    let load = Load::start(rig.port, 4);
    kill(pid, Signal::STOP);
    assert_eq!(Process::adopt(&rig.launch).await.unwrap().unwrap().pid(), pid);
    kill(pid, Signal::CONT);
    fs::remove_file(&rig.paths().master).unwrap();
    let adopted = Process::adopt(&rig.launch).await.unwrap().unwrap();
    assert_eq!(adopted.pid(), pid);
    let error = master::reload(rig.paths(), 2, LONG).await.unwrap_err().to_string();
    assert!(error.starts_with("reach haproxy at ") && error.contains("master.sock"), "{error}");
    assert!(adopted.is_running());
    assert_eq!(load.stop().await.1, 0);
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_leaves_nothing() {
    let (rig, _web) = with_web().await;
    let mut process = rig.start().await;
    rig.comes_to("a", "/", (200, "web")).await;
    timeout(LONG, process.stop(LONG)).await.unwrap().unwrap();
    assert!(!process.is_running());
    until("all is gone", || running(rig.folder.path()).is_empty()).await;
    for path in [&rig.paths().socket, &rig.paths().master, &rig.paths().pid] {
        assert!(!path.exists(), "{}", path.display());
    }
}

/// A request that never ends does not hold the stop beyond its deadline.
#[tokio::test]
async fn a_stop_has_a_deadline() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut rig = Rig::new();
    rig.service("web", &[(silent.local_addr().unwrap(), Admin::Ready)]);
    rig.route("*", "/", "web");
    let mut process = rig.start().await;
    let hanging = rig.get("a", "/");
    let stop = async {
        let _request = silent.accept().await.unwrap();
        process.stop(Duration::from_millis(50)).await.unwrap();
    };
    let (_, ()) = tokio::join!(hanging, stop);
    until("all is gone", || running(rig.folder.path()).is_empty()).await;
}

/// The file alone, without us: the same servers, and nothing for those that drain.
#[tokio::test]
async fn restarted_alone_it_serves_the_same() {
    let (ready, drained) = (Web::start("ready").await, Web::start("drained").await);
    let mut rig = Rig::new();
    rig.service("web", &[(ready.addr, Admin::Ready), (drained.addr, Admin::Drain), (drained.addr, Admin::Maint)]);
    rig.route("*", "/", "web");
    let mut process = rig.start().await;
    process.stop(LONG).await.unwrap();
    Process::start(&rig.launch).await.unwrap();
    for _ in 0..50 {
        assert_eq!(rig.get("a", "/").await, (200, "ready".into()));
    }
    assert_eq!(drained.served.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let (rig, _web) = with_web().await;
    let _held = std::net::TcpListener::bind(("127.0.0.1", rig.port)).unwrap();
    files::try_out(&rig.launch, &rig.rendered(), LONG).await.unwrap();
    files::write(rig.paths(), &rig.rendered()).await.unwrap();
    let error = Process::start(&rig.launch).await.unwrap_err().to_string();
    assert!(error.contains("bind") && error.contains(&rig.port.to_string()), "{error}");
    let missing = Launch { program: "/nowhere/haproxy".into(), ..rig.launch.clone() };
    let error = Process::start(&missing).await.unwrap_err().to_string();
    assert!(error.starts_with("start /nowhere/haproxy: "), "{error}");
}

#[tokio::test]
async fn a_cut_file_gives_way_to_the_last_good_one() {
    let (mut rig, _web) = with_web().await;
    assert!(!files::settle(&rig.launch, LONG).await.unwrap(), "nothing to start from");
    files::try_out(&rig.launch, &rig.rendered(), LONG).await.unwrap();
    files::write(rig.paths(), &rig.rendered()).await.unwrap();
    let good = rig.rendered().config;
    rig.layout.generation = 2;
    files::write(rig.paths(), &rig.rendered()).await.unwrap();
    assert!(files::settle(&rig.launch, LONG).await.unwrap());
    assert_eq!(fs::read_to_string(&rig.paths().config).unwrap(), rig.rendered().config);
    // Cut behind a line: HAProxy itself finds nothing wrong with it.
    let cut: String = rig.rendered().config.split_inclusive('\n').take(50).collect();
    fs::write(&rig.paths().config, cut).unwrap();
    assert!(files::settle(&rig.launch, LONG).await.unwrap());
    assert_eq!(fs::read_to_string(&rig.paths().config).unwrap(), good);
}

#[tokio::test]
async fn a_check_names_line_and_reason() {
    let rig = Rig::new();
    let file = rig.folder.path().join("bad.cfg");
    fs::write(&file, "global\n  foo bar\n").unwrap();
    let error = check(&rig.launch.program, &file, LONG).await.unwrap_err().to_string();
    assert!(error.contains("bad.cfg:2") && error.contains("'foo'"), "{error}");
}

/// It is no reason not to serve, and is not lost.
#[tokio::test]
async fn an_edit_that_does_not_pass_is_put_aside() {
    let (mut rig, _web) = with_web().await;
    files::write(rig.paths(), &rig.rendered()).await.unwrap();
    let good = rig.rendered().config;
    rig.layout.generation = 2;
    files::write(rig.paths(), &rig.rendered()).await.unwrap();
    let edited = rig.rendered().config.replace("retries 3", "retires 3");
    fs::write(&rig.paths().config, &edited).unwrap();
    assert!(files::settle(&rig.launch, LONG).await.unwrap());
    assert_eq!(fs::read_to_string(&rig.paths().config).unwrap(), good);
    assert_eq!(fs::read_to_string(rig.folder.path().join("haproxy.cfg.edited")).unwrap(), edited);
}

/// Somebody's own work, though it passes its check and a good one of ours lies beside it.
#[tokio::test]
async fn a_foreign_file_is_not_written_over() {
    let (mut rig, _web) = with_web().await;
    let good = rig.rendered().config;
    let start = async |rig: &Rig| {
        let settings =
            ManagedSettings { program: rig.launch.program.clone(), ..ManagedSettings::new(rig.settings.clone()) };
        HaproxyDriver::managed(settings).unwrap().ensure().await
    };
    files::write(rig.paths(), &rig.rendered()).await.unwrap();
    rig.layout.generation = 2;
    files::write(rig.paths(), &rig.rendered()).await.unwrap();
    let foreign = "defaults\n  timeout connect 1s\n";
    fs::write(&rig.paths().config, foreign).unwrap();
    let error = start(&rig).await.unwrap_err().to_string();
    let expected = format!("write over {}: it is not backchat's; move it away", rig.paths().config.display());
    assert!(error.starts_with(&expected), "{error}");
    assert_eq!(fs::read_to_string(&rig.paths().config).unwrap(), foreign);
    // Wherever ours was cut, a crash wrote that.
    for cut in [0, 20, good.find("backchat_gen").unwrap(), good.len() - 1] {
        fs::write(&rig.paths().config, &good[..cut]).unwrap();
        assert_eq!(files::refuse_foreign(rig.paths(), &good).map_err(|e| e.to_string()), Ok(()), "cut at {cut}");
    }
    start(&rig).await.unwrap();
}

#[tokio::test]
async fn a_hanging_check_is_cut() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new();
    let program = rig.folder.path().join("hangs");
    fs::write(&program, "#!/bin/sh\nexec sleep 600\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let checked = check(program.to_str().unwrap(), &rig.paths().config, Duration::from_millis(100)).await;
    let error = checked.unwrap_err().to_string();
    assert!(error.contains("did not end within 100ms"), "{error}");
}

/// Same bytes, no write: the disk is not waited for, and the last good version is not pushed out by its equal.
#[tokio::test]
async fn a_file_that_stays_is_not_written() {
    let (mut rig, _web) = with_web().await;
    let paths = rig.paths().clone();
    files::write(&paths, &rig.rendered()).await.unwrap();
    let inode = |path: &std::path::Path| fs::metadata(path).unwrap().ino();
    let before = (inode(&paths.hosts), inode(&paths.config));
    files::write(&paths, &rig.rendered()).await.unwrap();
    assert_eq!((inode(&paths.hosts), inode(&paths.config)), before);
    rig.layout.generation += 1;
    files::write(&paths, &rig.rendered()).await.unwrap();
    assert_eq!(inode(&paths.hosts), before.0);
    assert_ne!(inode(&paths.config), before.1);
}
