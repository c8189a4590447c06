//! What nginx's tables must hold: they are sized by what is to go in, and one too small refuses the whole file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use backchat_contract::Desired;

use super::rig::{HOST, Rig, route, service, web};

fn many(count: usize, ip: impl Fn(u32) -> IpAddr) -> Desired {
    let mut desired = web(&[]);
    let numbers = 1..=u32::try_from(count).unwrap();
    let endpoints: Vec<_> = numbers.map(|n| (format!("e{n}"), SocketAddr::new(ip(n), 65_535))).collect();
    let endpoints: Vec<_> = endpoints.iter().map(|(name, addr)| (name.as_str(), *addr)).collect();
    service(&mut desired, "web", &endpoints);
    desired
}

fn v4(n: u32) -> IpAddr {
    Ipv4Addr::from(0xc612_0000 + n).into()
}

/// As long as an address gets.
fn v6(n: u32) -> IpAddr {
    Ipv6Addr::from(0x2001_1db8_1111_2222_3333_4444_0000_0000_u128 + u128::from(0x5555_0000 + n)).into()
}

/// 64 KiB hold 63 servers, 128 KiB 144, 256 KiB 312, 1 MiB 1311.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zones_grow_with_the_servers() {
    let mut rig = Rig::new();
    for count in [1, 39, 40, 41, 63, 64, 80, 81, 144, 145, 312, 313, 1311, 1312, 10_000] {
        assert_eq!(rig.converge(&many(count, v4)).await, 1, "{count} servers");
        assert_eq!(rig.converge(&many(count, v6)).await, 1, "{count} servers with long addresses");
    }
    assert_eq!(rig.file().matches("server [2001:").count(), 10_000);
}

/// Names as long as there are, two of each, and the words that mean something in a map.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_names_and_special_ones_fit() {
    let server = super::web::Web::start("any").await;
    let mut wanted = web(&[("one", server.addr)]);
    let label = |c: &str| c.repeat(63);
    let mut hosts = Vec::new();
    for c in ["a", "b"] {
        let name = c.repeat(64);
        service(&mut wanted, &name, &[(&c.repeat(70), server.addr)]);
        let host = format!("{0}.{0}.{0}.{1}", label(c), c.repeat(61));
        route(&mut wanted, &host, "/", &name);
        route(&mut wanted, &format!("*.{}", &host[64..]), &format!("/{}", c.repeat(255)), &name);
        hosts.push(host);
    }
    for host in ["default", "hostnames", "include", "volatile"] {
        route(&mut wanted, host, "/", "web");
        route(&mut wanted, &format!("*.{host}"), "/", "web");
        hosts.extend([host.to_owned(), format!("x.{host}")]);
    }
    let mut rig = Rig::new();
    assert_eq!(rig.converge(&wanted).await, 1);
    for host in hosts {
        let answer = super::web::ask(rig.http, "GET", &host, "/").await;
        assert_eq!(answer, (200, "any".into()), "{host}");
    }
    assert_eq!(super::web::ask(rig.http, "GET", "none", "/").await.0, 404);
}

/// A path of letters, dots and all: the dot is a dot, and no more than whole segments match.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_mean_what_they_say() {
    let server = super::web::Web::start("any").await;
    let mut wanted = Desired::default();
    service(&mut wanted, "web", &[("one", server.addr)]);
    for path in ["/v1.0/a_b-c~d", "/bc/web", "/generation"] {
        route(&mut wanted, HOST, path, "web");
    }
    let mut rig = Rig::new();
    rig.converge(&wanted).await;
    for (path, status) in [
        ("/v1.0/a_b-c~d", 200),
        ("/v1.0/a_b-c~d?x", 200),
        ("/v1.0/a_b-c~d/x", 200),
        ("/v1x0/a_b-c~d", 404),
        ("/v1.0/a_b-c~de", 404),
        ("/V1.0/a_b-c~d", 404),
        // No path of a service's own is one of the template's.
        ("/bc/web", 200),
        ("/bc/other", 404),
        ("/generation", 200),
    ] {
        assert_eq!(rig.get(path).await.0, status, "{path}");
    }
}

/// Ten thousand hosts and as many wildcards, each with a path.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_hosts_fit() {
    let server = super::web::Web::start("any").await;
    let mut wanted = web(&[("one", server.addr)]);
    for n in 0..10_000 {
        route(&mut wanted, &format!("host-number-{n}.apps.example.com"), "/", "web");
        route(&mut wanted, &format!("*.d{n}.apps.example.com"), "/", "web");
    }
    for n in 0..500 {
        route(&mut wanted, &format!("p{n}.example.com"), "/path", "web");
    }
    let mut rig = Rig::new();
    assert_eq!(rig.converge(&wanted).await, 1);
    for host in ["host-number-9999.apps.example.com", "x.y.d5000.apps.example.com"] {
        assert_eq!(super::web::ask(rig.http, "GET", host, "/").await.0, 200, "{host}");
    }
    assert_eq!(super::web::ask(rig.http, "GET", "p499.example.com", "/path/x").await.0, 200);
    assert_eq!(super::web::ask(rig.http, "GET", "p499.example.com", "/").await.0, 404);
}
