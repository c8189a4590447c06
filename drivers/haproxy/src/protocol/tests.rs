//! The protocol against what the three versions answered: each recorded exchange of a command that we send is
//! read by `judge`, and the commands are printed as they were recorded.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Exchange {
    command: String,
    reply: String,
}

fn recorded() -> BTreeMap<String, Vec<Exchange>> {
    serde_json::from_str(include_str!("../../tests/data/haproxy-replies.json")).unwrap()
}

fn path(text: &str) -> Option<ServerPath> {
    let (backend, server) = text.split_once('/')?;
    Some(ServerPath { backend: BackendName::read(backend)?, server: ServerName::own(&server.parse().ok()?) })
}

/// The command of ours that a recorded line is, if any.
fn ours(line: &str) -> Option<Command> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let map = |text: &str| MapFile::new(Path::new(text)).ok();
    let version = |text: &str| Some(MapVersion(text.strip_prefix('@')?.parse().ok()?));
    Some(match *words.as_slice() {
        ["add", "server", server, addr, ..] => Command::Add {
            server: path(server)?,
            addr: EndpointAddr::try_from(addr.parse::<std::net::SocketAddr>().ok()?).ok()?,
            id: ServerId::read(1)?,
            weight: Weight::DEFAULT,
            options: ServerOptions::default(),
        },
        ["enable", "health", server] => Command::EnableHealth(path(server)?),
        ["set", "server", server, "health", "down"] => Command::HealthDown(path(server)?),
        ["set", "server", server, "health", "up"] => Command::HealthUp(path(server)?),
        ["set", "server", server, "state", "ready"] => Command::State(path(server)?, Admin::Ready),
        ["set", "server", server, "state", "drain"] => Command::State(path(server)?, Admin::Drain),
        ["set", "server", server, "state", "maint"] => Command::State(path(server)?, Admin::Maint),
        ["set", "server", server, "weight", n] => {
            Command::Weight(path(server)?, Weight::try_from(n.parse::<u32>().ok()?).ok()?)
        }
        ["set", "server", server, "addr", ip, "port", port] => {
            let addr = std::net::SocketAddr::new(ip.parse().ok()?, port.parse().ok()?);
            Command::Addr(path(server)?, EndpointAddr::try_from(addr).ok()?)
        }
        ["shutdown", "sessions", "server", server] => Command::ShutdownSessions(path(server)?),
        ["del", "server", server] => Command::Delete(path(server)?),
        ["prepare", "map", file] => Command::PrepareMap(map(file)?),
        ["add", "map", v, file, "<<", ..] if v.starts_with('@') => {
            Command::AddMap(map(file)?, version(v)?, line.lines().skip(1).map(MapEntry::read).collect())
        }
        ["commit", "map", v, file] => Command::CommitMap(map(file)?, version(v)?),
        _ => return None,
    })
}

fn verdict(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Prepared(_) => "prepared",
        Outcome::NotYet(_) => "not yet",
        Outcome::Refused(_) => "refused",
    }
}

/// What a recorded line should come to, on every version: the answers differ, the meaning must not.
fn expected(line: &str, reply: &str) -> &'static str {
    let refused = ["Already exists", "already used", "unknown keyword", "not within", "No such backend", "expects"];
    let refused_too = ["dynamic load balancing", "not configured", "out of range", "Unknown map", "in the future"];
    match line.split_whitespace().next() {
        _ if refused.iter().chain(&refused_too).any(|part| reply.contains(part)) => "refused",
        Some("del") if reply.contains("Only servers in maintenance") => "not yet",
        Some("del") => "done",
        Some("prepare") => "prepared",
        _ if reply.contains("No such server") => "refused",
        _ => "done",
    }
}

#[test]
fn every_recorded_answer_is_understood() {
    for (version, exchanges) in recorded() {
        let mut seen = 0;
        for Exchange { command: line, reply } in &exchanges {
            let Some(command) = ours(line) else { continue };
            // Payloads were recorded with the prompt that ends them.
            let answer = reply.strip_suffix("\n> ").unwrap_or(reply);
            let outcome = judge(&command, answer);
            assert_eq!(verdict(&outcome), expected(line, reply), "{version}: {line}: {reply:?} {outcome:?}");
            seen += 1;
        }
        assert!(seen > 40, "{version}: only {seen} exchanges are ours");
    }
}

/// No answer that means no to any command on any version passes as a yes to another command.
#[test]
fn an_error_is_never_taken_for_a_yes() {
    let commands = ["enable health be/s1", "set server be/s1 state drain", "add server be/s 127.0.0.1:80"];
    for (version, exchanges) in recorded() {
        for Exchange { command: line, reply } in exchanges.iter().filter(|e| trim(&e.reply).starts_with("[3]")) {
            for command in commands.iter().filter_map(|c| ours(c)) {
                assert_eq!(verdict(&judge(&command, reply)), "refused", "{version}: {line}: {reply:?}");
            }
        }
        let unknown = exchanges.iter().find(|e| e.command == "bogus").unwrap();
        for command in commands.iter().filter_map(|c| ours(c)) {
            assert_eq!(verdict(&judge(&command, &unknown.reply)), "refused", "{version}: unknown command");
        }
    }
}

fn check_addr(reply: &str, expected: &str) {
    let command = ours("set server be/s1 addr 127.0.0.1 port 80").unwrap();
    assert_eq!(verdict(&judge(&command, reply)), expected, "{reply:?}");
}

#[test]
fn changed_addresses() {
    check_addr("[4]: nothing changed\n", "done");
    check_addr("[4]: IP changed from 'a' to 'b', port changed from '1' to '2' by 'stats socket command'\n", "done");
    check_addr("[4]: no need to change the addr, no need to change the port by 'stats socket command'\n", "done");
    check_addr("[4]: port changed from '1' to '2' by 'stats socket command'", "done");
    check_addr("[4]: Invalid addr 'foo' by 'stats socket command'\n", "refused");
    check_addr(
        "[4]: no need to change the addr, problem converting port 'x' to an int by 'stats socket command'\n",
        "refused",
    );
    check_addr("[4]: problem converting port 'x' to an int\n", "refused");
    check_addr("", "refused");
}

#[test]
fn deletions() {
    let delete = ours("del server be/s1").unwrap();
    let check = |reply: &str, expected| assert_eq!(verdict(&judge(&delete, reply)), expected, "{reply}");
    check("[3]: Server still has connections attached to it, cannot remove it.\n", "not yet");
    check("[3]: Server is referenced by configuration elements pointing to it.\n", "refused");
    check("[3]: No such backend.", "refused");
    check("", "refused");
}

#[test]
fn commands_print_as_haproxy_reads_them() {
    let server = path("web/web1:8080").unwrap();
    let addr = |text: &str| EndpointAddr::try_from(text.parse::<std::net::SocketAddr>().unwrap()).unwrap();
    let check = |command: Command, expected: &str| assert_eq!(command.to_string(), expected);
    let options = ServerOptions { inter: Duration::from_secs(2), ..ServerOptions::default() };
    let (id, weight) = (ServerId::read(7).unwrap(), Weight::try_from(256).unwrap());
    check(
        Command::Add { server: server.clone(), addr: addr("[2001:db8::1]:80"), id, weight, options },
        "add server web/web1:8080 [2001:db8::1]:80 id 7 weight 256 pool-purge-delay 5s pool-max-conn -1 \
         check inter 2000ms fastinter 100ms downinter 500ms rise 1 fall 2",
    );
    check(Command::Addr(server.clone(), addr("[2001:db8::1]:80")), "set server web/web1:8080 addr 2001:db8::1 port 80");
    let attached = ServerPath { server: ServerName::attached(&"web1".parse().unwrap()), ..server };
    check(Command::State(attached, Admin::Maint), "set server web/bc-web1 state maint");
    let map = MapFile::new(Path::new("/run/hosts.map")).unwrap();
    let entries = vec![MapEntry::read("a/ web"), MapEntry::read("b/ web")];
    check(Command::AddMap(map.clone(), MapVersion(3), entries), "add map @3 /run/hosts.map <<\na/ web\nb/ web\n");
    check(Command::CommitMap(map, MapVersion::NEW), "commit map @NEW /run/hosts.map");
}

#[test]
fn map_paths_that_would_need_quoting_are_refused() {
    for path in ["hosts.map", "/a b", "/a;b", "/a\nb", "/ä", "/a'b", "/a#b", "/$HOME/x", "/a,b", "/a=b"] {
        assert!(MapFile::new(Path::new(path)).is_err(), "{path:?}");
    }
}

#[test]
fn maps_go_in_pieces_that_haproxy_takes() {
    let long = format!("{}.example/ {}", "h".repeat(240), "b".repeat(64));
    let entries: Vec<MapEntry> = (0..500).map(|n| MapEntry::read(&format!("{n:04}{long}"))).collect();
    let pieces = pieces(&entries);
    assert_eq!(pieces.concat(), entries);
    let file = MapFile::new(Path::new(&format!("/{}", "x".repeat(1000)))).unwrap();
    for piece in pieces {
        let size = Command::AddMap(file.clone(), MapVersion(1_000_000), piece).to_string().len();
        assert!((13_000..16_000).contains(&size) || size < 16_000, "{size}");
    }
    assert!(super::pieces(&[]).is_empty());
}

/// The tables of the three versions, in the words they have in common.
#[test]
fn tables_read_alike() {
    for (version, exchanges) in recorded() {
        let reply = |command: &str| &exchanges.iter().find(|e| e.command == command).unwrap().reply;
        let info = info(reply("show info")).unwrap();
        assert!(info.version.starts_with(&version) && info.pid > 0 && !info.stopping, "{info:?}");
        assert!(!info.version.contains('-'), "{info:?}");

        let servers = servers(reply("show servers state be")).unwrap();
        let (s1, s4b) = (&servers[0], &servers[3]);
        assert_eq!((&*s1.backend, &*s1.name, s1.id, s1.weight, s1.up), ("be", "s1", 101, 7, true), "{version}");
        assert_eq!(s1.addr.map(|ip| ip.to_string()).as_deref(), Some("127.0.0.1"));
        assert!(!s1.in_maintenance() && !s1.draining() && s4b.in_maintenance() && !s4b.up, "{version}");
        assert_eq!((s4b.addr.map(|ip| ip.to_string()).as_deref(), s4b.port), (Some("::1"), 80));

        let used = connections(reply("show servers conn be")).unwrap();
        assert_eq!((used.get("be/s1"), used.get("be/nope")), (Some(&0), None), "{version}");

        let hosts = map(reply("show map /run/backchat/hosts.map"));
        assert_eq!(hosts, [MapEntry::read("a.example be")], "{version}");

        let backends = backends(reply("show stat")).unwrap();
        assert!(backends.contains(&BackendRow { name: "be".into(), tcp: false }), "{version}: {backends:?}");
        assert!(backends.iter().all(|b| !b.tcp), "{version}: {backends:?}");
    }
}

#[test]
fn an_answer_that_is_no_table_is_none() {
    for reply in ["", "[3]: Can't find backend.\n", "# a b c\n", "Unknown command"] {
        assert_eq!((info(reply), backends(reply), servers(reply), connections(reply)), (None, None, None, None));
    }
    assert_eq!(map("[3]: Unknown map identifier.\n"), []);
}

#[test]
fn variables() {
    assert_eq!(variable("[6]: proc.backchat_gen: type=str value=<7>\n"), Some("7"));
    assert_eq!(variable("Variable not found.\n"), None);
}

#[test]
fn modes() {
    let table = "# pxname,svname,last_chk,mode,\nweb,BACKEND,,http,\nmq,BACKEND,\"a,b\",tcp,\nmq,s1,,tcp,\n\n";
    let row = |name: &str, tcp| BackendRow { name: name.into(), tcp };
    assert_eq!(backends(table), Some(vec![row("web", false), row("mq", true)]));
}

#[test]
fn fields_with_commas() {
    assert_eq!(tables::csv("a,\"b,c\",,d"), ["a", "b,c", "", "d"]);
}
