//! Routes: which service a host and path reach, and what is answered where none does.

use std::net::SocketAddr;

use backchat_contract::{EndpointAddr, EndpointName, HostPattern, Mode, PathPrefix, ServiceName, Step};

use super::{
    bench::Bench,
    rig::Rig,
    web::{self, Web},
    words::Wanted,
};

/// Exact before wildcard, the longest wildcard first, the longest path of whole segments.
pub(crate) async fn hosts_and_paths<R: Rig>() {
    let names = ["exact", "api", "v1", "wild", "deep", "any"];
    let mut servers = Vec::new();
    let mut wanted = Wanted::default();
    for name in names {
        let server = Web::start(name).await;
        wanted = wanted.ready(name, &format!("{name}1"), server.addr);
        servers.push(server);
    }
    let wanted = wanted
        .route("www.example.com", "/", "exact")
        .route("www.example.com", "/api", "api")
        .route("www.example.com", "/api/v1", "v1")
        .route("*.example.com", "/", "wild")
        .route("*.deep.example.com", "/", "deep")
        .route("*", "/any", "any");
    let bench = Bench::<R>::with(&wanted).await;
    for (host, path, expected) in [
        ("www.example.com", "/", "exact"),
        ("WWW.Example.COM", "/", "exact"),
        ("www.example.com:8080", "/", "exact"),
        ("www.example.com.", "/", "exact"),
        ("www.example.com", "/api", "api"),
        ("www.example.com", "/api/", "api"),
        ("www.example.com", "/api?x=/api/v1", "api"),
        ("www.example.com", "/apish", "exact"),
        ("www.example.com", "/api/v1/x", "v1"),
        ("www.example.com", "/api/v10", "api"),
        ("other.example.com", "/api", "wild"),
        ("a.b.c.d.e.example.com", "/", "wild"),
        ("a.deep.example.com", "/", "deep"),
        ("deep.example.com", "/", "wild"),
        ("elsewhere.org", "/any/thing", "any"),
    ] {
        bench.comes_to(host, path, 200, expected).await;
    }
    for (host, path) in [("elsewhere.org", "/"), ("example.com", "/"), ("a.b.c.d.e.f.example.com", "/")] {
        assert_eq!(bench.get(host, path).await.0, 404, "{host}{path}");
    }
}

/// 400 without a host, 404 for one that nobody has, 503 for one without endpoints.
pub(crate) async fn no_host_no_route_no_endpoint<R: Rig>() {
    let bench = Bench::<R>::with(&Wanted::default().service("empty").route("empty.example.com", "/", "empty")).await;
    assert_eq!(bench.get("empty.example.com", "/").await.0, 503);
    assert_eq!(bench.get("unknown.example.com", "/").await.0, 404);
    assert_eq!(web::send(bench.rig.http(), "GET / HTTP/1.0\r\n\r\n").await.0, 400);
}

/// A request for one host that says another is nobody's: it would be routed by the one, and answered for the other.
pub(crate) async fn one_host_a_request<R: Rig>() {
    let server = Web::start("public").await;
    let wanted = Wanted::default().ready("web", "one", server.addr).route("public.example", "/", "web");
    let bench = Bench::<R>::with(&wanted).await;
    bench.comes_to("public.example", "/", 200, "public").await;
    let whole =
        |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let ask = async |target: &str, host: &str| web::send(bench.rig.http(), &whole(target, host)).await.0;
    let port = bench.rig.http().port();
    for host in [
        "public.example".to_owned(),
        "PUBLIC.example".into(),
        format!("public.example:{port}"),
        "public.example.".into(),
    ] {
        assert_eq!(ask("/", &host).await, 200, "{host}");
    }
    assert_eq!(ask("http://public.example/", "public.example").await, 200);
    for (target, host) in [
        ("http://public.example/", "internal.example"),
        ("/", "public.example:80@evil.example"),
        ("/", "public.example:x"),
        ("/", "public.example/x"),
    ] {
        let status = ask(target, host).await;
        assert!(status == 400 || status == 404, "{target} {host}: {status}");
    }
}

/// A route for any host is the default.
pub(crate) async fn default_service<R: Rig>() {
    let server = Web::start("default").await;
    let wanted = Wanted::default().ready("web", "one", server.addr).route("*", "/", "web");
    let bench = Bench::<R>::with(&wanted).await;
    for host in ["a", "any.example.com", "127.0.0.1", "a.b.c.d.e.f.g.h"] {
        bench.comes_to(host, "/x", 200, "default").await;
    }
}

/// A route that moves to another service does so without a request in between that nobody answers.
pub(crate) async fn move_at_once<R: Rig>() {
    let (blue, green) = (Web::start("blue").await, Web::start("green").await);
    let both = Wanted::default().ready("blue", "b", blue.addr).ready("green", "g", green.addr);
    let mut bench = Bench::<R>::with(&both.clone().route("a.example", "/", "blue")).await;
    bench.comes_to("a.example", "/", 200, "blue").await;
    bench.converge(&both.clone().route("a.example", "/", "green").route("b.example", "/", "blue")).await;
    bench.comes_to("a.example", "/", 200, "green").await;
    bench.comes_to("b.example", "/", 200, "blue").await;
    bench.converge(&both).await;
    assert_eq!(bench.get("a.example", "/").await.0, 404);
}

/// Every name that is one reaches the data plane and serves, in spare places and laid out anew: the longest, the
/// oddest, and those that mean something to somebody.
pub(crate) async fn every_name_serves<R: Rig>() {
    let (long, longest) = ("n".repeat(64), format!("{}:8080", "e".repeat(65)));
    let host = format!("{0}.{0}.{0}.{1}", "h".repeat(63), "h".repeat(61));
    let path = format!("/{}", ["p".repeat(50), "a.b_c~d-e".into(), "q".repeat(194)].join("/"));
    let names = ["0", "5", "GLOBAL", "MASTER", "Web", "web", "defaults", "global", "none", "a.b-c_d", "bc", &long];
    let server = Web::start("any").await;
    let mut wanted = Wanted::default().route(&host, &path, &long);
    for (n, name) in names.into_iter().enumerate() {
        wanted = wanted.ready(name, "disabled", server.addr).ready(name, &longest, server.addr);
        wanted = wanted.route(&format!("s{n}.example"), "/", name);
    }
    let mut bench = Bench::<R>::with(&wanted).await;
    for round in 0..2 {
        for n in 0..names.len() {
            bench.comes_to(&format!("s{n}.example"), "/", 200, "any").await;
        }
        bench.comes_to(&host, &format!("{path}/x"), 200, "any").await;
        assert_eq!(bench.get(&host, "/").await.0, 404, "round {round}");
        for n in 0..=R::SPARE_SERVICES {
            wanted = wanted.service(&format!("filler{n}"));
        }
        bench.converge(&wanted).await;
    }
}

/// What means anything to a parser is no name: it cannot be said.
pub(crate) async fn hostile_words_are_no_names<R: Rig>() {
    for word in [
        "a b", "a;b", "a\nb", "a\0b", "a#b", "a\"b", "a'b", "a\\b", "${PATH}", "%[src]", "{{x}}", "a/b", "", "\u{202e}",
    ] {
        assert!(word.parse::<ServiceName>().is_err(), "{word:?}");
        assert!(word.parse::<EndpointName>().is_err(), "{word:?}");
        assert!(word.parse::<HostPattern>().is_err(), "{word:?}");
        assert!(word.parse::<PathPrefix>().is_err(), "{word:?}");
    }
    for addr in ["169.254.169.254:80", "0.0.0.0:80", "10.0.0.1:0", "[::]:80", "224.0.0.1:80"] {
        assert!(EndpointAddr::try_from(addr.parse::<SocketAddr>().unwrap()).is_err(), "{addr}");
    }
    // And a name that is ours to give is a service like any other that nobody may have: it reaches nothing.
    let server = Web::start("any").await;
    let mut bench = Bench::<R>::start().await;
    let reserved = Wanted::default().ready("bc-spare-01", "one", server.addr).route("a.example", "/", "bc-spare-01");
    bench.until(&reserved, Mode::default(), |step| *step == Step::Converged).await;
    assert_eq!(bench.get("a.example", "/").await.0, 404);
}
