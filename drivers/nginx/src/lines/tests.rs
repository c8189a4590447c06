//! The lines: printed and read back, strictly.

use backchat_contract::{EndpointName, HostPattern, PathPrefix, ServiceName};
use proptest::prelude::*;

use super::*;

const TEXT: &str = "\
#bc set 7 0123456789abcdef
#bc service db tcp
#bc service web http
#bc endpoint web/web1 10.0.0.7:8080 weight 100
#bc endpoint web/web2:81 [2001:db8::1]:81 weight 0 drain@3
#bc route *.example.com /api web
#bc route * / web
";

#[test]
fn lines_are_read_as_they_are_written() {
    let file = format!("events {{}}\n# a comment\n{TEXT}# backchat: end of file 0\n");
    let kept = parse(&file).unwrap();
    assert_eq!((kept.generation, &*kept.structure), (7, "0123456789abcdef"));
    assert_eq!(kept.layout.servers().map(|(id, _)| id.to_string()).collect::<Vec<_>>(), ["web/web1", "web/web2:81"]);
    assert_eq!(print(&kept), TEXT);
    assert_eq!(effective(&file), "events {}\n# a comment\n");
    assert_eq!((effective(TEXT), effective("a\n")), ("", "a\n"));
}

/// One line that is not ours, and nothing is known: a part of the set is never taken for all of it.
#[test]
fn what_is_no_such_line_is_refused() {
    for (old, new) in [
        ("set 7 ", "set x "),
        ("service db tcp", "service db udp"),
        ("service web", "service we;b"),
        ("10.0.0.7:8080", "10.0.0.7"),
        ("10.0.0.7:8080", "169.254.169.254:80"),
        ("weight 100", "weight 300"),
        ("weight 100", "weight"),
        ("drain@3", "drained"),
        ("endpoint web/web1", "endpoint api/web1"),
        ("endpoint web/web1", "server web/web1"),
        (" /api web", " /../api web"),
        ("*.example.com", "*.exa_mple.com"),
    ] {
        assert!(TEXT.contains(old));
        assert_eq!(parse(&TEXT.replace(old, new)), None, "{new}");
    }
    assert_eq!(parse(""), None);
}

fn words() -> impl Strategy<Value = Layout> {
    let server =
        (any::<u16>(), 0..=256_u32, proptest::option::of(any::<u64>())).prop_map(|(port, weight, since)| Server {
            addr: std::net::SocketAddr::from(([10, 0, 0, 1], port.max(1))).try_into().unwrap(),
            weight: Weight::try_from(weight).unwrap(),
            admin: since.map_or(Admin::Ready, Admin::Drain),
        });
    let endpoint = "[a-zA-Z0-9][a-zA-Z0-9_.:-]{0,69}".prop_map(|n| n.parse::<EndpointName>().unwrap());
    let servers = proptest::collection::btree_map(endpoint, server, 0..4);
    let service = servers.prop_map(|servers| Service { protocol: Protocol::Http, servers });
    let name = "[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}".prop_map(|n| n.parse::<ServiceName>().unwrap());
    let services = proptest::collection::btree_map(name, service, 1..4);
    let host = "(\\*\\.)?[a-z0-9]{1,20}\\.example|\\*".prop_map(|h| h.parse::<HostPattern>().unwrap());
    let path = "/|(/[A-Za-z0-9_~-]{1,20}){1,5}".prop_map(|p| p.parse::<PathPrefix>().unwrap());
    let routes = proptest::collection::vec((host, path, any::<prop::sample::Index>()), 0..5);
    (services, routes).prop_map(|(services, routes)| {
        let name = |index: prop::sample::Index| services.keys().nth(index.index(services.len())).unwrap().clone();
        let routes = routes.into_iter().map(|(host, path, index)| (Route { host, path }, name(index))).collect();
        Layout { services, routes, ..Layout::default() }
    })
}

proptest! {
    /// Whatever is printed is read back as it was, in lines that nginx takes.
    #[test]
    fn every_set_comes_back(layout in words(), generation: u64) {
        let kept = Kept { generation, structure: "0123456789abcdef".into(), layout };
        let text = print(&kept);
        prop_assert!(text.lines().all(|line| line.len() < 4096));
        prop_assert_eq!(parse(&text), Some(kept));
    }
}
