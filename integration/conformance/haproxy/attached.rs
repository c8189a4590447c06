//! HAProxy that somebody else runs: ours to fill, not ours to change.

use std::time::Duration;

use backchat_contract::{Driver, Mode, Step};
use backchat_haproxy::{AttachedSettings, HaproxyDriver};
use rustix::process::Signal;
use tempfile::TempDir;

use super::{ask, free_addr, program};
use crate::{
    conformance::{
        bench::Bench,
        rig::Rig,
        web::{LONG, Web},
        words::Wanted,
    },
    signal::{halt, send},
};

/// Somebody's HAProxy, with backends `web` and `api`, and a server of theirs in `web`.
struct Theirs {
    folder: TempDir,
    http: std::net::SocketAddr,
    child: std::process::Child,
}

impl Theirs {
    fn start(their_server: std::net::SocketAddr) -> Self {
        let (folder, http) = (tempfile::Builder::new().prefix("bc").tempdir().unwrap(), free_addr());
        let socket = folder.path().join("admin.sock");
        let text = format!(
            "global\n  stats socket {} mode 600 level admin\ndefaults\n  mode http\n  timeout connect 2s\n  \
             timeout client 5s\n  timeout server 5s\nfrontend f\n  bind {http}\n  \
             use_backend api if {{ path_beg /api }}\n  use_backend fixed if {{ path_beg /fixed }}\n  default_backend web\nbackend web\n  \
             server theirs {their_server} id 331608034\n  server bc:odd {their_server} disabled\nbackend api\n\
             backend fixed\n  balance static-rr\n",
            socket.display()
        );
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        let child = std::process::Command::new(program()).arg("-db").arg("-f").arg(&file).spawn().unwrap();
        Self { folder, http, child }
    }
}

impl Rig for Theirs {
    type Driver = HaproxyDriver;
    const SPARE_SERVICES: usize = 0;
    const ENDPOINTS_WITHOUT_RELOAD: bool = true;

    fn new() -> Self {
        Self::start("127.0.0.1:1".parse().unwrap())
    }

    fn driver(&self) -> HaproxyDriver {
        let settings = AttachedSettings::new(self.folder.path().join("admin.sock"));
        HaproxyDriver::attached(AttachedSettings { drain_limit: Duration::from_secs(30), ..settings })
    }

    fn http(&self) -> std::net::SocketAddr {
        self.http
    }

    fn kill(&self) {
        send(self.child.id(), Signal::KILL);
    }

    fn reload(&self) {}

    fn processes(&self) -> Vec<u32> {
        vec![self.child.id()]
    }

    fn edit(&self) {}

    fn file(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("haproxy.cfg")).unwrap()
    }

    async fn tamper(&self, _: &str, _: &str, _: &str) {}
}

impl Drop for Theirs {
    fn drop(&mut self) {
        // It ended already where these fail.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A bench with somebody's HAProxy that answers.
async fn bench(their_server: std::net::SocketAddr) -> Bench<Theirs> {
    let rig = Theirs::start(their_server);
    let mut driver = rig.driver();
    let deadline = tokio::time::Instant::now() + LONG;
    while driver.observe().await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "their haproxy does not answer");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Bench { rig, driver }
}

async fn state(bench: &Bench<Theirs>) -> Vec<String> {
    let said = ask(&bench.rig.folder.path().join("admin.sock"), "show servers state").await;
    let columns = |line: &str| line.split(' ').skip(1).take(3).map(ToOwned::to_owned).collect::<Vec<_>>().join(" ");
    said.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_digit())).skip(1).map(columns).collect()
}

#[tokio::test]
async fn only_our_servers_are_touched() {
    let (theirs, ours, other) = (Web::start("theirs").await, Web::start("ours").await, Web::start("other").await);
    let mut bench = bench(theirs.addr).await;
    let before = (state(&bench).await, bench.rig.file());
    assert_eq!(bench.live().await, Wanted::default().0);
    // The name asks for the number that their server has.
    let wanted = Wanted::default().ready("web", "web1", ours.addr).ready("api", "a", other.addr);
    bench.converge(&wanted).await;
    bench.spreads_over("any", &["ours", "theirs"]).await;
    bench.comes_to("any", "/api", 200, "other").await;
    let named = ask(&bench.rig.folder.path().join("admin.sock"), "show servers state web").await;
    assert!(named.contains(" bc-web1 ") && named.contains(" 331608035 "), "{named}");
    assert_eq!(bench.step(&wanted, Mode::default()).await, (Step::Converged, None));

    bench.converge(&Wanted::default()).await;
    bench.spreads_over("any", &["theirs"]).await;
    assert_eq!((state(&bench).await, bench.rig.file()), before);
}

#[tokio::test]
async fn a_service_without_their_backend_is_told_and_holds_nothing_up() {
    let (theirs, ours) = (Web::start("theirs").await, Web::start("ours").await);
    let mut bench = bench(theirs.addr).await;
    let wanted = Wanted::default().ready("web", "web1", ours.addr).ready("shop", "s", ours.addr);
    let told =
        |step: &Step<_>| matches!(step, Step::Waiting { why, .. } if why == "this haproxy has no backend named shop");
    bench.until(&wanted, Mode::default(), told).await;
    bench.spreads_over("any", &["ours", "theirs"]).await;
}

/// One that takes no server at run time refuses, and that is told; the others get theirs.
#[tokio::test]
async fn a_refused_server_holds_no_other_up() {
    let (theirs, ours) = (Web::start("theirs").await, Web::start("ours").await);
    let mut bench = bench(theirs.addr).await;
    // Before it, after it, and beside it in the order of the commands.
    let wanted = Wanted::default().ready("api", "a", ours.addr).ready("fixed", "f", ours.addr);
    let wanted = wanted.ready("web", "web1", ours.addr);
    let observed = bench.observe().await;
    let Step::Change(plan) = bench.driver.plan(&wanted.0, &observed, Mode::default()) else { panic!("nothing to do") };
    let report = bench.driver.apply(plan).await.unwrap();
    let [refused] = &report.refused[..] else { panic!("{:?}", report.refused) };
    assert!(refused.command.starts_with("add server fixed/bc-f "), "{refused:?}");
    bench.comes_to("any", "/api", 200, "ours").await;
    bench.spreads_over("any", &["ours", "theirs"]).await;
    assert_eq!(bench.get("any", "/fixed").await.0, 503);
}

#[tokio::test]
async fn their_end_is_heard_and_their_return_is_found() {
    let theirs = Web::start("theirs").await;
    let mut bench = bench(theirs.addr).await;
    let wanted = Wanted::default().ready("web", "web1", theirs.addr);
    bench.converge(&wanted).await;
    bench.rig.kill();
    bench.driver.attention().await;
    let error = super::super::bench::refusal(bench.driver.observe().await.map(drop));
    assert!(error.starts_with("reach haproxy at unix:"), "{error}");
    // `ensure` is theirs to do.
    bench.driver.ensure().await.unwrap();
    assert!(bench.driver.observe().await.is_err());
}

/// It takes the question and never answers. That is known soon, and it is found again where it was.
#[tokio::test]
async fn their_silence_is_told_and_ends() {
    let theirs = Web::start("theirs").await;
    let mut bench = bench(theirs.addr).await;
    let wanted = Wanted::default().ready("web", "web1", theirs.addr);
    bench.converge(&wanted).await;
    let pid = bench.rig.child.id();
    halt(pid);
    let error = super::super::bench::refusal(bench.driver.observe().await.map(drop));
    assert!(error.starts_with("get an answer to 'show info' from haproxy at unix:"), "{error}");
    assert!(error.ends_with(" within 1s"), "{error}");
    send(pid, Signal::CONT);
    assert_eq!(bench.step(&wanted, Mode::default()).await, (Step::Converged, None));
}
