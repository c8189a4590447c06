//! What is written is read as it was; nothing else is read at all.

use proptest::{collection::btree_map, prelude::*, sample::select};

use super::*;

const WHOLE: &str = "table 17\nservice tcp-1 tcp\nservice web http\nendpoint web/web1 10.0.0.7:8080 100 ready\n\
    endpoint web/web1:81 [2001:db8::7]:81 0 drain\nroute www.example.com /api web\nroute *.example.com / web\nend 8\n";

#[test]
fn a_whole_table_is_read_as_written() {
    let table = decode(WHOLE).unwrap();
    assert_eq!((table.version, table.set.endpoints().count(), table.set.routes.len()), (17, 2, 2));
    assert_eq!(encode(&table), WHOLE);
}

#[test]
fn an_empty_table_is_one() {
    assert_eq!(decode("table 1\nend 2\n"), Ok(Table { version: 1, set: Desired::default() }));
}

/// One change of the whole table; the line that is blamed.
fn check(from: &str, to: &str, line: usize, why: &str) {
    let text = WHOLE.replacen(from, to, 1);
    assert_ne!(text, WHOLE, "{from}");
    let error = decode(&text).unwrap_err();
    assert_eq!((error.line, error.why), (line, why), "{text}");
}

#[test]
fn nonsense_is_refused_with_its_line() {
    check("table 17", "table 0", 1, "no version");
    check("table 17", "table 1234567890123456", 1, "no version");
    check("table 17\n", "", 1, "no 'table VERSION'");
    check("service web", "service -web", 3, "no service name");
    check("web http", "web udp", 3, "no protocol");
    check("service tcp-1 tcp", "service web http", 3, "said twice");
    check("web/web1 ", "other/web1 ", 4, "an endpoint of an unknown service");
    check("web/web1:81", "web/web1", 5, "said twice");
    check("10.0.0.7:8080", "10.0.0.256:8080", 4, "no endpoint");
    check("10.0.0.7:8080", "web.example:8080", 4, "no endpoint");
    check(" 100 ", " 257 ", 4, "no endpoint");
    check(" ready", " down", 4, "no endpoint");
    check("*.example.com / web", "www.example.com /api web", 7, "said twice");
    check("/api web", "/api/ web", 6, "no path");
    check("/api web", "/api webs", 6, "a route onto an unknown service");
    check("end 8", "end 7", 8, "not the end after so many lines");
    check("end 8\n", "end 8", 8, "cut off");
    check("end 8\n", "", 8, "cut off");
    check("end 8\n", "end 8\n\n", 9, "behind the end");
    check("route www", "routes www", 6, "no such line");
}

fn names() -> impl Strategy<Value = String> {
    "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
}

fn endpoints() -> impl Strategy<Value = Endpoint> {
    let addr = (any::<std::net::IpAddr>(), 1..=u16::MAX).prop_map(SocketAddr::from);
    let addr = addr.prop_filter_map("unicast", |addr| addr.try_into().ok());
    let weight = (0..=256_u32).prop_map(|w| Weight::try_from(w).unwrap());
    (addr, weight, select(vec![EndpointState::Ready, EndpointState::Drain]))
        .prop_map(|(addr, weight, state)| Endpoint { addr, weight, state })
}

fn sets() -> impl Strategy<Value = Desired> {
    let service = (btree_map("[A-Za-z0-9][A-Za-z0-9_.:-]{0,69}", endpoints(), 0..5), any::<bool>());
    let host = "\\*|(\\*\\.)?[a-z0-9]{1,9}(\\.[a-z0-9]{1,9}){0,3}";
    let path = "/|(/[A-Za-z0-9_~-]{1,9}){1,4}";
    let routes = btree_map((host, path), any::<prop::sample::Index>(), 0..6);
    (btree_map(names(), service, 1..6), routes).prop_map(|(services, routes)| {
        let named: Vec<String> = services.keys().cloned().collect();
        let services = services.into_iter().map(|(name, (endpoints, tcp))| {
            let endpoints = endpoints.into_iter().map(|(name, e)| (name.parse().unwrap(), e)).collect();
            let protocol = if tcp { Protocol::Tcp } else { Protocol::Http };
            (name.parse().unwrap(), Service { protocol, endpoints })
        });
        let routes = routes.into_iter().map(|((host, path), to)| {
            let route = Route { host: host.parse().unwrap(), path: path.parse().unwrap() };
            (route, named[to.index(named.len())].parse().unwrap())
        });
        Desired { services: services.collect(), routes: routes.collect(), ..Desired::default() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(set in sets(), version in 1..=VERSION_MAX) {
        let table = Table { version, set };
        prop_assert_eq!(decode(&encode(&table)), Ok(table));
    }

    /// A table that lost its tail, or a line, is none.
    #[test]
    fn what_is_cut_is_refused(set in sets(), at in any::<prop::sample::Index>()) {
        let text = encode(&Table { version: 7, set });
        prop_assert!(decode(&text[..at.index(text.len())]).is_err());
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines.remove(at.index(lines.len()));
        let less = lines.concat();
        prop_assert!(decode(&less).is_err());
    }

    /// Any bytes: never a panic, and what is read is what was written.
    #[test]
    fn any_text(text in "(table 1\n)?([a-z0-9 /.:*]{0,30}\n){0,5}(end [0-9]\n)?") {
        if let Ok(table) = decode(&text) {
            prop_assert_eq!(decode(&encode(&table)), Ok(table));
        }
    }
}

/// A table with its patches is the table that they make of it.
#[test]
fn a_patch_is_read_as_written_and_fits_its_table() {
    let mut table = decode(WHOLE).unwrap();
    let mut services = table.set.services.clone();
    services.remove(&"tcp-1".parse().unwrap());
    for service in services.values_mut() {
        service.endpoints.pop_first();
    }
    let patch = Patch { version: 18, services };
    let text = "patch 18\nservice web http\nendpoint web/web1:81 [2001:db8::7]:81 0 drain\nend 4\n";
    assert_eq!((patch.encode(), Patch::decode(text)), (text.to_owned(), Ok(patch.clone())));
    patch.amend(&mut table).unwrap();
    assert_eq!((table.version, table.set.endpoints().count(), table.set.routes.len()), (18, 1, 2));

    let why = |patch: &Patch, mut table: Table| patch.amend(&mut table).map_err(|error| error.why);
    assert_eq!(why(&patch, table.clone()), Err("a patch of another table"));
    let other = Patch { version: 19, services: [("other".parse().unwrap(), Service::default())].into() };
    assert_eq!(why(&other, table), Err("a patch of an unknown service"));
    let routed = "patch 18\nservice web http\nroute a.example / web\nend 4\n";
    assert_eq!(Patch::decode(routed).map_err(|error| error.why), Err("a patch with routes"));
    assert_eq!(Patch::decode(WHOLE).map_err(|error| error.line), Err(1));
}
