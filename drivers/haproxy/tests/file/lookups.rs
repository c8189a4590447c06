//! Which backend a request comes to: the frontend's map lookups, as HAProxy itself does them.

use backchat_contract::{Protocol, ServiceName};
use backchat_haproxy::layout::{Admin, Backend, BackendName};

use crate::rig::{Rig, Web};

#[tokio::test]
async fn hosts_and_paths() {
    let names = ["exact", "api", "apiv2", "wild", "deep", "deepapi", "any", "anyapi"];
    let mut rig = Rig::new();
    let mut webs = Vec::new();
    for name in names {
        let web = Web::start(name).await;
        rig.service(name, &[(web.addr, Admin::Ready)]);
        webs.push(web);
    }
    rig.route("www.example.com", "/", "exact");
    rig.route("www.example.com", "/api", "api");
    rig.route("www.example.com", "/api/v2", "apiv2");
    rig.route("*.example.com", "/", "wild");
    rig.route("*.deep.example.com", "/", "deep");
    rig.route("*.deep.example.com", "/api", "deepapi");
    rig.route("part.example.com", "/api", "api");
    rig.route("*", "/", "any");
    rig.route("*", "/only", "anyapi");
    let process = rig.start().await;

    let check = async |host: &str, path: &str, expected: &str| {
        assert_eq!(rig.get(host, path).await, (200, expected.into()), "{host}{path}");
    };
    check("www.example.com", "/", "exact").await;
    check("www.example.com", "/other", "exact").await;
    check("WWW.Example.COM", "/", "exact").await;
    check("www.example.com:8080", "/", "exact").await;
    check("www.example.com.", "/", "exact").await;
    check("www.example.com.:80", "/", "exact").await;
    // Paths, in whole segments, the longest; case matters; a query is no part of it.
    check("www.example.com", "/api", "api").await;
    check("www.example.com", "/api/", "api").await;
    check("www.example.com", "/api/v1", "api").await;
    check("www.example.com", "/api/v2", "apiv2").await;
    check("www.example.com", "/api/v2/x", "apiv2").await;
    check("www.example.com", "/api/v22", "api").await;
    check("www.example.com", "/apis", "exact").await;
    check("www.example.com", "/API", "exact").await;
    check("www.example.com", "/api?a=/b/", "api").await;
    check("www.example.com", "/?q=/api/", "exact").await;
    check("www.example.com", "//api", "exact").await;
    // Wildcards: one to five labels, the longest first; the domain itself is not among them.
    check("a.example.com", "/", "wild").await;
    check("a.b.c.d.e.example.com", "/", "wild").await;
    check("a.b.c.d.e.f.example.com", "/", "any").await;
    check("example.com", "/", "any").await;
    check("a.deep.example.com", "/", "deep").await;
    check("a.b.deep.example.com", "/api/x", "deepapi").await;
    check("deep.example.com", "/", "wild").await;
    check("WWW.DEEP.example.com:1", "/", "deep").await;
    // Any.
    check("other.org", "/", "any").await;
    check("other.org", "/only/x", "anyapi").await;
    check("10.0.0.1:80", "/", "any").await;
    check("[::1]:80", "/", "any").await;
    check("localhost", "/", "any").await;
    // Host first: a host's own root has what only a pattern further down names. Where a host has no root, the
    // next pattern is asked.
    check("www.example.com", "/only", "exact").await;
    check("part.example.com", "/api/x", "api").await;
    check("part.example.com", "/only", "wild").await;
    drop(process);
}

#[tokio::test]
async fn requests_that_no_service_takes() {
    let web = Web::start("web").await;
    let mut rig = Rig::new();
    rig.service("web", &[(web.addr, Admin::Ready)]);
    rig.service("empty", &[]);
    rig.service("drained", &[(web.addr, Admin::Drain)]);
    rig.route("web.example.com", "/app", "web");
    rig.route("empty.example.com", "/", "empty");
    rig.route("drained.example.com", "/", "drained");
    // Nobody may reach across protocols, and a route to nowhere must not hide the answer 404.
    let db: ServiceName = "db".parse().unwrap();
    let tcp = Backend { service: Some(db.clone()), protocol: Protocol::Tcp, ..Backend::default() };
    rig.layout.backends.insert(BackendName::from(&db), tcp);
    rig.route("db.example.com", "/", "db");
    rig.route("gone.example.com", "/", "gone");
    let process = rig.start().await;

    let none = (404, "no route for this host and path\n".into());
    assert_eq!(rig.get("other.example.com", "/").await, none);
    assert_eq!(rig.get("web.example.com", "/").await, none);
    assert_eq!(rig.get("web.example.com", "/apple").await, none);
    assert_eq!(rig.get("db.example.com", "/").await, none);
    assert_eq!(rig.get("gone.example.com", "/").await, none);
    assert_eq!(rig.get("empty.example.com", "/").await.0, 503);
    assert_eq!(rig.get("drained.example.com", "/").await.0, 503);
    assert_eq!(rig.get("web.example.com", "/app").await.0, 200);
    // No host, an empty one, one that reaches into the keys' paths.
    assert_eq!(rig.raw("GET / HTTP/1.0\r\n\r\n").await.0, 400);
    assert_eq!(rig.raw("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.0, 400);
    assert_eq!(rig.get("", "/app").await.0, 400);
    assert_eq!(rig.get(".", "/app").await.0, 400);
    assert_eq!(rig.get("web.example.com/app", "/").await.0, 400);
    assert_eq!(rig.raw("OPTIONS * HTTP/1.1\r\nHost: web.example.com\r\nConnection: close\r\n\r\n").await.0, 404);
    drop(process);
}

/// Members choose names; none of them may mean anything but itself to HAProxy.
#[tokio::test]
async fn names_that_haproxy_knows() {
    let web = Web::start("web").await;
    let mut rig = Rig::new();
    let longest = "a".repeat(64);
    let names = [
        "GLOBAL",
        "MASTER",
        "global",
        "defaults",
        "backend",
        "from",
        "listen",
        "server",
        "disabled",
        "check",
        "TRUE",
        "default-server",
        "0",
        "1.2.3.4",
        "a.b-c_d",
        "if",
        "unless",
        "env",
        "http",
        "none",
        &longest,
    ];
    for (number, name) in names.iter().enumerate() {
        rig.service(name, &[(web.addr, Admin::Ready)]);
        rig.route(&format!("host{number}"), "/", name);
    }
    let _process = rig.start().await;
    for (number, name) in names.iter().enumerate() {
        assert_eq!(rig.get(&format!("host{number}"), "/").await, (200, "web".into()), "{name}");
    }
}
