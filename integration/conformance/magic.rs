//! Names with an address in them: each spelling reaches the service, and nothing that only looks like one does.

use backchat_contract::magic;

use super::{bench::Bench, rig::Rig, web::Web, words::Wanted};

/// Hosts and who answers; `-` for nobody.
const HOSTS: &[(&str, &str)] = &[
    ("sinatra1.10.1.2.164.nip.io", "sinatra1"),
    ("sinatra1.10-1-2-164.nip.io", "sinatra1"),
    ("sinatra1-10-1-2-164.nip.io", "sinatra1"),
    ("SINATRA1.10.1.2.164.Nip.io:8080", "sinatra1"),
    ("sinatra1.0.0.0.0.nip.io", "sinatra1"),
    ("sinatra1.255.255.255.255.nip.io", "sinatra1"),
    ("sinatra1.2a01-4f8--1.nip.io", "sinatra1"),
    ("sinatra1.--1.nip.io", "sinatra1"),
    ("sinatra1.1-2-3-4-5-6-7-8.nip.io", "sinatra1"),
    ("sinatra1-2.10-1-2-164.nip.io", "sinatra1-2"),
    ("sinatra1-2-10-1-2-164.nip.io", "sinatra1-2"),
    ("web.127.0.0.1.a-rather-long.domain-of-somebodys.own-which-is-magic.example", "web"),
    ("sinatra1.10.1.2.nip.io", "-"),
    ("sinatra1.10.1.2.256.nip.io", "-"),
    ("sinatra1.10.1.2.064.nip.io", "-"),
    ("sinatra1-10.1.2.164.nip.io", "-"),
    ("sinatra1.10.1-2-164.nip.io", "-"),
    ("sinatra1.1-2-3-4-5-6-7.nip.io", "-"),
    ("sinatra1.1-2-3-4-5-6-7-8-9.nip.io", "-"),
    ("sinatra1.1--2--3.nip.io", "-"),
    ("sinatra1.g--1.nip.io", "-"),
    ("x.sinatra1.10.1.2.164.nip.io", "-"),
    ("xsinatra1.10.1.2.164.nip.io", "-"),
    ("10.1.2.164.nip.io", "-"),
    ("10-1-2-164.nip.io", "-"),
    ("sinatra1.10.1.2.164.nip.iox", "-"),
    ("sinatra1.10.1.2.164.x.nip.io", "-"),
    ("sinatra1.10.1.2.164", "-"),
    ("sinatra1.nip.io", "-"),
];

/// What stands above, by the data plane and by the contract's own word.
pub(crate) async fn every_spelling_of_a_name<R: Rig>() {
    let mut wanted = Wanted::default();
    let mut servers = Vec::new();
    for name in ["sinatra1", "sinatra1-2", "web"] {
        let server = Web::start(name).await;
        wanted = wanted.ready(name, "one", server.addr);
        servers.push(server);
    }
    let own = "web.<ip>.a-rather-long.domain-of-somebodys.own-which-is-magic.example";
    let wanted = wanted
        .route("sinatra1.<ip>.nip.io", "/", "sinatra1")
        .route("sinatra1-2.<ip>.nip.io", "/", "sinatra1-2")
        .route(own, "/", "web");
    let mut bench = Bench::<R>::with(&wanted).await;
    for (host, who) in HOSTS {
        let plain = host.split(':').next().unwrap().to_ascii_lowercase();
        let route = magic(&plain).and_then(|host| wanted.0.routes.iter().find(|(route, _)| route.host == host));
        assert_eq!(route.map_or("-", |(_, service)| service.as_str()), *who, "{host}");
        if *who == "-" {
            assert_eq!(bench.get(host, "/").await.0, 404, "{host}");
        } else {
            bench.comes_to(host, "/", 200, who).await;
        }
    }
    // Read back as it is, it changes nothing; and it goes as any other route.
    assert_eq!(bench.converge(&wanted).await.plans, []);
    let mut fewer = wanted.clone();
    fewer.0.routes.retain(|_, service| service.as_str() != "sinatra1");
    bench.converge(&fewer).await;
    assert_eq!(bench.get(HOSTS[0].0, "/").await.0, 404);
    bench.comes_to(HOSTS[9].0, "/", 200, "sinatra1-2").await;
}

/// An exact host before it, wildcards and any host behind it; a path that it has not goes on to them.
pub(crate) async fn a_name_is_nearer_than_a_wildcard<R: Rig>() {
    let mut wanted = Wanted::default();
    let mut servers = Vec::new();
    for name in ["exact", "named", "wild", "any"] {
        let server = Web::start(name).await;
        wanted = wanted.ready(name, "one", server.addr);
        servers.push(server);
    }
    let wanted = wanted
        .route("a.10.1.2.3.nip.io", "/", "exact")
        .route("a.<ip>.nip.io", "/", "named")
        .route("b.<ip>.nip.io", "/api", "named")
        .route("*.nip.io", "/", "wild")
        .route("*", "/", "any");
    let bench = Bench::<R>::with(&wanted).await;
    for (host, path, who) in [
        ("a.10.1.2.3.nip.io", "/", "exact"),
        ("a-10-1-2-3.nip.io", "/", "named"),
        ("a.10.1.2.4.nip.io", "/", "named"),
        ("b.10.1.2.4.nip.io", "/api/x", "named"),
        ("b.10.1.2.4.nip.io", "/", "wild"),
        ("c.10.1.2.4.nip.io", "/", "wild"),
        ("a.10.1.2.4.example", "/", "any"),
    ] {
        bench.comes_to(host, path, 200, who).await;
    }
}
