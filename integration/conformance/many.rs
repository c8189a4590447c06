//! Ten thousand hosts: loaded, found, and one of them changed, as if they were ten.

use super::{bench::Bench, rig::Rig, web::Web, words::Wanted};

/// So many hosts.
const HOSTS: usize = 10_000;
/// So many services, each with its part of them.
const SERVICES: usize = 10;

/// The host of this number: most are exact; of twenty one is a wildcard, and one has an address in it.
fn host(n: usize) -> String {
    match n % 20 {
        7 => format!("*.w{n}.example.com"),
        13 => format!("m{n}.<ip>.nip.io"),
        _ => format!("h{n}.example.com"),
    }
}

/// What a client asks for that wants that one.
fn asked(n: usize) -> String {
    host(n).replace('*', "any").replace("<ip>", "10-1-2-3")
}

/// Loaded, each kind found from the first to the last, one changed and one taken out; none of it by a reload where routes
/// go without one.
pub(crate) async fn ten_thousand_hosts<R: Rig>() {
    let mut servers = Vec::new();
    let mut wanted = Wanted::default();
    for n in 0..SERVICES {
        let server = Web::start(&format!("s{n}")).await;
        wanted = wanted.ready(&format!("s{n}"), "one", server.addr);
        servers.push(server);
    }
    let wanted = (0..HOSTS).fold(wanted, |wanted, n| wanted.route(&host(n), "/", &format!("s{}", n % SERVICES)));
    let mut bench = Bench::<R>::start().await;
    let way = bench.converge(&wanted).await;
    let reloads = usize::from(!R::ENDPOINTS_WITHOUT_RELOAD);
    assert_eq!(way.reloads(), reloads);
    for n in [0, 7, 13, HOSTS / 2, HOSTS / 2 + 7, HOSTS / 2 + 13, HOSTS - 13, HOSTS - 7, HOSTS - 1] {
        bench.comes_to(&asked(n), "/", 200, &format!("s{}", n % SERVICES)).await;
    }
    assert_eq!(bench.get(&format!("h{HOSTS}.example.com"), "/").await.0, 404);

    let mut changed = wanted.clone().route(&host(HOSTS / 2), "/", "s9");
    changed.0.routes.retain(|route, _| route.host.to_string() != host(HOSTS - 1));
    let way = bench.converge(&changed).await;
    // All of a set goes at once, or not at all: what is said to the data plane is bounded by its size, not by its square.
    assert!(way.commands().len() < 100, "{} commands", way.commands().len());
    assert_eq!(way.reloads(), reloads);
    bench.comes_to(&asked(HOSTS / 2), "/", 200, "s9").await;
    bench.comes_to(&asked(HOSTS / 2 + 1), "/", 200, "s1").await;
    assert_eq!(bench.get(&asked(HOSTS - 1), "/").await.0, 404);
    assert_eq!(bench.converge(&changed).await.plans, []);
}
