//! Routes: which service a host and path reach, and what is answered where none does.

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
