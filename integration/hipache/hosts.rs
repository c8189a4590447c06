//! Which host is whose.

use super::rigs::{Hipache, with};
use crate::conformance::{Wanted, Web, send};

const THIRTEEN: &str = "a.b.c.d.e.f.g.h.i.j.k.l.m";

/// A service of this name behind each of these hosts.
async fn services(hosts: &[(&'static str, &str)]) -> (Wanted, Vec<Web>) {
    let (mut wanted, mut servers) = (Wanted::default(), Vec::new());
    for (name, host) in hosts {
        let server = Web::start(name).await;
        wanted = wanted.ready(name, "one", server.addr).route(host, "/", name);
        servers.push(server);
    }
    (wanted, servers)
}

pub(super) async fn exact<R: Hipache>() -> String {
    let (wanted, _servers) = services(&[("short", "localhost"), ("host", "www.example.com"), ("long", THIRTEEN)]).await;
    let bench = with::<R>(&wanted).await;
    for (host, service) in
        [("localhost", "short"), ("WWW.example.com:8080", "host"), ("www.example.com.", "host"), (THIRTEEN, "long")]
    {
        bench.comes_to(host, "/x", 200, service).await;
    }
    "yes".into()
}

pub(super) async fn wildcards<R: Hipache>() -> String {
    let hosts = [
        ("one", "*.qux"),
        ("two", "*.baz.qux"),
        ("three", "*.bar.baz.qux"),
        ("five", "*.1.2.bar.baz.qux"),
        ("six", "*.0.1.2.bar.baz.qux"),
        ("any", "*"),
        ("exact", "foo.bar.baz.qux"),
    ];
    let (mut wanted, mut servers) = services(&hosts).await;
    // A path that the longest has not is the next one's.
    let server = Web::start("path").await;
    wanted = wanted.ready("path", "one", server.addr).route("*.part.qux", "/part", "path");
    servers.push(server);
    let bench = with::<R>(&wanted).await;
    for (host, service) in [
        ("foo.bar.baz.qux", "exact"),
        ("x.bar.baz.qux", "three"),
        ("bar.baz.qux", "two"),
        ("baz.qux", "one"),
        ("qux", "any"),
        ("x.1.2.bar.baz.qux", "five"),
        // What is before it does not count.
        ("7.6.5.4.3.2.x.1.2.bar.baz.qux", "five"),
        ("l.k.j.i.h.g.f.e.d.c.b.qux", "one"),
        ("x.0.1.2.bar.baz.qux", "five"),
        ("elsewhere.org", "any"),
        (THIRTEEN, "any"),
        ("x.part.qux", "one"),
    ] {
        bench.comes_to(host, "/", 200, service).await;
    }
    bench.comes_to("x.part.qux", "/part/y", 200, "path").await;
    "yes".into()
}

pub(super) async fn no_host<R: Hipache>() -> String {
    let (wanted, _servers) = services(&[("web", "a.example")]).await;
    let bench = with::<R>(&wanted).await;
    bench.comes_to("a.example", "/", 200, "web").await;
    assert_eq!(bench.get("b.example", "/").await.0, 400);
    for head in ["GET / HTTP/1.0\r\n", "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n"] {
        assert_eq!(send(bench.rig.http(), &format!("{head}\r\n")).await.0, 400, "{head}");
    }
    for host in ["a.example:x", "a.example/x", "b.example@a.example"] {
        assert_eq!(bench.get(host, "/").await.0, 400, "{host}");
    }
    "yes".into()
}

pub(super) async fn ping<R: Hipache>() -> String {
    let bench = with::<R>(&Wanted::default()).await;
    for host in ["__ping__", "__ping__:80"] {
        assert_eq!(bench.get(host, "/x").await, (200, "OK".to_owned()), "{host}");
    }
    "yes".into()
}
