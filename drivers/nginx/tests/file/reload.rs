//! Reloads: what was confirmed is so, what nginx refused in silence is told, and who still has requests is known.

use std::{net::TcpListener, time::Duration};

use backchat_contract::{Desired, Driver, DriverError, Idle, Mode, Step};
use backchat_nginx::NginxDriver;
use rustix::process::Signal;
use tokio::time::Instant;

use super::{
    rig::{Rig, draining, eventually, free, id, last_good, signal_to, web as wanted},
    web::{self, Web},
};

/// Which of these answered, out of so many requests at once.
async fn answers(rig: &Rig, count: usize) -> Vec<String> {
    let mut asked = Vec::new();
    for _ in 0..count {
        let http = rig.http;
        asked.push(tokio::spawn(async move { web::ask(http, "GET", super::rig::HOST, "/").await.1 }));
    }
    let mut answers = Vec::new();
    for one in asked {
        answers.push(one.await.unwrap());
    }
    answers.sort();
    answers.dedup();
    answers
}

/// After a HUP workers of before answer for some 100 ms more; who is told that it is done sees none of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_has_no_answer_of_before() {
    let servers = [Web::start("0").await, Web::start("1").await];
    let mut rig = Rig::with(&wanted(&[("one", servers[0].addr)])).await;
    for round in 1..=20 {
        let next = round % 2;
        let desired = wanted(&[("one", servers[next].addr)]);
        let (_, done) = rig.step(&desired).await;
        assert!(done.unwrap().unwrap().reloaded);
        assert_eq!(answers(&rig, 20).await, [next.to_string()], "round {round}");
    }
}

/// `nginx -t` passes, the HUP is taken, and nginx goes on as before: a port that somebody else holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_refused_in_silence_is_told_and_undone() {
    let server = Web::start("one").await;
    let desired = wanted(&[("one", server.addr)]);
    let mut rig = Rig::with(&desired).await;
    let before = (rig.file(), rig.serving());
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = rig.settings();
    settings.config.listen.push(holder.local_addr().unwrap());
    rig.driver = NginxDriver::managed(settings);
    let (_, done) = rig.step(&desired).await;
    let error = done.unwrap().unwrap_err();
    let DriverError::Reload { message } = &error else { panic!("{error}") };
    let port = holder.local_addr().unwrap();
    assert!(message.starts_with(&format!("bind() to {port} failed (98: Address already in use)")), "{message}");
    assert!(message.ends_with("still could not bind(); the last good configuration serves on"), "{message}");
    assert_eq!((rig.file(), rig.serving()), before, "the file of before is back, its workers serve");
    assert!(!last_good(&rig).exists());
    assert_eq!(rig.get("/").await, (200, "one".into()));
    // Nothing is taken for done that is not.
    let observed = rig.observe().await;
    assert!(matches!(rig.driver.plan(&desired, &observed, Mode::default()), Step::Change(_)));
    drop(holder);
    assert_eq!(rig.converge(&desired).await, 1);
}

fn staged(rig: &Rig) -> bool {
    rig.folder.path().join(".nginx.conf.staged").exists()
}

/// What the check refuses is told with nginx's own reason, and touches nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_does_not_pass_changes_nothing() {
    let server = Web::start("one").await;
    let desired = wanted(&[("one", server.addr)]);
    let mut rig = Rig::with(&desired).await;
    let before = (rig.file(), rig.serving(), staged(&rig));
    let mut settings = rig.settings();
    settings.config.template.text = settings.config.template.text.replace("access_log off;", "acess_log off;");
    rig.driver = NginxDriver::managed(settings);
    let (_, done) = rig.step(&desired).await;
    let error = done.unwrap().unwrap_err().to_string();
    let file = rig.paths().config.display().to_string();
    assert!(error.starts_with(&format!("check {file}: unknown directive \"acess_log\" in {file}:")), "{error}");
    assert!(error.ends_with("; the last good configuration serves on"), "{error}");
    assert_eq!((rig.file(), rig.serving(), staged(&rig)), before);
}

/// A checker that hangs is cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_hangs_is_cut() {
    let desired = wanted(&[]);
    let mut rig = Rig::with(&desired).await;
    let program = rig.folder.path().join("slow");
    std::fs::write(&program, "#!/bin/sh\nsleep 600\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut settings = rig.settings();
    settings.program = program.display().to_string();
    settings.limits.check = Duration::from_millis(200);
    settings.config.no_route_status = 400;
    rig.driver = NginxDriver::managed(settings);
    let (_, done) = rig.step(&desired).await;
    let error = done.unwrap().unwrap_err().to_string();
    assert!(error.contains("did not end within 200ms"), "{error}");
}

/// 50 HUPs are one reload to nginx, whoever sent them: ours is confirmed all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hups_of_others_at_the_same_time_confuse_nobody() {
    let servers = [Web::start("0").await, Web::start("1").await];
    let mut rig = Rig::with(&wanted(&[("one", servers[0].addr)])).await;
    let master = rig.master().unwrap();
    let others = tokio::spawn(async move {
        for _ in 0..50 {
            signal_to(master, Signal::HUP);
            tokio::task::yield_now().await;
        }
    });
    rig.converge(&wanted(&[("one", servers[1].addr)])).await;
    others.await.unwrap();
    assert_eq!(answers(&rig, 20).await, ["1"]);
}

/// A worker that retires keeps what drained while it served from being idle, not what drained before it began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_is_a_matter_of_generations() {
    let (a, b, c) = (Web::start("a").await, Web::start("b").await, Web::start("c").await);
    let all = wanted(&[("a", a.addr), ("b", b.addr), ("c", c.addr)]);
    let mut rig = Rig::with(&all).await;
    let first = draining(all, "a");
    rig.until(&first, |step| !matches!(step, Step::Change(_))).await;
    // `a` has no request: its drain ends as soon as the workers of before are gone.
    rig.until(&first, |step| *step == Step::Converged).await;

    // Somebody asks in the second generation, which has no `a`.
    let http = rig.http;
    let asked = tokio::spawn(async move { web::ask(http, "GET", super::rig::HOST, "/hold").await });
    eventually("the request is held", async || b.begun() + c.begun() > 0).await;
    let second = draining(first, "b");
    rig.until(&second, |step| matches!(step, Step::Waiting { .. })).await;
    let observed = rig.observe().await;
    assert_eq!(rig.driver.idle(&observed, &id("a")), Idle::Yes);
    assert_eq!(rig.driver.idle(&observed, &id("b")), Idle::No);
    assert_eq!(rig.driver.idle(&observed, &id("c")), Idle::Unknown);
    let Step::Waiting { why, .. } = rig.driver.plan(&second, &observed, Mode::default()) else { panic!() };
    assert_eq!(why, "web/b may have requests left with 1 workers of before");

    // To another daemon the worker's age is not known: it may have served `a` too.
    rig.driver = NginxDriver::managed(rig.settings());
    let observed = rig.observe().await;
    assert_eq!([id("a"), id("b")].map(|id| rig.driver.idle(&observed, &id)), [Idle::No, Idle::No]);
    b.release();
    c.release();
    assert_eq!(asked.await.unwrap().0, 200);
    rig.converge(&second).await;
    let observed = rig.observe().await;
    assert_eq!([id("a"), id("b")].map(|id| rig.driver.idle(&observed, &id)), [Idle::Yes, Idle::Yes]);
}

/// A drained server that goes, and one that drains from the first, need no reload.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_no_requests_comes_and_goes_without_a_reload() {
    let (a, b) = (Web::start("a").await, Web::start("b").await);
    let one = wanted(&[("a", a.addr)]);
    let both = draining(wanted(&[("a", a.addr), ("b", b.addr)]), "b");
    let mut rig = Rig::with(&one).await;
    let before = rig.serving();
    assert_eq!(rig.converge(&both).await, 0);
    assert!(rig.file().contains(&format!("#bc endpoint web/b {} weight 100 drain@", b.addr)));
    assert_eq!(rig.converge(&one).await, 0);
    assert!(!rig.file().contains(&b.addr.to_string()));
    assert_eq!(rig.serving(), before);
}

/// Long requests over many reloads: each leaves a worker. Beyond a number no further reload is begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_retire_are_capped() {
    let servers = [Web::start("0").await, Web::start("1").await];
    let mut rig = Rig::with(&wanted(&[("one", servers[0].addr)])).await;
    let most = 16.max(4 * rig.serving().len());
    let mut asked = Vec::new();
    let mut now = 0;
    let why = loop {
        let http = rig.http;
        asked.push(tokio::spawn(async move { web::ask(http, "GET", super::rig::HOST, "/hold").await }));
        servers[now].holds(asked.iter().skip(now).step_by(2).count()).await;
        now = 1 - now;
        let (step, done) = rig.step(&wanted(&[("one", servers[now].addr)])).await;
        match step {
            Step::Waiting { why, .. } => break why,
            _ => assert!(done.unwrap().unwrap().reloaded),
        }
        assert!(asked.len() <= most + 1, "no end");
    };
    assert!(why.contains(" workers of before still end what they have (then: endpoints of web changed)"), "{why}");
    let observed = rig.observe().await;
    assert!(
        observed.retiring() >= most && observed.retiring() <= most + rig.serving().len(),
        "{}",
        observed.retiring()
    );
    servers.iter().for_each(Web::release);
    for one in asked {
        assert_eq!(one.await.unwrap().0, 200);
    }
    assert_eq!(rig.converge(&wanted(&[("one", servers[now].addr)])).await, 1);
}

/// A daemon crashed between the new file and its reload: what runs is known, and the file that runs is put back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_never_loaded_makes_room() {
    let (a, b) = (Web::start("a").await, Web::start("b").await);
    let (before, never) = (wanted(&[("a", a.addr)]), wanted(&[("b", b.addr)]));
    let mut rig = Rig::with(&before).await;
    let ran = rig.file();
    let observed = rig.observe().await;
    let Step::Change(plan) = rig.driver.plan(&never, &observed, Mode::default()) else { panic!("nothing to do") };
    drop(backchat_template::install(&rig.paths().config, plan.text.as_bytes()).unwrap());

    rig.driver = NginxDriver::managed(rig.settings());
    let observed = rig.observe().await;
    assert!(observed.behind);
    assert_eq!(rig.driver.live(&observed), before);
    assert_eq!(rig.converge(&before).await, 0);
    assert_eq!((rig.file(), rig.get("/").await), (ran.clone(), (200, "a".into())));

    // The same, and then on to what was wanted: where that fails, the way back is to what ran.
    drop(backchat_template::install(&rig.paths().config, plan.text.as_bytes()).unwrap());
    let mut settings = rig.settings();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    settings.config.listen.push(holder.local_addr().unwrap());
    rig.driver = NginxDriver::managed(settings);
    let (_, done) = rig.step(&never).await;
    done.unwrap().unwrap_err();
    assert_eq!(rig.file(), ran);
    drop(holder);
    assert_eq!(rig.converge(&never).await, 1);
    assert_eq!(rig.get("/").await, (200, "b".into()));
}

/// What was planned for another file than the one that runs now is not done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_for_what_was_read() {
    let (a, b) = (Web::start("a").await, Web::start("b").await);
    let mut rig = Rig::with(&wanted(&[("a", a.addr)])).await;
    let observed = rig.observe().await;
    let Step::Change(plan) = rig.driver.plan(&Desired::default(), &observed, Mode::default()) else { panic!() };
    let mut other = NginxDriver::managed(rig.settings());
    std::mem::swap(&mut rig.driver, &mut other);
    rig.converge(&wanted(&[("b", b.addr)])).await;
    let report = other.apply(plan).await.unwrap();
    assert!(report.stale && !report.reloaded);
    assert_eq!(rig.get("/").await, (200, "b".into()));
}

/// A server that fails in the middle: a GET goes to another, a POST was sent and is not sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_may_be_repeated_is() {
    let (a, b) = (Web::start("a").await, Web::start("b").await);
    let rig = Rig::with(&wanted(&[("a", a.addr), ("b", b.addr), ("gone", free())])).await;
    for _ in 0..20 {
        assert_eq!(rig.get("/").await.0, 200, "what refuses is passed over");
        assert_eq!(web::ask(rig.http, "POST", super::rig::HOST, "/").await.0, 200, "it was not sent yet");
    }
    let before = a.begun() + b.begun();
    assert_eq!(web::ask(rig.http, "POST", super::rig::HOST, "/cut").await.0, 502);
    assert_eq!(a.begun() + b.begun(), before + 1);
    assert_eq!(rig.get("/cut").await.0, 502);
    assert!(a.begun() + b.begun() >= before + 3, "the other one was asked too");
    // Nobody is passed over for longer than a second for that.
    let begun = Instant::now();
    eventually("both serve again", async || answers(&rig, 8).await == ["a", "b"]).await;
    assert!(begun.elapsed() < web::LONG);
}

/// A server's answer sends nobody to another service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_reaches_no_other_service() {
    let (one, other) = (Web::start("one").await, Web::start("other").await);
    let mut two = wanted(&[("one", one.addr)]);
    super::rig::service(&mut two, "other", &[("other", other.addr)]);
    let rig = Rig::with(&two).await;
    assert_eq!(rig.get("/accel").await, (200, "one".into()));
    assert_eq!(other.begun(), 0);
}
