//! TLS: who is shown which certificate, and what becomes of it when certificates come, change and go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use backchat::certificates::{read, sign};
use backchat_contract::{Certificate, Driver, Mode, Step};

use super::{
    bench::Bench,
    client::{self, Shown},
    rig::Tls,
    web::Web,
    words::Wanted,
};

/// A certificate for these hosts.
pub(crate) fn certificate(hosts: &[&str]) -> Certificate {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let text = sign(&hosts, SystemTime::now()).unwrap();
    read(text.as_bytes(), text.as_bytes()).unwrap()
}

/// One service that answers every host, and a certificate that is the default.
async fn web(default: &Certificate) -> (Web, Wanted) {
    let one = Web::start("one").await;
    let wanted =
        Wanted::default().ready("web", "one", one.addr).route("*", "/", "web").default_certificate("first", default);
    (one, wanted)
}

async fn shows<R: Tls>(bench: &Bench<R>, sni: &str, expected: &Certificate) {
    bench
        .eventually(&format!("{sni} is shown its certificate"), async || {
            client::shown(bench.rig.https(), sni).await.is_some_and(|shown| shown.is(expected))
        })
        .await;
}

/// A client that trusts the certificate is answered, and the server behind knows how it was asked.
pub(crate) async fn requests_over_tls<R: Tls>() {
    let first = certificate(&["localhost", "a.example"]);
    let (_one, wanted) = web(&first).await;
    let mut bench = Bench::<R>::start().await;
    bench.converge(&wanted).await;
    shows(&bench, "a.example", &first).await;
    let answer = client::get(bench.rig.https(), "a.example", "/", &first).await;
    assert_eq!(answer, (200, "one".to_owned()));
    assert_eq!(client::get(bench.rig.https(), "a.example", "/proto", &first).await.1, "https");
    bench.comes_to("a.example", "/proto", 200, "http").await;
    let claims = "GET /proto HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";
    assert_eq!(super::web::send(bench.rig.http(), claims).await.1, "http");
    // All is as it should be, for another daemon too.
    let mut driver = bench.rig.driver();
    driver.ensure().await.unwrap();
    let observed = driver.observe().await.unwrap();
    assert_eq!(driver.live(&observed), wanted.0);
    assert!(matches!(driver.plan(&wanted.0, &observed, Mode::default()), Step::Converged));
}

/// HTTP/2 where the client speaks it.
pub(crate) async fn http_2<R: Tls>() {
    let first = certificate(&["a.example"]);
    let (_one, wanted) = web(&first).await;
    let mut bench = Bench::<R>::start().await;
    bench.converge(&wanted).await;
    shows(&bench, "a.example", &first).await;
    assert_eq!(client::get_h2(bench.rig.https(), "a.example", &first).await, "one");
}

/// The greeting's name picks the certificate; whoever names none that is there gets the default.
pub(crate) async fn names_pick_certificates<R: Tls>() {
    let (first, second) = (certificate(&["a.example"]), certificate(&["b.example", "*.b.example"]));
    let (_one, wanted) = web(&first).await;
    let wanted = wanted.certificate("second", &second);
    let mut bench = Bench::<R>::start().await;
    bench.converge(&wanted).await;
    for (sni, expected) in
        [("a.example", &first), ("b.example", &second), ("x.b.example", &second), ("c.example", &first)]
    {
        shows(&bench, sni, expected).await;
    }
    assert_eq!(client::get(bench.rig.https(), "x.b.example", "/", &second).await, (200, "one".to_owned()));
    // The other becomes the default.
    let wanted = wanted.without_certificate("first").default_certificate("second", &second);
    bench.converge(&wanted).await;
    shows(&bench, "c.example", &second).await;
}

/// Certificates come, change and go without a request lost; at run time where the data plane can.
pub(crate) async fn certificates_change<R: Tls>() {
    let (first, old, new) = (certificate(&["a.example"]), certificate(&["b.example"]), certificate(&["b.example"]));
    let (_one, wanted) = web(&first).await;
    let mut bench = Bench::<R>::start().await;
    bench.converge(&wanted).await;
    shows(&bench, "b.example", &first).await;
    let load = Load::start(&bench, &first);
    let processes = bench.rig.processes();
    let each = usize::from(!R::CERTIFICATES_WITHOUT_RELOAD);

    let way = bench.converge(&wanted.clone().certificate("second", &old)).await;
    assert_eq!(way.reloads(), each, "{:?}", way.plans);
    shows(&bench, "b.example", &old).await;
    let way = bench.converge(&wanted.clone().certificate("second", &new)).await;
    assert_eq!(way.reloads(), each, "{:?}", way.plans);
    shows(&bench, "b.example", &new).await;
    let way = bench.converge(&wanted).await;
    assert_eq!(way.reloads(), each, "{:?}", way.plans);
    shows(&bench, "b.example", &first).await;
    // The default itself.
    let renewed = certificate(&["a.example"]);
    let way = bench.converge(&wanted.default_certificate("first", &renewed)).await;
    assert_eq!(way.reloads(), each, "{:?}", way.plans);
    shows(&bench, "a.example", &renewed).await;
    if R::CERTIFICATES_WITHOUT_RELOAD {
        assert_eq!(bench.rig.processes(), processes);
    }
    load.end().await;
    // What was there at the end is there after a crash, too, and nothing of what went.
    bench.rig.kill();
    tokio::time::timeout(super::web::LONG, bench.driver.attention()).await.expect("its end is heard");
    bench.driver.ensure().await.unwrap();
    shows(&bench, "b.example", &renewed).await;
}

/// Nothing that people or programs read of a plan has a byte of a key in it, nor has the file that is shown.
pub(crate) async fn keys_are_secret<R: Tls>() {
    let first = certificate(&["a.example"]);
    let (_one, wanted) = web(&first).await;
    let mut bench = Bench::<R>::start().await;
    let secret = first.pem.as_ref().unwrap().secret().to_owned();
    let key = secret.split("PRIVATE KEY-----\n").nth(1).unwrap();
    let lines: Vec<&str> = key.lines().filter(|line| line.len() > 16 && !line.contains("----")).collect();
    assert!(!lines.is_empty());
    for wanted in [wanted.clone(), wanted.default_certificate("first", &certificate(&["a.example"]))] {
        bench.driver.ensure().await.unwrap();
        let observed = bench.observe().await;
        let Step::Change(plan) = bench.driver.plan(&wanted.0, &observed, Mode::default()) else { panic!("a change") };
        let shown = format!("{:?} {}", bench.driver.view(&plan), serde_json::to_string(&plan).unwrap());
        assert!(lines.iter().all(|line| !shown.contains(line)) && !shown.contains("PRIVATE KEY"), "{shown}");
        bench.converge(&wanted).await;
        assert!(!bench.rig.file().contains("PRIVATE KEY"));
    }
}

/// Clients that ask without a pause, each on a connection of its own.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    fn start<R: Tls>(bench: &Bench<R>, trusted: &Certificate) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (to, trusted) = (bench.rig.https(), trusted.clone());
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                let answer = client::ask(to, "z.example", "/").await;
                assert_eq!(answer, (200, "one".to_owned()), "after {count:?} (trusting {})", trusted.fingerprint);
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Self { stop, asked, task }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        assert!(self.asked.load(Ordering::Relaxed) > 10);
    }
}

impl Shown {
    pub(crate) fn is(&self, certificate: &Certificate) -> bool {
        // The chain in DER, as it was sent.
        let chain: Vec<&[u8]> = self.0.iter().map(AsRef::as_ref).collect();
        let key = (backchat_contract::KeyForm::Pkcs8, [].as_slice());
        let shown = Certificate::new(&chain, key, std::collections::BTreeSet::new(), 0);
        shown.is_some_and(|shown| shown.fingerprint == certificate.fingerprint)
    }
}
