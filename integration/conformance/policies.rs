//! How a service is balanced: what the operator says of it holds on every data plane that takes it.

use std::{collections::BTreeSet, time::Duration};

use backchat_contract::{
    Policies, ServicePolicy,
    policy::{Balance, Canary, Header, Pick, Timeouts},
};

use super::{
    bench::Bench,
    client,
    echo::{Answer, Echo, ask, upgraded},
    rig::{Ruled, Tls},
    tls::certificate,
    web::{self, Web},
    words::Wanted,
};

const HOST: &str = "web.example";

/// The policies of these services.
pub(crate) fn policies<const N: usize>(all: [(&str, ServicePolicy); N]) -> Policies {
    all.into_iter().map(|(service, policy)| (service.parse().unwrap(), policy)).collect()
}

/// A header of this name.
pub(crate) fn header(name: &str, value: &str) -> Header {
    Header { name: name.parse().unwrap(), value: value.parse().unwrap() }
}

/// A service of this policy, with these endpoints, at a host of its own.
async fn serving<R: Ruled, const N: usize>(policy: ServicePolicy, names: [&str; N]) -> (Bench<R>, Wanted, Vec<Echo>) {
    let mut servers = Vec::new();
    let mut wanted = Wanted::default().service("web").route(HOST, "/", "web");
    for name in names {
        let server = Echo::start(name).await;
        wanted = wanted.ready("web", name, server.addr);
        servers.push(server);
    }
    let mut bench = Bench::<R>::ruled(policies([("web", policy)])).await;
    bench.converge(&wanted).await;
    bench.eventually("somebody answers", async || bench.asked("/", &[]).await.status == 200).await;
    (bench, wanted, servers)
}

impl<R: Ruled> Bench<R> {
    async fn asked(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.rig.http(), HOST, path, headers).await
    }

    /// Who answers so many requests.
    async fn who(&self, times: usize, headers: &[(&str, &str)]) -> BTreeSet<String> {
        let mut who = BTreeSet::new();
        for _ in 0..times {
            who.insert(self.asked("/", headers).await.who().to_owned());
        }
        who
    }
}

/// What is in front of a path is cut, whole segments of it, with the rest as it came; and the server is told.
pub(crate) async fn strip_prefix<R: Ruled>() {
    let policy = ServicePolicy { strip_prefix: Some("/a.b/c".parse().unwrap()), ..ServicePolicy::DEFAULT };
    let (bench, _wanted, _servers) = serving::<R, 1>(policy, ["one"]).await;
    for (path, seen, told) in [
        ("/a.b/c", "/", Some("/a.b/c")),
        ("/a.b/c/", "/", Some("/a.b/c")),
        ("/a.b/c?x=/a.b/c", "/?x=/a.b/c", Some("/a.b/c")),
        ("/a.b/c/d%20e/../f?g", "/d%20e/../f?g", Some("/a.b/c")),
        ("/a.b/cd", "/a.b/cd", None),
        ("/a_b/c", "/a_b/c", None),
        ("/x/a.b/c", "/x/a.b/c", None),
    ] {
        let answer = bench.asked(path, &[]).await;
        assert_eq!(answer.line(), format!("GET {seen} HTTP/1.1"), "{path}");
        assert_eq!(answer.asked("x-forwarded-prefix"), told, "{path}");
    }
}

/// Headers are set over those that came, and taken away.
pub(crate) async fn headers<R: Ruled>() {
    let policy = ServicePolicy {
        request_headers: vec![header("X-Team", "a 100% 'b'; {c} #d"), header("Cookie", ""), header("X-Empty", "")],
        response_headers: vec![
            header("X-Own", "ours: 100% #1"),
            header("X-Secret", ""),
            header("X-Frame-Options", "DENY"),
        ],
        ..ServicePolicy::DEFAULT
    };
    let (bench, _wanted, _servers) = serving::<R, 1>(policy, ["one"]).await;
    let answer = bench.asked("/", &[("X-Team", "theirs"), ("Cookie", "a=b"), ("X-Other", "stays")]).await;
    assert_eq!(answer.asked("x-team"), Some("a 100% 'b'; {c} #d"));
    assert_eq!(answer.asked("cookie"), None);
    assert_eq!(answer.asked("x-other"), Some("stays"));
    assert_eq!(answer.asked("host"), Some(HOST), "what every request says is said all the same");
    assert!(answer.asked("x-forwarded-for").is_some());
    assert_eq!(answer.header("x-own"), Some("ours: 100% #1"));
    assert_eq!(answer.header("x-secret"), None);
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
}

/// Who is not of these networks is refused.
pub(crate) async fn allowed_networks<R: Ruled>() {
    let allow = |networks: &[&str]| ServicePolicy {
        allow: networks.iter().map(|network| network.parse().unwrap()).collect(),
        ..ServicePolicy::DEFAULT
    };
    let server = Echo::start("one").await;
    let mut bench = Bench::<R>::ruled(policies([
        ("open", allow(&["10.0.0.0/8", "127.0.0.0/8", "::1"])),
        ("closed", allow(&["10.0.0.0/8", "2001:db8::/32"])),
    ]))
    .await;
    let wanted = Wanted::default().ready("open", "one", server.addr).ready("closed", "one", server.addr);
    bench.converge(&wanted.route("open.example", "/", "open").route("closed.example", "/", "closed")).await;
    let to = bench.rig.http();
    bench.eventually("open answers", async || ask(to, "open.example", "/", &[]).await.status == 200).await;
    assert_eq!(ask(to, "closed.example", "/", &[]).await.status, 403);
}

/// A client that asks too often is told so.
pub(crate) async fn rate_limit<R: Ruled>() {
    let server = Echo::start("one").await;
    let limited = ServicePolicy { rate_limit: Some("5/m".parse().unwrap()), ..ServicePolicy::DEFAULT };
    let mut bench = Bench::<R>::ruled(policies([("web", limited)])).await;
    let wanted = Wanted::default().ready("web", "one", server.addr).ready("free", "one", server.addr);
    bench.converge(&wanted.route(HOST, "/", "web").route("free.example", "/", "free")).await;
    let to = bench.rig.http();
    bench.eventually("the other answers", async || ask(to, "free.example", "/", &[]).await.status == 200).await;
    let mut seen = Vec::new();
    for _ in 0..7 {
        seen.push(bench.asked("/", &[]).await.status);
    }
    assert_eq!(seen, [200, 200, 200, 200, 200, 429, 429]);
    assert_eq!(ask(to, "free.example", "/", &[]).await.status, 200, "others are not counted with it");
}

/// Who asks too often goes on getting as much as anybody: what is refused does not count.
pub(crate) async fn rate_limit_goes_on<R: Ruled>() {
    let limited = ServicePolicy { rate_limit: Some("5/s".parse().unwrap()), ..ServicePolicy::DEFAULT };
    let (bench, _wanted, _servers) = serving::<R, 1>(limited, ["one"]).await;
    let begun = tokio::time::Instant::now();
    let (mut taken, mut refused) = (0, 0);
    while taken < 15 {
        assert!(begun.elapsed() < super::web::LONG, "{taken} taken, {refused} refused");
        match bench.asked("/", &[]).await.status {
            200 => taken += 1,
            429 => refused += 1,
            other => panic!("{other}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(refused > 0);
}

/// A client with a cookie stays where it was first, and goes elsewhere when that one drains.
pub(crate) async fn sticky<R: Ruled>() {
    let policy = ServicePolicy { sticky: Some("bc_web".parse().unwrap()), ..ServicePolicy::DEFAULT };
    let (mut bench, wanted, servers) = serving::<R, 3>(policy, ["one", "two", "three"]).await;
    let mut clients: Vec<(String, String)> = Vec::new();
    for _ in 0..60 {
        let answer = bench.asked("/", &[]).await;
        let cookie = answer.cookie().expect("a cookie for who has none").to_owned();
        assert!(cookie.starts_with("bc_web="), "{cookie}");
        clients.push((cookie, answer.who().to_owned()));
    }
    let homes: BTreeSet<&str> = clients.iter().map(|(_, home)| home.as_str()).collect();
    assert_eq!(homes.len(), 3, "new clients go everywhere");
    for (cookie, home) in &clients {
        let answer = bench.asked("/", &[("Cookie", &format!("a=b; {cookie}; c=d"))]).await;
        assert_eq!((answer.who(), answer.cookie()), (home.as_str(), None));
    }
    let drained = wanted.draining("web", "two", servers[1].addr);
    bench.converge(&drained).await;
    for (cookie, home) in &clients {
        let answer = bench.asked("/", &[("Cookie", cookie)]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.who() == home, home != "two", "{home}: {}", answer.who());
    }
    bench.converge(&drained.clone().ready("web", "two", servers[1].addr)).await;
    bench.eventually("it takes clients again", async || bench.who(12, &[]).await.len() == 3).await;
    bench.converge(&drained.without("web", "two")).await;
}

/// The same place for the same path or client; anybody else's for the others.
pub(crate) async fn balances<R: Ruled>() {
    for (balance, by_path, by_client) in [
        (Balance::RoundRobin, false, false),
        (Balance::LeastConn, false, false),
        (Balance::Random, false, false),
        (Balance::Source, false, true),
        (Balance::Uri, true, false),
    ] {
        let policy = ServicePolicy { balance, ..ServicePolicy::DEFAULT };
        let (bench, _wanted, _servers) = serving::<R, 3>(policy, ["one", "two", "three"]).await;
        let one_path = bench.who(24, &[]).await.len();
        let mut paths = BTreeSet::new();
        for n in 0..48 {
            paths.insert(bench.asked(&format!("/{n}"), &[]).await.who().to_owned());
        }
        assert_eq!(one_path == 1, by_path || by_client, "{balance:?}: one path reaches {one_path}");
        assert_eq!(paths.len() == 1, by_client, "{balance:?}: paths reach {paths:?}");
    }
}

/// A header, a cookie, a share picks the canary; while it has nobody the service answers, and the other way round.
pub(crate) async fn canaries<R: Ruled>() {
    let canary = |name: &str, pick| Canary {
        service: format!("web.{name}").parse().unwrap(),
        tag: ("version".into(), name.into()),
        pick,
    };
    let by_header = Pick::Header("x-beta".parse().unwrap(), "yes; 'a'.b".parse().unwrap());
    let by_cookie = Pick::Cookie("try".parse().unwrap(), "default".parse().unwrap());
    let policy = ServicePolicy {
        canaries: vec![
            canary("nobody", Pick::Share("0%".parse().unwrap())),
            canary("header", by_header),
            canary("cookie", by_cookie),
        ],
        ..ServicePolicy::DEFAULT
    };
    let (mut bench, wanted, _servers) = serving::<R, 1>(policy, ["main"]).await;
    let header = [("X-Beta", "yes; 'a'.b")];
    let cookie = [("Cookie", "x=y; try=default")];
    for headers in [&header[..], &cookie[..], &[]] {
        assert_eq!(bench.asked("/", headers).await.who(), "main", "no canary serves yet");
    }
    let mut canaries = Vec::new();
    let mut with = wanted.clone();
    for name in ["nobody", "header", "cookie"] {
        let server = Echo::start(name).await;
        with = with.ready(&format!("web.{name}"), name, server.addr);
        canaries.push(server);
    }
    bench.converge(&with).await;
    bench.eventually("the canary is asked", async || bench.asked("/", &header).await.who() == "header").await;
    assert_eq!(bench.asked("/", &cookie).await.who(), "cookie");
    for other in [[("X-Beta", "YES; 'A'.B")], [("X-Beta", "yes; 'a'xb")], [("Cookie", "try=defaults")], [("X", "")]] {
        assert_eq!(bench.asked("/", &other).await.who(), "main", "{other:?}");
    }
    bench.converge(&with.without("web", "main")).await;
    bench.eventually("a canary stands in", async || bench.asked("/", &[]).await.who() == "nobody").await;
}

/// Each share is of all requests, however many there are.
pub(crate) async fn canary_share<R: Ruled>() {
    let own = |name: &str, share: &str| Canary {
        service: format!("web.{name}").parse().unwrap(),
        tag: ("version".into(), name.into()),
        pick: Pick::Share(share.parse().unwrap()),
    };
    let canaries = vec![own("none", "0%"), own("a", "40%"), own("b", "30%")];
    let policy = ServicePolicy { canaries, ..ServicePolicy::DEFAULT };
    let (mut bench, wanted, _servers) = serving::<R, 1>(policy, ["main"]).await;
    let (none, a, b) = (Echo::start("none").await, Echo::start("a").await, Echo::start("b").await);
    let wanted = wanted.ready("web.none", "none", none.addr).ready("web.a", "a", a.addr);
    bench.converge(&wanted.ready("web.b", "b", b.addr)).await;
    let mut counts = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..300 {
        let answer = bench.asked("/", &[]).await;
        assert_eq!(answer.status, 200);
        *counts.entry(answer.who().to_owned()).or_default() += 1;
    }
    // Five standard deviations of 300 throws are 42 at most.
    let near = |who: &str, expected: u32| counts.get(who).is_some_and(|count| count.abs_diff(expected) <= 42);
    assert!(near("a", 120) && near("b", 90) && near("main", 90) && counts.len() == 3, "{counts:?}");
}

/// An answer that takes too long is given up.
pub(crate) async fn response_timeout<R: Ruled>() {
    let timeouts = Timeouts { response: Some(Duration::from_millis(300)), ..Timeouts::default() };
    let policy = ServicePolicy { timeouts, retries: Some(0), ..ServicePolicy::DEFAULT };
    let server = Web::start("one").await;
    let mut bench = Bench::<R>::ruled(policies([("web", policy)])).await;
    bench.converge(&Wanted::default().ready("web", "one", server.addr).route(HOST, "/", "web")).await;
    bench.comes_to(HOST, "/", 200, "one").await;
    assert_eq!(bench.get(HOST, "/hold").await.0, 504);
}

/// What is upgraded passes through, with a policy and without.
pub(crate) async fn upgrades<R: Ruled>() {
    let policy = ServicePolicy { request_headers: vec![header("X-Team", "a")], ..ServicePolicy::DEFAULT };
    let (mut bench, wanted, servers) = serving::<R, 1>(policy, ["one"]).await;
    let wanted = wanted.ready("plain", "one", servers[0].addr).route("plain.example", "/", "plain");
    bench.converge(&wanted).await;
    let to = bench.rig.http();
    bench.eventually("plain answers", async || ask(to, "plain.example", "/", &[]).await.status == 200).await;
    for host in [HOST, "plain.example"] {
        assert_eq!(upgraded(to, host, "\x00\u{fffd} as it came").await, "\x00\u{fffd} as it came", "{host}");
    }
}

/// Without TLS a request is sent to where there is, with the path that it asked for; with it, it is answered.
pub(crate) async fn redirect_https<R: Ruled + Tls>() {
    let own = certificate(&[HOST]);
    let server = Echo::start("one").await;
    let policy = ServicePolicy { redirect_https: true, ..ServicePolicy::DEFAULT };
    let mut bench = Bench::<R>::ruled(policies([("web", policy)])).await;
    let wanted = Wanted::default().ready("web", "one", server.addr).route(HOST, "/", "web");
    bench.converge(&wanted.default_certificate("own", &own)).await;
    bench.eventually("it is sent on", async || bench.asked("/", &[]).await.status == 308).await;
    let (http, https) = (bench.rig.http(), bench.rig.https());
    for host in [HOST.to_owned(), format!("{HOST}:{}", http.port()), "WEB.example".to_owned()] {
        let answer = ask(http, &host, "/a//b%20c?d=e&f", &[]).await;
        let to = answer.header("location").unwrap_or_default().to_ascii_lowercase();
        assert_eq!((answer.status, to), (308, format!("https://{HOST}:{}/a//b%20c?d=e&f", https.port())), "{host}");
    }
    let (status, body) = client::get(https, HOST, "/x", &own).await;
    assert_eq!((status, body.lines().next()), (200, Some("one")));
}

/// An endpoint that has as many requests as it may gets no more until one has ended.
pub(crate) async fn no_more_than_maxconn<R: Ruled>() {
    let timeouts = Timeouts { queue: R::QUEUES.then_some(Duration::from_millis(300)), ..Timeouts::default() };
    let maxconn = std::num::NonZeroU32::new(1);
    let policy = ServicePolicy { maxconn, timeouts, retries: Some(0), ..ServicePolicy::DEFAULT };
    let server = Web::start("one").await;
    let mut bench = Bench::<R>::ruled(policies([("web", policy)])).await;
    bench.converge(&Wanted::default().ready("web", "one", server.addr).route(HOST, "/", "web")).await;
    bench.comes_to(HOST, "/", 200, "one").await;
    let to = bench.rig.http();
    let held = tokio::spawn(async move { web::get(to, HOST, "/hold").await });
    server.holds(1).await;
    let (status, _) = bench.get(HOST, "/").await;
    assert!(status == 503 || status == 502, "{status}");
    server.release();
    assert_eq!(held.await.unwrap().0, 200);
    bench.comes_to(HOST, "/", 200, "one").await;
}
