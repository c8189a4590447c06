//! Flags and files to settings, through the same way as the command line takes.

use std::path::PathBuf;

use super::*;
use crate::{
    cluster::Profile,
    config::{self, Layer},
};

fn root() -> Host {
    Host { name: "web1".into(), root: true, runtime_dir: None }
}

fn layer<L: Layer>(flags: &str) -> L {
    let command = L::augment_args(clap::Command::new("test").args_override_self(true));
    // The variables of whoever runs the tests are none of theirs.
    let command = command.mut_args(|arg| arg.env(None::<&str>));
    let words = std::iter::once("test").chain(flags.split_whitespace());
    L::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap()
}

fn agent(flags: &str) -> Result<Agent, Error> {
    Agent::new(layer(flags), &root())
}

fn lb(flags: &str) -> Result<Lb, Error> {
    Lb::new(layer(flags), &root())
}

#[test]
fn defaults() {
    insta::assert_debug_snapshot!("agent_defaults", agent("--insecure").unwrap());
    insta::assert_debug_snapshot!("lb_defaults", lb("--insecure").unwrap());
}

#[test]
fn everything_said() {
    let said = "--node n --bind [::1]:0 --advertise 10.0.0.9 --join seed,10.0.0.2:70 --join [::1]:7 --join-timeout 3s \
        --cluster c --tag a=b --tag role=x --role x --key-file k --profile wan --run-dir /r --admin 127.0.0.1:80 \
        --admin unix:/s --admin-token-file /t --data-dir /d --log-format json --log-level debug";
    let offers = "--service web:80,host=a,host=b --service api:81 --drain-timeout 1s --stop-timeout 2s \
        --check-interval 2s --check-timeout 300ms --check-rise 3 --check-fall 4 --stop-signal QUIT --restart always -- a b";
    insta::assert_debug_snapshot!("agent_said", agent(&format!("{said} {offers}")).unwrap());
    let plane = "--listen 0.0.0.0:81,[::]:81 --haproxy /h --access-log a.log --access-log-format %h%t --hipache --template t --spares 0 --on-exit keep --force --approve --once \
        --default-service web --allow-loopback --empty-service 1m --guard-window 2s --hold-down 9s";
    insta::assert_debug_snapshot!("lb_said", lb(&format!("{said} {plane}")).unwrap());
}

#[test]
fn refusals() {
    let errors = [
        agent(""),
        agent("--insecure --key-file k"),
        agent("--bind 127.0.0.1:0 --admin 0.0.0.0:80"),
        agent("--bind 127.0.0.1:0 --service web:80 --service web:80"),
        agent("--bind 127.0.0.1:0 --host a"),
        agent("--bind 127.0.0.1:0 --check tcp://"),
        agent("--bind 127.0.0.1:0 --check-interval 1ms"),
        agent("--bind 127.0.0.1:0 --check-fall 0"),
        agent("--bind 127.0.0.1:0 --stop-signal QUIT"),
        agent("--bind 127.0.0.1:0 --service a:1 --service b:2 --weight 3"),
        agent("--bind 127.0.0.1:0 --service a:1 --weight 257"),
        agent("--bind 127.0.0.1:0 --tag role=web --tag port=x"),
        agent("--bind 127.0.0.1:0 --tag role=web --tag host=a_b"),
        Agent::new(layer("--insecure"), &Host { root: false, ..root() }),
        Agent::new(layer("--insecure"), &Host { name: "a b".into(), ..root() }),
        Agent::new(layer("--insecure"), &Host { root: false, runtime_dir: Some("/x".repeat(60).into()), ..root() }),
    ];
    let errors = errors.map(|result| result.unwrap_err().to_string());
    insta::assert_snapshot!("agent_refusals", errors.join("\n"));
    let errors = vec![
        lb("--bind 127.0.0.1:0 --driver openresty --attach"),
        lb("--bind 127.0.0.1:0 --driver openresty --spares 3"),
        lb("--bind 127.0.0.1:0 --openresty-mode reload"),
        lb("--bind 127.0.0.1:0 --hipache --attach --haproxy-socket s"),
        lb("--bind 127.0.0.1:0 --hipache --driver nginx --attach --nginx-include i --nginx-conf c --pid-file p"),
        lb("--bind 127.0.0.1:0 --driver openresty --pid-file p"),
        lb("--bind 127.0.0.1:0 --driver nginx --haproxy-socket s"),
        lb("--bind 127.0.0.1:0 --driver nginx --spares 3"),
        lb("--bind 127.0.0.1:0 --driver nginx --attach --nginx-conf c --pid-file p"),
        lb("--bind 127.0.0.1:0 --driver nginx --pid-file p"),
        lb("--bind 127.0.0.1:0 --nginx-include i"),
        lb("--bind 127.0.0.1:0 --dry-run"),
        lb("--bind 127.0.0.1:0 --attach"),
        lb("--bind 127.0.0.1:0 --haproxy-socket /s"),
        lb("--bind 127.0.0.1:0 --attach --haproxy-socket /s --listen 0.0.0.0:80"),
        lb("--bind 127.0.0.1:0 --attach --haproxy-socket /s --template t"),
        lb("--bind 127.0.0.1:0 --spares 1001"),
        lb("--bind 127.0.0.1:0 --access-log-format json"),
        lb("--bind 127.0.0.1:0 --attach --haproxy-socket /s --access-log a"),
        lb("--bind 127.0.0.1:0 --driver nginx --attach --nginx-include i --nginx-conf c --pid-file p --access-log a"),
    ];
    let errors: Vec<_> = errors.into_iter().map(|result| result.unwrap_err().to_string()).collect();
    insta::assert_snapshot!("lb_refusals", errors.join("\n"));
}

/// Its own access log goes with it, unless another is said.
#[test]
fn hipache_has_its_own_access_log() {
    let format = |flags: &str| lb(&format!("--insecure --access-log a {flags}")).unwrap().access.unwrap().format;
    assert_eq!(format("--hipache"), "hipache".parse().unwrap());
    assert_eq!(format("--hipache --access-log-format json"), "json".parse().unwrap());
    assert_eq!(format("--hipache=false"), "combined".parse().unwrap());
}

#[test]
fn an_nginx_of_somebody_else() {
    let flags = "--insecure --driver nginx --attach --nginx-include /i --nginx-conf /c --pid-file /p";
    let plane = |more: &str| lb(&format!("{flags} {more}")).unwrap().plane;
    let Plane::AttachedNginx(theirs) = plane("") else { panic!() };
    let files = [&theirs.include, &theirs.conf, &theirs.pid_file, &theirs.program].map(|path| path.to_str().unwrap());
    assert_eq!((files, &theirs.listen[..]), (["/i", "/c", "/p", "nginx"], &[][..]));
    let Plane::AttachedNginx(theirs) = plane("--listen [::]:81 --nginx /n") else { panic!() };
    assert_eq!((theirs.listen, theirs.program), (vec!["[::]:81".parse().unwrap()], "/n".into()));
    assert_eq!(plane("--listen 0.0.0.0:80").managed(), None);
}

/// An environment may name the programs of all drivers.
#[test]
fn another_drivers_program_is_no_matter() {
    for driver in ["haproxy", "nginx", "openresty"] {
        let plane = lb(&format!("--insecure --driver {driver} --haproxy /h --nginx /n --openresty /o")).unwrap().plane;
        assert_eq!(plane.managed().unwrap().program.to_str(), Some(["/", &driver[..1]].concat().as_str()));
    }
}

#[test]
fn an_openresty_of_somebody_else_is_named_or_looked_for() {
    let flags = "--insecure --driver openresty --attach --nginx-include /i --nginx-conf /c --pid-file /p";
    let plane = |more: &str| lb(&format!("{flags} {more}")).unwrap().plane;
    assert_eq!((plane("").program(), plane("--openresty /o").program()), (None, Some(("OpenResty", "--openresty"))));
    let Plane::AttachedOpenresty { is_named: false, mode: OpenrestyMode::Lua, .. } = plane("") else { panic!() };
    let by_its_file = plane("--openresty /o --openresty-mode reload --listen [::]:81");
    assert_eq!(by_its_file.managed(), None);
    let Plane::AttachedOpenresty { theirs, is_named: true, mode: OpenrestyMode::Reload } = by_its_file else {
        panic!()
    };
    assert_eq!((theirs.program, theirs.listen), ("/o".into(), vec!["[::]:81".parse().unwrap()]));
}

#[test]
fn an_openresty_is_named_or_looked_for() {
    let plane = |flags: &str| lb(&format!("--insecure --driver openresty {flags}")).unwrap().plane;
    let Plane::Openresty { is_named: false, mode: OpenrestyMode::Lua, .. } = plane("") else { panic!() };
    assert_eq!(plane("").program(), None);
    let named = plane("--openresty /o --openresty-mode reload");
    assert_eq!(
        (named.program(), &*named.managed().unwrap().program),
        (Some(("OpenResty", "--openresty")), "/o".as_ref())
    );
    assert!(matches!(named, Plane::Openresty { is_named: true, mode: OpenrestyMode::Reload, .. }));
}

#[test]
fn tls_needs_a_certificate_and_the_other_way_round() {
    let tls = |flags: &str| lb(&format!("--insecure {flags}")).map(|lb| lb.tls).map_err(|error| error.to_string());
    assert_eq!(tls(""), Ok(None));
    let given = tls("--tls-listen 0.0.0.0:443 --tls-listen [::]:443 --cert a.pem --cert b").unwrap().unwrap();
    assert_eq!((given.listen.len(), given.certificates.paths.len(), given.certificates.own), (2, 2, None));
    let own = |flags: &str| tls(flags).unwrap().unwrap().certificates.own.unwrap();
    let signed = own("--tls-listen 0.0.0.0:443 --self-signed --run-dir /r");
    assert_eq!(signed.folder, PathBuf::from("/r"));
    assert_eq!(signed.hosts[..3], ["localhost", "127.0.0.1", "::1"]);
    assert!(signed.hosts.contains(&root().name));
    assert_eq!(own("--tls-listen 0.0.0.0:443 --self-signed --data-dir /d").folder, PathBuf::from("/d"));
    for (flags, expected) in [
        ("--tls-listen 0.0.0.0:443", "--tls-listen needs --cert PATH, or --self-signed to try it out"),
        ("--cert a.pem", "--cert and --self-signed need --tls-listen ADDR:PORT"),
        ("--self-signed", "--cert and --self-signed need --tls-listen ADDR:PORT"),
        (
            "--listen 0.0.0.0:443 --tls-listen 0.0.0.0:443 --self-signed",
            "--tls-listen 0.0.0.0:443: --listen 0.0.0.0:443 has it already",
        ),
        (
            "--attach --haproxy-socket s --tls-listen 0.0.0.0:443 --self-signed",
            "--tls-listen, --cert and --self-signed: whom --attach names speaks TLS by its own configuration",
        ),
    ] {
        assert_eq!(tls(flags), Err(expected.to_owned()), "{flags}");
    }
}

#[test]
fn loopback_needs_no_key_and_is_fast() {
    for bind in ["127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
        let settings = lb(&format!("--bind {bind}")).unwrap();
        assert_eq!(settings.common.key, KeySource::Clear);
        assert_eq!(settings.common.profile, Profile::LOCAL);
        assert!(settings.allow_loopback);
    }
    assert!(!lb("--insecure").unwrap().allow_loopback);
}

#[test]
fn an_ordinary_user_has_a_folder_of_his_own() {
    let host = Host { root: false, runtime_dir: Some("/run/user/7".into()), ..root() };
    let settings = Agent::new(layer("--insecure"), &host).unwrap();
    assert_eq!(settings.common.run_dir, PathBuf::from("/run/user/7/backchat/web1"));
    assert_eq!(settings.common.admin, ["unix:/run/user/7/backchat/web1/admin.sock".parse().unwrap()]);
}

#[test]
fn tags_declare_a_service_where_no_flag_does() {
    let by_tags = agent("--insecure --tag role=web --tag port=8080 --tag host=a,b --tag weight=7").unwrap().services;
    let by_flag = agent("--insecure --service web:8080,host=a,host=b,weight=7").unwrap().services;
    assert_eq!(by_tags, by_flag);
    assert_eq!(agent("--insecure --tag role=web").unwrap().services[0].port, 80);
    assert_eq!(agent("--insecure --tag role=db").unwrap().services, []);
    assert_eq!(agent("--insecure --tag role=db --role db").unwrap().services[0].name, "db");
    let both = agent("--insecure --tag role=web --service api:1").unwrap().services;
    assert_eq!(both.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["api"]);
}

/// A service that the agent runs gets no request before it listens; one beside it is taken at its word.
#[test]
fn what_is_checked() {
    let targets = |flags: &str| -> Vec<_> {
        let checks = agent(&format!("--insecure {flags}")).unwrap().checks;
        checks.into_iter().map(|check| check.map(|check| (check.target, check.first_only))).collect()
    };
    let (connect, get) = ("tcp://".parse().unwrap(), "http:///ok".parse().unwrap());
    assert_eq!(targets("--service a:1"), [None]);
    assert_eq!(targets("--service a:1 -- run"), [Some((connect, true))]);
    assert_eq!(targets("--service a:1 --check http:///ok -- run"), [Some((get, false))]);
    let some: Vec<_> = targets("--service a:1,check=tcp://:2 --service b:3").iter().map(Option::is_some).collect();
    assert_eq!(some, [true, false]);
}

/// What the upper layer says counts, and a list replaces a list.
#[test]
fn flags_lie_upon_the_file() {
    let below: config::Agent = config::Agent::from_toml(
        "node = 'file'\njoin = ['a', 'b']\ninsecure = true\ncluster = 'file'\nservice = [{ name = 'web', port = 1 }]\nweight = 3",
    )
    .unwrap();
    let over = |flags: &str| Agent::new(layer::<config::Agent>(flags).over(below.clone()), &root()).unwrap();
    let settings = over("--node flag --join c");
    assert_eq!(settings.common.node.as_str(), "flag");
    assert_eq!(settings.common.joins, ["c".parse().unwrap()]);
    assert_eq!(settings.common.cluster, "file".parse().unwrap());
    assert_eq!(settings.services[0].weight, Some(3));
    assert_eq!(over("--key-file k").common.key, KeySource::File("k".into()));
    assert_eq!(over("--insecure=false --bind 127.0.0.1:0").common.key, KeySource::Clear);
    assert_eq!(over("--service api:2").services[0].weight, None);
}

#[test]
fn of_a_single_value_the_last_one_wins() {
    assert_eq!(agent("--insecure --node a --node b").unwrap().common.node.as_str(), "b");
    assert_eq!(agent("--bind 127.0.0.1:0 --insecure=true --insecure=false").unwrap().common.key, KeySource::Clear);
}
