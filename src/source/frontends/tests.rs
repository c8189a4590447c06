//! What keys come to: services, hosts of others' services, marks, rejections.

use proptest::prelude::*;

use super::*;
use crate::model::EndpointState;

/// Keys written `HOST: NAME BACKEND …`, and marks written `!HOST 0 2`; a key without a list is gone.
fn read(keys: &[&str]) -> Read {
    let mut read = Read::default();
    for key in keys {
        if let Some(marks) = key.strip_prefix('!') {
            let mut words = marks.split(' ');
            let host = words.next().unwrap().to_owned();
            read.dead.push((host, words.map(|id| id.parse().unwrap()).collect()));
        } else {
            let (host, list) = key.split_once(": ").unwrap_or((key.trim_end_matches(':'), ""));
            let list: Vec<String> = list.split_whitespace().map(ToOwned::to_owned).collect();
            let holds = match list.first().map(String::as_str) {
                None => Holds::Nothing,
                Some("unfit") => Holds::Unfit("it holds no list".into()),
                Some(_) => Holds::List(list),
            };
            read.lists.push((host.to_owned(), holds));
        }
    }
    read
}

fn lines(frontends: &Frontends) -> Vec<String> {
    let snapshot = frontends.snapshot();
    let service = |(name, listed): (&ServiceName, &Arc<Listed>)| {
        let hosts: Vec<_> = listed.hosts.iter().map(ToString::to_string).collect();
        let endpoints = listed.endpoints.values().map(|e| {
            let dead = if e.state == EndpointState::Drain { "!" } else { "" };
            format!(" {}{dead}/{}", e.addr, e.weight)
        });
        format!("{name} [{}]{}", hosts.join(" "), endpoints.collect::<String>())
    };
    let refused = snapshot.refused.iter().map(|r| format!("{}: {}: {}", r.node, r.subject, r.why));
    snapshot.services.iter().map(service).chain(refused).collect()
}

fn check(steps: &[&[&str]], expected: &[&str]) {
    let mut frontends = Frontends::new("redis://r".into(), "p:");
    for step in steps {
        frontends.apply(read(step));
    }
    assert_eq!(lines(&frontends), expected);
}

#[test]
fn a_frontend_is_a_service() {
    check(
        &[&[
            "www.example.com: site http://10.0.0.1:80 http://10.0.0.2",
            "*.x.io: x http://10.0.0.3",
            "*: any",
            "one: o",
        ]],
        &[
            "hipache._ [*]",
            "hipache._.x.io [*.x.io] 10.0.0.3:80/100",
            "hipache.one [one]",
            "hipache.www.example.com [www.example.com] 10.0.0.1:80/100 10.0.0.2:80/100",
        ],
    );
    // What stands there twice gets twice as much.
    check(
        &[&["a: a http://10.0.0.1 http://10.0.0.2 http://10.0.0.1"]],
        &["hipache.a [a] 10.0.0.1:80/256 10.0.0.2:80/128"],
    );
}

#[test]
fn keys_come_and_go() {
    check(&[&["a: a http://10.0.0.1", "b: b"], &["a:"], &["b: b http://10.0.0.2"]], &["hipache.b [b] 10.0.0.2:80/100"]);
    let mut frontends = Frontends::new("redis://r".into(), "");
    frontends.apply(read(&["a: a http://10.0.0.1 http://10.0.0.2", "b: b", "!a 1"]));
    frontends.replace(read(&["a: a http://10.0.0.1 http://10.0.0.2"]));
    assert_eq!(lines(&frontends), ["hipache.a [a] 10.0.0.1:80/100 10.0.0.2:80/100"]);
    assert_eq!(frontends.by_key.len(), 1);
}

#[test]
fn a_host_of_a_service_that_others_offer() {
    let two: &[&str] = &["a: a backchat:web", "b.io: b backchat:web", "c: c backchat:api"];
    check(&[two], &["api [c]", "web [a b.io]"]);
    check(&[two, &["a: a http://10.0.0.1", "c:"]], &["hipache.a [a] 10.0.0.1:80/100", "web [b.io]"]);
    check(
        &[&["a: a http://10.0.0.1 backchat:web"]],
        &[
            "hipache.a [a] 10.0.0.1:80/100",
            "redis://r: p:frontend:a: backchat:SERVICE stands alone: requests go to it, or to the addresses of the list",
        ],
    );
}

#[test]
fn what_cannot_be_taken_leaves_the_others() {
    check(
        &[&["a: a http://app:80 http://10.0.0.1", "b_c: b http://10.0.0.2", "*.a.b.c.d.e.f: six http://10.0.0.3"]],
        &[
            "hipache.a [a] 10.0.0.1:80/100",
            "redis://r: p:frontend:*.a.b.c.d.e.f: a wildcard of more than 5 labels matches no host",
            "redis://r: p:frontend:a: \"http://app:80\" is no backend: use the IP in place of a name, and a port from 1 to \
             65535",
            "redis://r: p:frontend:b_c: \"b_c\" is no host: use labels of letters, digits and inner hyphens, at most 253 \
             bytes; or *.domain; or *",
        ],
    );
    // Mended, it is refused no more; gone, neither.
    check(&[&["a: a http://app:80"], &["a: a http://10.0.0.1"]], &["hipache.a [a] 10.0.0.1:80/100"]);
    check(&[&["b_c: b"], &["b_c:"]], &[]);
    // What was a list and is none any more has its host still: no wildcard answers it.
    let unfit = ["hipache.a.io [a.io]", "redis://r: p:frontend:a.io: it holds no list"];
    check(&[&["a.io: unfit"]], &unfit);
    // What was listed before stays, as in a file that is spoilt.
    check(
        &[&["a.io: a http://10.0.0.1"], &["a.io: unfit"], &["a.io: unfit"]],
        &[
            "hipache.a.io [a.io] 10.0.0.1:80/100",
            "redis://r: p:frontend:a.io: it holds no list; what it listed before stays",
        ],
    );
    check(&[&["a.io: unfit", "*.io: w http://10.0.0.1"]], &["hipache._.io [*.io] 10.0.0.1:80/100", unfit[0], unfit[1]]);
    check(&[&["a.io: unfit"], &["a.io:"]], &[]);
    check(
        &[&["b_c: unfit"]],
        &[
            "redis://r: p:frontend:b_c: \"b_c\" is no host: use labels of letters, digits and inner hyphens, at most 253 \
           bytes; or *.domain; or *",
        ],
    );
    check(&[&["a: unfit"], &["a: a http://10.0.0.1"]], &["hipache.a [a] 10.0.0.1:80/100"]);
}

#[test]
fn two_spellings_of_a_host() {
    let two: &[&str] = &["WWW.io: a http://10.0.0.1", "www.io: b http://10.0.0.2"];
    check(
        &[two],
        &[
            "hipache.www.io [www.io] 10.0.0.2:80/100",
            "redis://r: p:frontend:WWW.io: p:frontend:www.io names the same host, and has it",
        ],
    );
    check(&[two, &["www.io:"]], &["hipache.www.io [www.io] 10.0.0.1:80/100"]);
}

#[test]
fn marks() {
    let lists: &[&str] = &["a.x.io: a http://10.0.0.1 http://10.0.0.2", "*.x.io: x http://10.0.0.3 http://10.0.0.4"];
    let a = |state: &str| format!("hipache.a.x.io [a.x.io] {state}");
    let x = |state: &str| format!("hipache._.x.io [*.x.io] {state}");
    let sound = (x("10.0.0.3:80/100 10.0.0.4:80/100"), a("10.0.0.1:80/100 10.0.0.2:80/100"));
    check(&[lists, &["!a.x.io 1"]], &[&sound.0, &a("10.0.0.1:80/100 10.0.0.2:80!/100")]);
    // Named after the host that was asked for, whichever frontend answers it.
    check(&[lists, &["!deep.b.x.io 0 7"]], &[&x("10.0.0.3:80!/100 10.0.0.4:80/100"), &sound.1]);
    check(&[lists, &["!x.io 0", "!A.X.io 0"], &["!a.x.io"]], &[&sound.0, &sound.1]);
    // The only one is never marked.
    check(&[&["a: a http://10.0.0.1"], &["!a 0"]], &["hipache.a [a] 10.0.0.1:80/100"]);
    // A frontend that comes takes over the marks of its host.
    check(
        &[&["!a.io 0"], &["a.io: a http://10.0.0.1 http://10.0.0.2"]],
        &["hipache.a.io [a.io] 10.0.0.1:80!/100 10.0.0.2:80/100"],
    );
}

/// However many hosts of a wildcard are marked: only so many are kept, and it is said. Where there is no room for a mark
/// none is written, for it would be again and again.
#[test]
fn marks_of_very_many_hosts() {
    let mut frontends = Frontends::new("redis://r".into(), "p:");
    frontends.apply(read(&[
        "*.io: x http://10.0.0.1 http://10.0.0.2 http://10.0.0.3",
        "b: b http://10.0.0.1 http://10.0.0.2",
    ]));
    let marks = |ids: &[usize]| ids.iter().copied().collect::<BTreeSet<_>>();
    let mut dead: Vec<_> = (0..marks::HOSTS_MAX).map(|n| (format!("h{n}.io"), marks(&[0]))).collect();
    frontends.apply(Read { lists: Vec::new(), dead: dead.clone() });
    let [x, b] =
        ["hipache._.io [*.io] 10.0.0.1:80!/100 10.0.0.2:80/100", "hipache.b [b] 10.0.0.1:80/100 10.0.0.2:80/100"];
    let x = format!("{x} 10.0.0.3:80/100");
    assert_eq!(lines(&frontends), [&*x, b]);
    dead.extend([("one-more.io".to_owned(), marks(&[1])), ("b".to_owned(), marks(&[0]))]);
    frontends.apply(Read { lists: Vec::new(), dead: dead.clone() });
    let said = "redis://r: p:dead:*: more than 10000 hosts are marked: those beyond are passed over";
    assert_eq!(lines(&frontends), [&*x, b, said]);
    let id = EndpointId { service: "hipache.b".parse().unwrap(), endpoint: "10.0.0.1:80".parse().unwrap() };
    assert_eq!(frontends.unmarked(&BTreeSet::from([id])), []);
    // One that is known may change, and with fewer it is over.
    frontends.apply(Read { lists: Vec::new(), dead: vec![("h7.io".into(), marks(&[2]))] });
    assert!(lines(&frontends)[0].ends_with("10.0.0.3:80!/100"));
    let list = |url: &str| Holds::List(vec!["x".into(), url.into()]);
    frontends.replace(Read { lists: vec![("b".into(), list("http://10.0.0.1"))], dead: dead.split_off(2) });
    assert_eq!(lines(&frontends)[1..], [said; 0]);
}

/// Only where a mark or the hosts are others is it looked for what the marks are about.
#[test]
fn what_is_nothing_to_marks_does_not_look_at_them() {
    let check = |keys: &[&str], expected: bool| {
        let mut frontends = Frontends::new("redis://r".into(), "");
        frontends.apply(read(&["a.io: a http://10.0.0.1 http://10.0.0.2", "*.io: x http://10.0.0.3", "!a.io 1"]));
        let read = read(keys);
        for (key, holds) in &read.lists {
            frontends.put(key, holds);
        }
        let is_other = read.dead.into_iter().any(|(host, ids)| frontends.marks.put(&host, ids));
        assert_eq!(frontends.is_remarked || is_other, expected, "{keys:?}");
    };
    check(&["a.io: a http://10.0.0.1 http://10.0.0.9", "!a.io 1", "!b.io"], false);
    check(&["A.io: a http://10.0.0.1"], false);
    check(&["!a.io 0"], true);
    check(&["!a.io"], true);
    check(&["b.io: b"], true);
    check(&["a.io:"], true);
}

#[test]
fn the_backend_of_an_endpoint() {
    let mut frontends = Frontends::new("redis://r".into(), "p:");
    frontends.apply(read(&[
        "A.io: a http://app http://10.0.0.1",
        "b: b http://10.0.0.1",
        "*: c http://10.0.0.1 http://10.0.0.2",
        "!a.io 1",
    ]));
    let backend = |service: &str| {
        let id = EndpointId { service: service.parse().unwrap(), endpoint: "10.0.0.1:80".parse().unwrap() };
        frontends
            .backend(&id)
            .map(|b| (format!("{};{};{};{}", b.host, b.url, b.id, b.len), frontends.marks.has(&b.host, b.id)))
    };
    assert_eq!(backend("hipache.a.io"), Some(("a.io;http://10.0.0.1;1;2".into(), true)));
    assert_eq!([backend("hipache.b"), backend("hipache._"), backend("web")], [None, None, None]);
}

/// A key may be of any bytes: none of them gets at a terminal or makes a line of a log.
#[test]
fn a_key_is_said_in_words() {
    let mut frontends = Frontends::new("redis://r".into(), "p:");
    let key = format!("a\n\u{1b}[31m{}", "b".repeat(1000));
    frontends.apply(Read { lists: vec![(key, Holds::Unfit("no".into()))], dead: Vec::new() });
    let said = &frontends.snapshot().refused[0];
    assert!(said.subject.starts_with(r"p:frontend:a\n\u{1b}[31mbbb"), "{}", said.subject);
    assert!(said.subject.len() < 250 && !said.why.contains(char::is_control), "{said:?}");
}

/// Different hosts have different services, however long they are.
#[test]
fn the_longest_hosts() {
    let label = "a".repeat(63);
    let long = |n: usize| service_name(&format!("{label}.{label}.{n}.io").parse().unwrap());
    assert_eq!(long(1).as_str().len(), 64);
    assert_ne!(long(1), long(2));
}

proptest! {
    /// Whatever comes when: it comes to the same as if all had been read at once.
    #[test]
    fn read_key_by_key_or_at_once(keys in proptest::collection::vec((0..4_usize, 0..6_usize), 0..12)) {
        let hosts = ["a.io", "A.io", "*.io", "*"];
        let lists = ["", "n", "n http://10.0.0.1", "n http://10.0.0.1 http://10.0.0.2", "n backchat:web", "n http://x"];
        let mut one_by_one = Frontends::new("redis://r".into(), "");
        one_by_one.apply(read(&["!a.io 0", "!b.io 1"]));
        let mut last = BTreeMap::new();
        for (host, list) in keys {
            let (host, list) = (hosts[host], lists[list]);
            one_by_one.apply(read(&[&format!("{host}: {list}")]));
            last.insert(host, list);
        }
        let mut at_once = Frontends::new("redis://r".into(), "");
        let all: Vec<_> = last.iter().map(|(host, list)| format!("{host}: {list}")).collect();
        let all: Vec<_> = all.iter().map(String::as_str).chain(["!a.io 0", "!b.io 1"]).collect();
        at_once.replace(read(&all));
        prop_assert_eq!(lines(&one_by_one), lines(&at_once));
    }
}
