//! Certificates at HAProxy beyond what every data plane does: what its socket cannot take, and pushes that no file may
//! follow.

use backchat_contract::{Certificate, Mode, Step};
use backchat_haproxy::quic::Quic;

use super::{HaproxyRig, program};
use crate::conformance::{
    bench::Bench,
    client, h3,
    rig::{Rig, Tls},
    tls::certificate,
    web::Web,
    words::Wanted,
};

async fn shows(bench: &Bench<HaproxyRig>, sni: &str, expected: &Certificate) {
    let shown = async || client::shown(bench.rig.https(), sni).await.is_some_and(|shown| shown.is(expected));
    bench.eventually(&format!("{sni} is shown its certificate"), shown).await;
}

/// A chain that is longer than a command may be comes by a reload, and goes without one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_chain_takes_a_reload() {
    let first = certificate(&["a.example"]);
    let text = certificate(&["b.example"]).pem.unwrap().secret().to_owned();
    let (chain, _) = text.split_once("-----BEGIN PRIVATE KEY").unwrap();
    let long = backchat::certificates::read(chain.repeat(40).as_bytes(), text.as_bytes()).unwrap();
    let wanted = Wanted::default().default_certificate("first", &first);
    let mut bench = Bench::<HaproxyRig>::start().await;
    bench.converge(&wanted).await;
    let way = bench.converge(&wanted.clone().certificate("long", &long)).await;
    let why = way.plans.iter().find_map(|plan| plan.reload.clone()).unwrap();
    assert_eq!((way.reloads(), &*why), (1, "too large for the runtime socket: certificate long"));
    shows(&bench, "b.example", &long).await;
    assert_eq!(bench.converge(&wanted).await.reloads(), 0);
    shows(&bench, "b.example", &first).await;
}

/// Where somebody has edited the file, certificates are pushed all the same, and once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_file_holds_up_no_certificate() {
    let (first, second) = (certificate(&["a.example"]), certificate(&["b.example"]));
    let one = Web::start("one").await;
    let wanted = Wanted::default().ready("web", "one", one.addr).default_certificate("first", &first);
    let mut bench = Bench::<HaproxyRig>::start().await;
    bench.converge(&wanted).await;
    bench.rig.edit();
    let wanted = wanted.certificate("second", &second);
    let waits = |step: &Step<_>| matches!(step, Step::Waiting { recheck, .. } if recheck.as_secs() > 0);
    let way = bench.until(&wanted, Mode::default(), waits).await;
    assert_eq!((way.plans.len(), way.reloads()), (1, 0), "{:?}", way.plans);
    shows(&bench, "b.example", &second).await;
    assert_eq!(bench.live().await, wanted.0);
}

/// HTTP/3 where this HAProxy has it, by the same certificates, renewed ones too; where it has none, nobody is sent there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_3_where_it_is_built_in() {
    let first = certificate(&["a.example"]);
    let one = Web::start("one").await;
    let wanted = Wanted::default().ready("web", "one", one.addr).route("*", "/", "web");
    let mut bench = Bench::<HaproxyRig>::start().await;
    bench.converge(&wanted.clone().default_certificate("first", &first)).await;
    let has_it = bench.rig.file().contains("alpn h3");
    assert_eq!(has_it, Quic::of(&program()) != Quic::No);
    let said = client::head(bench.rig.https(), "a.example").await.to_ascii_lowercase();
    assert_eq!(said.contains(&format!("alt-svc: h3=\":{}\"", bench.rig.https().port())), has_it, "{said}");
    if !has_it {
        return;
    }
    assert_eq!(h3::get(bench.rig.https(), "a.example", &first).await, "one");
    let renewed = certificate(&["a.example"]);
    assert_eq!(bench.converge(&wanted.default_certificate("first", &renewed)).await.reloads(), 0);
    assert_eq!(h3::get(bench.rig.https(), "a.example", &renewed).await, "one");
}
