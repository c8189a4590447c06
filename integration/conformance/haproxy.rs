//! HAProxy on the conformance bench: our own, and somebody else's.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use backchat_contract::{AccessLog, Manners, Policies, TcpListen};
use backchat_haproxy::{
    HaproxyDriver, ManagedSettings, Template,
    config::{ConfigSettings, Seal},
    paths::Paths,
    quic::Quic,
};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::Instant,
};

use super::{
    access::Logs,
    conformance,
    rig::{Rig, Ruled, Streams, Tls},
    web::LONG,
};
use crate::hipache::Hipache;

mod asks;
mod attached;
mod fence;
mod gate;
mod pushes;

conformance!(HaproxyRig:
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

/// The binary under test.
pub(crate) fn program() -> String {
    std::env::var("BACKCHAT_HAPROXY").unwrap_or_else(|_| "haproxy".into())
}

/// A HAProxy of our own.
pub(crate) struct HaproxyRig {
    folder: TempDir,
    http: SocketAddr,
    https: SocketAddr,
}

impl HaproxyRig {
    pub(crate) fn paths(&self) -> Paths {
        Paths::new(self.folder.path()).unwrap()
    }

    pub(crate) fn settings(&self) -> ManagedSettings {
        let text = include_str!("../../templates/haproxy.cfg.jinja").into();
        let template = Template { name: "haproxy.cfg.jinja".into(), text };
        let config = ConfigSettings::new(template, self.paths(), vec![self.http]);
        let config = ConfigSettings { tls_listen: vec![self.https], quic: Quic::of(&program()), ..config };
        ManagedSettings { program: program(), ..ManagedSettings::new(config) }
    }

    /// The master's process, where it is one of this folder.
    fn master(&self) -> Option<Pid> {
        let pid: i32 = std::fs::read_to_string(self.paths().pid).ok()?.trim().parse().ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let folder = self.folder.path().to_str().unwrap();
        String::from_utf8_lossy(&line).contains(folder).then(|| Pid::from_raw(pid)).flatten()
    }
}

impl Rig for HaproxyRig {
    type Driver = HaproxyDriver;
    const SPARE_SERVICES: usize = 32;
    const ENDPOINTS_WITHOUT_RELOAD: bool = true;

    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("bc").tempdir().unwrap();
        Self { folder, http: free_addr(), https: free_addr() }
    }

    fn driver(&self) -> HaproxyDriver {
        HaproxyDriver::managed(self.settings()).unwrap()
    }

    fn http(&self) -> SocketAddr {
        self.http
    }

    fn kill(&self) {
        let master = self.master().expect("a haproxy that runs");
        kill_process_group(master, Signal::KILL).unwrap();
    }

    fn reload(&self) {
        kill_process(self.master().expect("a haproxy that runs"), Signal::USR2).unwrap();
    }

    fn processes(&self) -> Vec<u32> {
        let line = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let Some(master) = self.master() else { return Vec::new() };
        let group = |pid: &u32| {
            let stat = line(*pid);
            // Behind the name: state, parent, group.
            let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').nth(2).map(ToOwned::to_owned);
            fields == Some(master.as_raw_nonzero().to_string())
        };
        let pids = std::fs::read_dir("/proc").unwrap().filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(group).collect()
    }

    fn edit(&self) {
        let path = self.paths().config;
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(Seal::of(&text), Seal::Whole);
        std::fs::write(&path, text.replacen("retries 3", "retries 4", 1)).unwrap();
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.paths().config).unwrap()
    }

    async fn tamper(&self, service: &str, gone: &str, reweighted: &str) {
        let socket = self.paths().socket;
        let backend = backend_of(&self.paths().services, service);
        for command in [
            format!("set server {backend}/{reweighted} weight 7"),
            format!("clear map {}", self.paths().hosts.display()),
        ] {
            let said = ask(&socket, &command).await;
            assert!(said.trim().is_empty(), "{command}: {said}");
        }
        let deadline = Instant::now() + LONG;
        let delete = format!("del server {backend}/{gone}");
        while !ask(&socket, &delete).await.contains("deleted") {
            assert!(Instant::now() < deadline);
            // A kept-alive connection to it refuses for a moment.
            for state in ["drain", "maint"] {
                ask(&socket, &format!("set server {backend}/{gone} state {state}")).await;
            }
        }
    }
}

impl Tls for HaproxyRig {
    const CERTIFICATES_WITHOUT_RELOAD: bool = true;

    fn https(&self) -> SocketAddr {
        self.https
    }
}

impl Ruled for HaproxyRig {
    const QUEUES: bool = true;

    fn ruled(&self, policies: Policies) -> HaproxyDriver {
        let mut settings = self.settings();
        settings.config.policies = policies;
        HaproxyDriver::managed(settings).unwrap()
    }
}

impl Streams for HaproxyRig {
    fn streams(&self, policies: Policies, tcp_listen: Vec<TcpListen>) -> HaproxyDriver {
        let mut settings = self.settings();
        settings.config = ConfigSettings { policies, tcp_listen, ..settings.config };
        HaproxyDriver::managed(settings).unwrap()
    }
}

impl Hipache for HaproxyRig {
    const COLUMN: &'static str = "HAProxy";

    fn hipache(&self, policies: Policies, access: Option<AccessLog>) -> HaproxyDriver {
        let mut settings = self.settings();
        settings.config = ConfigSettings { policies, access, ..settings.config.mannered(Manners::Hipache) };
        HaproxyDriver::managed(settings).unwrap()
    }

    fn room(&self) -> PathBuf {
        self.folder.path().into()
    }
}

impl Logs for HaproxyRig {
    fn folder(&self) -> PathBuf {
        self.folder.path().into()
    }

    fn logging(&self, access: AccessLog) -> HaproxyDriver {
        let mut settings = self.settings();
        settings.config.access = Some(access);
        HaproxyDriver::managed(settings).unwrap()
    }
}

impl Drop for HaproxyRig {
    fn drop(&mut self) {
        if let Some(master) = self.master() {
            // It ended between the two lines where this fails, and that is what is wanted.
            let _ = kill_process_group(master, Signal::KILL);
        }
    }
}

/// The backend that serves a service, by the map on disk.
fn backend_of(services: &Path, service: &str) -> String {
    let text = std::fs::read_to_string(services).unwrap();
    let line = text.lines().find(|line| line.ends_with(&format!(" {service}"))).unwrap();
    line.split(' ').next().unwrap().to_owned()
}

/// One question to a runtime socket.
pub(crate) async fn ask(socket: &PathBuf, command: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(format!("{command}\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// An address that was free a moment ago.
pub(crate) fn free_addr() -> SocketAddr {
    backchat::demo::ports::free().unwrap()
}
