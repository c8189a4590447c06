//! nginx on the conformance bench: our own, and somebody else's.
//!
//! What cannot hold here by its nature: a change of endpoints without a reload, spare services, endpoints that flow
//! while the file is blocked. All that nginx serves comes from its file, read at a reload.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use backchat_contract::{AccessLog, Manners, Policies, TcpListen};
use backchat_nginx::{
    ManagedSettings, NginxDriver, Template,
    config::ConfigSettings,
    paths::Paths,
    titles::{children, is_master},
};
use backchat_template::Seal;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

pub(crate) mod attached;

use super::{
    access::Logs,
    bench::Bench,
    client, conformance, h3,
    haproxy::free_addr,
    rig::{Rig, Ruled, Streams, Tls},
    tls::certificate,
    web::{LONG, Web},
    words::Wanted,
};
use crate::hipache::Hipache;

conformance!(NginxRig:
    endpoints::{come_and_go, both_families, weigh, drain_without_loss, move_without_loss, only_listeners_get_requests, swap_without_a_gap},
    routes::{hosts_and_paths, no_host_no_route_no_endpoint, one_host_a_request, default_service, every_name_serves, hostile_words_are_no_names, move_at_once},
    policies::{strip_prefix, headers, allowed_networks, rate_limit, rate_limit_goes_on, sticky, balances, canaries, canary_share, response_timeout, upgrades, redirect_https, no_more_than_maxconn},
    http2::{servers_of_http_2, calls_of_grpc},
    tcp::{listeners_of_their_own},
    structure::{new_services_need_no_reload, more_services_than_spares, an_edited_file_blocks, held_structure_waits},
    tls::{requests_over_tls, http_2, names_pick_certificates, certificates_change, keys_are_secret},
    life::{nothing_to_do_is_nothing_done, drift_is_repaired, a_killed_plane_comes_back, a_foreign_reload_is_seen, another_driver_adopts, the_file_holds_the_set},
    many::{ten_thousand_hosts},
    magic::{every_spelling_of_a_name, a_name_is_nearer_than_a_wildcard},
    access::{combined_is_read_back, one_line_a_request, any_format, json_is_json, no_header_forges_a_line},
);

/// HTTP/3 where this nginx was built with it, before and after a reload; where it was not, nobody is sent there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_3_where_it_is_built_in() {
    let first = certificate(&["a.example"]);
    let one = Web::start("one").await;
    let wanted = Wanted::default().ready("web", "one", one.addr).route("*", "/", "web");
    let wanted = wanted.default_certificate("first", &first);
    let mut bench = Bench::<NginxRig>::start().await;
    bench.converge(&wanted).await;
    let https = bench.rig.https();
    bench.eventually("TLS is spoken", async || client::shown(https, "a.example").await.is_some()).await;
    let has_it = backchat_nginx::version::Speaks::of(&program()).http3;
    let said = client::head(https, "a.example").await.to_ascii_lowercase();
    assert_eq!(said.contains(&format!("alt-svc: h3=\":{}\"", https.port())), has_it, "{said}");
    if !has_it {
        return;
    }
    assert_eq!(h3::get(https, "a.example", &first).await, "one");
    let two = Web::start("two").await;
    bench.converge(&wanted.ready("web", "one", two.addr)).await;
    assert_eq!(h3::get(https, "a.example", &first).await, "two");
}

/// The binary under test.
pub(crate) fn program() -> String {
    std::env::var("BACKCHAT_NGINX").unwrap_or_else(|_| "nginx".into())
}

/// The module of this program: one out of a Debian tree (`integration/trees.sh`) names it by its place within that.
fn of_its_tree(program: &str, module: PathBuf) -> PathBuf {
    let tree = || {
        let (bin, name) = (Path::new(program).parent()?, Path::new(program).file_name()?.to_str()?);
        let within = bin.parent()?.join(name.strip_prefix("nginx-")?).join(module.strip_prefix("/").ok()?);
        within.exists().then_some(within)
    };
    tree().unwrap_or(module)
}

/// An nginx of our own.
pub(crate) struct NginxRig {
    folder: TempDir,
    http: SocketAddr,
    https: SocketAddr,
}

impl NginxRig {
    fn paths(&self) -> Paths {
        Paths::new(self.folder.path()).unwrap()
    }

    fn plain(&self) -> ConfigSettings {
        let text = include_str!("../../templates/nginx.conf.jinja").into();
        let template = Template { name: "nginx.conf.jinja".into(), text };
        let (tls_listen, speaks) = (vec![self.https], backchat_nginx::version::Speaks::of(&program()));
        ConfigSettings { tls_listen, speaks, ..ConfigSettings::new(template, self.paths(), vec![self.http]) }
    }

    fn settings(config: ConfigSettings) -> ManagedSettings {
        ManagedSettings { program: program(), ..ManagedSettings::new(config) }
    }

    /// The master's process, where it is one of this folder.
    fn master(&self) -> Option<Pid> {
        let pid: u32 = std::fs::read_to_string(self.paths().pid).ok()?.trim().parse().ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let folder = self.folder.path().to_str().unwrap();
        let ours = is_master(pid) && String::from_utf8_lossy(&line).contains(folder);
        ours.then(|| Pid::from_raw(i32::try_from(pid).unwrap())).flatten()
    }

    fn config(&self) -> PathBuf {
        self.paths().config
    }
}

impl Hipache for NginxRig {
    const COLUMN: &'static str = "nginx";

    fn hipache(&self, policies: Policies, access: Option<AccessLog>) -> NginxDriver {
        let config = self.plain().mannered(Manners::Hipache);
        NginxDriver::managed(Self::settings(ConfigSettings { policies, access, ..config }))
    }

    fn room(&self) -> PathBuf {
        self.folder.path().into()
    }
}

impl Logs for NginxRig {
    fn folder(&self) -> PathBuf {
        self.folder.path().into()
    }

    fn logging(&self, access: AccessLog) -> NginxDriver {
        NginxDriver::managed(Self::settings(ConfigSettings { access: Some(access), ..self.plain() }))
    }
}

fn number(pid: Pid) -> u32 {
    u32::try_from(pid.as_raw_nonzero().get()).unwrap()
}

impl Tls for NginxRig {
    const CERTIFICATES_WITHOUT_RELOAD: bool = false;

    fn https(&self) -> SocketAddr {
        self.https
    }
}

impl Ruled for NginxRig {
    fn ruled(&self, policies: Policies) -> NginxDriver {
        NginxDriver::managed(Self::settings(ConfigSettings { policies, ..self.plain() }))
    }
}

impl Streams for NginxRig {
    fn streams(&self, policies: Policies, tcp_listen: Vec<TcpListen>) -> NginxDriver {
        let modules = backchat_nginx::stream::module(&program()).unwrap().map(|module| of_its_tree(&program(), module));
        let modules = modules.into_iter().collect();
        NginxDriver::managed(Self::settings(ConfigSettings { policies, tcp_listen, modules, ..self.plain() }))
    }
}

impl Rig for NginxRig {
    type Driver = NginxDriver;
    const SPARE_SERVICES: usize = 0;
    const ENDPOINTS_WITHOUT_RELOAD: bool = false;

    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("bc").tempdir().unwrap();
        Self { folder, http: free_addr(), https: free_addr() }
    }

    fn driver(&self) -> NginxDriver {
        NginxDriver::managed(Self::settings(self.plain()))
    }

    fn http(&self) -> SocketAddr {
        self.http
    }

    fn kill(&self) {
        kill_process_group(self.master().expect("an nginx that runs"), Signal::KILL).unwrap();
    }

    fn reload(&self) {
        kill_process(self.master().expect("an nginx that runs"), Signal::HUP).unwrap();
    }

    fn processes(&self) -> Vec<u32> {
        self.master().map(number).map(serving).unwrap_or_default()
    }

    fn edit(&self) {
        edit(&self.config());
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.config()).unwrap()
    }

    async fn tamper(&self, service: &str, gone: &str, reweighted: &str) {
        let master = self.master().expect("an nginx that runs");
        tamper(&self.config(), number(master), (service, gone, reweighted)).await;
    }
}

/// A master and its workers, but for those that end what they have.
pub(super) fn serving(master: u32) -> Vec<u32> {
    let serving = children(master).into_iter().filter(|child| !child.retiring).map(|child| child.pid);
    std::iter::once(master).chain(serving).collect()
}

/// As a person with an editor does.
fn edit(config: &Path) {
    let text = std::fs::read_to_string(config).unwrap();
    assert_eq!(Seal::of(&text), Seal::Whole);
    let edited = text.replacen("keepalive 32;", "keepalive 33;", 1);
    assert_ne!(edited, text);
    std::fs::write(config, edited).unwrap();
}

/// By another file, which is gone again when anybody looks: nginx says of itself what that file said.
async fn tamper(config: &Path, master: u32, (service, gone, reweighted): (&str, &str, &str)) {
    let text = std::fs::read_to_string(config).unwrap();
    let addr = |endpoint: &str| {
        let line = format!("#bc endpoint {service}/{endpoint} ");
        let line = text.lines().find_map(|l| l.strip_prefix(&line)).unwrap();
        line.split(' ').next().unwrap().to_owned()
    };
    let (gone, reweighted) = (format!("server {} ", addr(gone)), format!("server {} weight=", addr(reweighted)));
    let lines = text.lines().filter(|line| !line.contains(&gone));
    let lines = lines.map(|line| line.replace(&format!("{reweighted}50"), &format!("{reweighted}7")) + "\n");
    let changed: String = lines.collect();
    assert!(!changed.contains(&gone) && changed.contains(&format!("{reweighted}7")));
    let before = serving(master);
    std::fs::write(config, changed).unwrap();
    kill_process(pid(master), Signal::HUP).unwrap();
    let deadline = Instant::now() + LONG;
    // The master stays.
    while before.iter().filter(|pid| serving(master).contains(pid)).count() > 1 || serving(master).len() < 2 {
        assert!(Instant::now() < deadline, "nginx does not reload");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    std::fs::write(config, text).unwrap();
}

pub(super) fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

impl Drop for NginxRig {
    fn drop(&mut self) {
        if let Some(master) = self.master() {
            // It ended between the two lines where this fails, and that is what is wanted.
            let _ = kill_process_group(master, Signal::KILL);
        }
    }
}
