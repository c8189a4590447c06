//! What is rendered, as snapshots, and the laws of the structure's hash.

use std::path::Path;

use backchat_contract::{EndpointName, Protocol, Route, ServicePolicy};
use proptest::prelude::*;

use super::*;
use crate::certificates::tests::certificate;
use crate::layout::{Admin, Backend, BackendName, Server, ServerId};

fn settings() -> ConfigSettings {
    let text = include_str!("../../../../templates/haproxy.cfg.jinja").into();
    let template = Template { name: "haproxy.cfg.jinja".into(), text };
    let paths = Paths::new(Path::new("/run/backchat/proxy")).unwrap();
    ConfigSettings::new(template, paths, vec!["0.0.0.0:80".parse().unwrap(), "[::1]:8080".parse().unwrap()])
}

/// Where a line a request goes.
fn access() -> AccessLog {
    let file = std::path::PathBuf::from("/var/log/backchat/access.log").try_into().unwrap();
    AccessLog { file, format: r#"%h %{service}x "%m""#.parse().unwrap() }
}

fn server(id: u32, addr: &str, admin: Admin) -> Server {
    let addr: SocketAddr = addr.parse().unwrap();
    Server { id: ServerId::read(id).unwrap(), addr: addr.try_into().unwrap(), weight: 100.try_into().unwrap(), admin }
}

fn layout() -> Layout {
    let web: ServiceName = "web".parse().unwrap();
    let servers = [
        ("web1", server(1, "10.0.0.7:8080", Admin::Ready)),
        ("web2", server(2, "[2001:db8::1]:8080", Admin::Drain)),
        ("web3", server(3, "10.0.0.9:8080", Admin::Maint)),
    ];
    let servers = servers.map(|(name, server)| (name.parse::<EndpointName>().unwrap(), server)).into();
    let backend = Backend { service: Some(web.clone()), servers, ..Backend::default() };
    let api = Backend { service: Some("api".parse().unwrap()), ..Backend::default() };
    let db = Backend { service: Some("db".parse().unwrap()), protocol: Protocol::Tcp, ..Backend::default() };
    let route = |host: &str, path: &str| Route { host: host.parse().unwrap(), path: path.parse().unwrap() };
    Layout {
        generation: 42,
        backends: [
            (BackendName::from(&web), backend),
            (BackendName::from(&"db".parse::<ServiceName>().unwrap()), db),
            (BackendName::spare(1), api),
            (BackendName::spare(2), Backend::default()),
        ]
        .into(),
        routes: [
            (route("*", "/"), BackendName::from(&web)),
            (route("*.example.com", "/"), BackendName::from(&web)),
            (route("www.example.com", "/api"), BackendName::spare(1)),
            (route("gone.example.com", "/"), BackendName::spare(7)),
            (route("db.example.com", "/"), BackendName::from(&"db".parse::<ServiceName>().unwrap())),
        ]
        .into(),
        ..Layout::default()
    }
}

#[test]
fn the_shipped_template() {
    let rendered = render(&settings(), &layout()).unwrap();
    insta::assert_snapshot!("config", rendered.config);
    insta::assert_snapshot!("hosts", rendered.hosts);
    insta::assert_snapshot!("services", rendered.services);
    assert_eq!(Seal::of(&rendered.config), Seal::Whole);
    assert_eq!(generation_of(&rendered.config), Some(42));
}

/// What `--hipache` changes, and that a process which was started without it is told apart.
#[test]
fn hipaches_manners() {
    let settings = ConfigSettings { tcp_listen: vec!["0.0.0.0:5432=db".parse().unwrap()], ..settings() };
    let plain = render(&settings, &layout()).unwrap();
    let rendered = render(&settings.mannered(Manners::Hipache), &layout()).unwrap();
    assert_ne!(rendered.structure, plain.structure);
    let before: Vec<&str> = plain.config.lines().collect();
    let lines: Vec<&str> = rendered.config.lines().filter(|line| !before.contains(line)).collect();
    let lines = lines.iter().filter(|line| !line.contains(&rendered.structure) && !line.starts_with('#'));
    insta::assert_snapshot!("hipache", lines.copied().collect::<Vec<_>>().join("\n"));
}

/// The page on templates has each field, and an example of it that is true.
#[test]
fn what_a_template_gets_is_documented() {
    let mut settings = settings();
    settings.stats_listen = Some("127.0.0.1:8404".parse().unwrap());
    settings.listen.pop();
    let db = ServicePolicy { retries: Some(1), ..ServicePolicy::DEFAULT };
    let policies = backchat_contract::paper::policies();
    let policies = policies.iter().map(|(service, policy)| (service.clone(), policy.clone()));
    settings.policies = policies.chain([("db".parse().unwrap(), db)]).collect();
    settings.access = Some(access());
    for (service, port) in [("db", 5432), ("gone", 5433)] {
        settings.tcp_listen.push(TcpListen { addr: ([127, 0, 0, 1], port).into(), service: service.parse().unwrap() });
    }
    let mut layout = layout();
    let db = layout.backends.get_mut(&BackendName::from(&"db".parse::<ServiceName>().unwrap())).unwrap();
    db.servers.insert("db1".parse().unwrap(), server(7, "10.0.0.4:5432", Admin::Ready));
    layout.backends.remove(&BackendName::spare(2));
    settings.tls_listen.push("0.0.0.0:443".parse().unwrap());
    settings.quic = Quic::Yes;
    layout.certificates.insert("www.example.com".parse().unwrap(), certificate("www", true));
    let context = Context::new(&settings, &layout, Generation::Is(layout.generation), "bb4c39e3ec0521b5");
    backchat_template::documented::check(include_str!("../../../../templates/README.md"), "HAProxy", &context);
}

fn certificates_of_two() -> certificates::Certificates {
    let two = [("www.example.com", certificate("www", true)), ("api.example.com", certificate("api", false))];
    two.map(|(name, certificate)| (name.parse().unwrap(), certificate)).into()
}

/// Only once there is a certificate: HAProxy would not start without.
#[test]
fn tls_needs_a_certificate() {
    let mut settings = settings();
    settings.tls_listen = vec!["0.0.0.0:443".parse().unwrap(), "[::]:443".parse().unwrap()];
    let without = render(&settings, &layout()).unwrap();
    assert_eq!(without, render(&super::tests::settings(), &layout()).unwrap());
    let rendered = render(&settings, &Layout { certificates: certificates_of_two(), ..layout() }).unwrap();
    let tls = |line: &&str| ["ssl", "path", "Proto"].iter().any(|word| line.contains(word));
    let lines: Vec<_> = rendered.config.lines().filter(tls).collect();
    insta::assert_snapshot!("tls", lines.join("\n"));
    insta::assert_snapshot!("certificates", rendered.certificates);
    assert_eq!(rendered.pems.len(), 3);
    settings.quic = Quic::Limited;
    let rendered = render(&settings, &Layout { certificates: certificates_of_two(), ..layout() }).unwrap();
    let lines: Vec<_> =
        rendered.config.lines().filter(|line| line.contains("quic") || line.contains("Alt-Svc")).collect();
    insta::assert_snapshot!("quic", lines.join("\n"));
    assert!(!format!("{rendered:?}").contains("PRIVATE KEY"));
}

#[test]
fn all_listeners() {
    let mut settings = settings();
    settings.stats_listen = Some("127.0.0.1:8404".parse().unwrap());
    for service in ["db", "web", "gone"] {
        let addr = "127.0.0.1:5432".parse().unwrap();
        settings.tcp_listen.push(TcpListen { addr, service: service.parse().unwrap() });
    }
    insta::assert_snapshot!("listeners", render(&settings, &layout()).unwrap().config);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(render(&settings(), &layout()).unwrap(), render(&settings(), &layout()).unwrap());
}

/// Neither servers, routes, the generation nor the taking of a spare is structure; a backend, a listener and
/// the template are.
#[test]
fn what_structure_is() {
    let before = structure(&settings(), &layout()).unwrap();
    let same = |change: fn(&mut Layout)| {
        let mut layout = layout();
        change(&mut layout);
        render(&settings(), &layout).unwrap().structure == before
    };
    assert!(same(|l| l.generation = 43));
    assert!(same(|l| l.routes.clear()));
    assert!(same(|l| l.backends.values_mut().for_each(|b| b.servers.clear())));
    assert!(same(|l| l.backends.get_mut(&BackendName::spare(2)).unwrap().service = Some("new".parse().unwrap())));
    assert!(!same(|l| drop(l.backends.insert(BackendName::spare(3), Backend::default()))));
    assert!(!same(|l| l.backends.values_mut().for_each(|b| b.protocol = Protocol::Http)));
    let mut other = settings();
    other.listen.pop();
    assert_ne!(structure(&other, &layout()).unwrap(), before);
}

/// How a server is written is structure, in either state, and how a backend without one is; what leaves no trace in
/// the file is not.
#[test]
fn what_of_a_template_is_structure() {
    let before = structure(&settings(), &layout()).unwrap();
    let edited = |from: &str, to: &str| {
        let mut settings = settings();
        assert!(settings.template.text.contains(from), "{from}");
        settings.template.text = settings.template.text.replace(from, to);
        structure(&settings, &layout()).unwrap()
    };
    assert_ne!(edited(" weight {weight}", " maxconn 9 weight {weight}"), before);
    assert_ne!(edited("{disabled? disabled}", "{disabled? disabled maxconn 9}"), before);
    let empty = "{% if not backend.servers %}\n    maxconn 9\n{% endif %}\n{% if backend.servers %}";
    assert_ne!(edited("{% if backend.servers %}", empty), before);
    assert_eq!(edited("global\n", "{# mine #}\nglobal\n"), before);
}

fn check_refused(template: &str, expected: &str) {
    let mut settings = settings();
    settings.template = Template { name: "my.jinja".into(), text: template.into() };
    assert_eq!(render(&settings, &layout()).unwrap_err().to_string(), expected);
}

#[test]
fn templates_that_could_not_be_driven() {
    check_refused("a\n{{ generaton }}", "check my.jinja:2: 'generaton' is undefined; did you mean 'generation'?");
    check_refused("a", "check my.jinja: the template must render 'stats socket /run/backchat/proxy/haproxy.sock'");
}

/// Names as members might send them: well-formed ones, and ones with every byte that a parser cares for.
fn words() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9_.:-]{1,70}", "[a-z]{1,3}[ \n\t\"'#;{}$%\\\\\r\0/=,()*]{1,3}[a-z]{0,3}", "\\PC{0,20}",]
}

/// The lines of a rendering that are not in the rendering of `before`.
fn new_lines(before: &Layout, after: &Layout) -> Vec<String> {
    let lines = |layout| {
        let config = render(&settings(), layout).unwrap().config;
        config
            .lines()
            .filter(|l| !l.contains("backchat_structure") && !l.starts_with("# backchat: end"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (before, mut after) = (lines(before), lines(after));
    for line in before {
        let at = after.iter().position(|l| *l == line).unwrap();
        after.remove(at);
    }
    after
}

proptest! {
    /// What a member says can come to be a server's name, a backend's name or a map's line, and nothing else.
    #[test]
    fn no_name_changes_the_structure(word in words()) {
        prop_assume!(!["web", "web1", "web2", "web3", "db"].contains(&word.as_str()), "these are there already");
        let base = layout();
        if let Ok(name) = word.parse::<EndpointName>() {
            let mut with = base.clone();
            let web = with.backends.values_mut().find(|b| b.servers.len() == 3).unwrap();
            web.servers.insert(name, server(9, "10.0.0.1:80", Admin::Ready));
            prop_assert_eq!(new_lines(&base, &with), [format!("    server {word} 10.0.0.1:80 id 9 weight 100")]);
        }
        if let Ok(name) = word.parse::<ServiceName>() {
            let mut with = base.clone();
            with.backends.insert(BackendName::from(&name), Backend { service: Some(name), ..Backend::default() });
            prop_assert_eq!(new_lines(&base, &with), [format!("backend {word} from bc:defaults:http"), String::new()]);
        }
        if let Ok(host) = word.parse() {
            let mut with = base.clone();
            with.routes.insert(Route { host, path: "/".parse().unwrap() }, BackendName::spare(1));
            prop_assert_eq!(new_lines(&base, &with), [""; 0]);
            let hosts = render(&settings(), &with).unwrap().hosts;
            prop_assert!(hosts.lines().all(|l| l.split(' ').count() == 2), "{}", hosts);
        }
    }
}

/// What is filled in is what would be rendered: by the shipped template, and by one that does more with the values.
#[test]
fn a_layout_under_another_generation_is_what_would_be_rendered() {
    let settings = settings();
    let next = Layout { generation: layout().generation + 1, ..layout() };
    for (more, leaves) in [("", true), ("# {{ generation + 1 }}\n", false)] {
        let template = Template { name: "t".into(), text: settings.template.text.clone() + more };
        assert_eq!(template.leaves_blanks(), leaves);
        let renderer = Renderer::new(&settings);
        let before = renderer.render(&template, &layout()).unwrap();
        let again = renderer.again(&template, &next, &before).unwrap();
        assert_eq!(again, render_by(&template, &settings, &next).unwrap());
        assert_ne!(again.config, before.config);
    }
}
