//! OpenResty on the conformance bench, our own and somebody else's, and what only it can do or fail at.
//!
//! What cannot hold here by its nature: services that take a reload, for none does.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use backchat_contract::{AccessLog, Manners, Policies};
use backchat_nginx::titles::is_master;
use backchat_openresty::{
    ManagedSettings, OpenrestyDriver, Paths, Template,
    admin::{Admin, Pushed},
    config::ConfigSettings,
    program::Program,
    push::Push,
    table::Table,
};
use backchat_template::Seal;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use super::{
    access::Logs,
    conformance,
    haproxy::free_addr,
    nginx::{pid, serving},
    rig::{Rig, Ruled, Tls},
};
use crate::hipache::Hipache;

pub(crate) mod attached;
mod processes;
mod room;

conformance!(OpenrestyRig:
    endpoints::{come_and_go, both_families, weigh, drain_without_loss, move_without_loss, only_listeners_get_requests, swap_without_a_gap},
    routes::{hosts_and_paths, no_host_no_route_no_endpoint, one_host_a_request, default_service, every_name_serves, hostile_words_are_no_names, move_at_once},
    policies::{strip_prefix, headers, allowed_networks, rate_limit, rate_limit_goes_on, sticky, balances, canaries, canary_share, response_timeout, upgrades, redirect_https},
    http2::{servers_of_http_2, calls_of_grpc},
    structure::{new_services_need_no_reload, an_edited_file_blocks},
    tls::{requests_over_tls, http_2, names_pick_certificates, certificates_change, keys_are_secret},
    life::{nothing_to_do_is_nothing_done, drift_is_repaired, a_killed_plane_comes_back, a_foreign_reload_is_seen, another_driver_adopts, the_file_holds_the_set},
    many::{ten_thousand_hosts},
    magic::{every_spelling_of_a_name, a_name_is_nearer_than_a_wildcard},
    access::{combined_is_read_back, one_line_a_request, any_format, json_is_json, no_header_forges_a_line},
);

/// The binary under test: OpenResty, or an nginx beside which the Lua module lies.
fn program() -> Program {
    let named = std::env::var("BACKCHAT_OPENRESTY").ok();
    let find = async { backchat_openresty::program::find(named.as_deref()).await.unwrap() };
    // A rig is made outside of any await.
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(find))
}

/// An OpenResty of our own.
pub(crate) struct OpenrestyRig {
    folder: TempDir,
    http: SocketAddr,
    https: SocketAddr,
    program: Program,
}

impl OpenrestyRig {
    fn paths(&self) -> Paths {
        Paths::new(self.folder.path()).unwrap()
    }

    fn settings(&self) -> ManagedSettings {
        let text = include_str!("../../templates/openresty.conf.jinja").into();
        let template = Template { name: "openresty.conf.jinja".into(), text };
        let balancer = include_str!("../../templates/balancer.lua").into();
        let config = ConfigSettings::new(template, balancer, self.paths(), vec![self.http]);
        let (tls_listen, speaks) = (vec![self.https], backchat_nginx::version::Speaks::of(&self.program.program));
        ManagedSettings::new(ConfigSettings { workers: Some(2), tls_listen, speaks, ..config }, self.program.clone())
    }

    /// The master's process, where it is one of this folder.
    fn master(&self) -> Option<Pid> {
        let pid: u32 = std::fs::read_to_string(self.paths().pid).ok()?.trim().parse().ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let folder = self.folder.path().to_str().unwrap();
        let ours = is_master(pid) && String::from_utf8_lossy(&line).contains(folder);
        ours.then(|| Pid::from_raw(i32::try_from(pid).unwrap())).flatten()
    }

    /// The workers that take connections.
    fn workers(&self) -> Vec<u32> {
        self.processes().into_iter().skip(1).collect()
    }

    fn config(&self) -> PathBuf {
        self.paths().config
    }
}

impl Tls for OpenrestyRig {
    const CERTIFICATES_WITHOUT_RELOAD: bool = false;

    fn https(&self) -> SocketAddr {
        self.https
    }
}

impl Ruled for OpenrestyRig {
    fn ruled(&self, policies: Policies) -> OpenrestyDriver {
        let mut settings = self.settings();
        settings.config.policies = policies;
        OpenrestyDriver::managed(settings).unwrap()
    }
}

impl Rig for OpenrestyRig {
    type Driver = OpenrestyDriver;
    /// As many as anybody wants: what the cases begin with.
    const SPARE_SERVICES: usize = 12;
    const ENDPOINTS_WITHOUT_RELOAD: bool = true;

    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("bc").tempdir().unwrap();
        Self { folder, http: free_addr(), https: free_addr(), program: program() }
    }

    fn driver(&self) -> OpenrestyDriver {
        OpenrestyDriver::managed(self.settings()).unwrap()
    }

    fn http(&self) -> SocketAddr {
        self.http
    }

    fn kill(&self) {
        kill_process_group(self.master().expect("an openresty that runs"), Signal::KILL).unwrap();
    }

    fn reload(&self) {
        kill_process(self.master().expect("an openresty that runs"), Signal::HUP).unwrap();
    }

    fn processes(&self) -> Vec<u32> {
        let master = self.master().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
        master.map(serving).unwrap_or_default()
    }

    fn edit(&self) {
        edit(&self.config());
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.config()).unwrap()
    }

    async fn tamper(&self, service: &str, gone: &str, reweighted: &str) {
        tamper(&self.paths().control, (service, gone, reweighted)).await;
    }
}

impl Hipache for OpenrestyRig {
    const COLUMN: &'static str = "OpenResty";

    fn hipache(&self, policies: Policies, access: Option<AccessLog>) -> OpenrestyDriver {
        let mut settings = self.settings();
        settings.config = ConfigSettings { policies, access, ..settings.config.mannered(Manners::Hipache) };
        OpenrestyDriver::managed(settings).unwrap()
    }

    fn room(&self) -> PathBuf {
        self.folder.path().into()
    }
}

impl Logs for OpenrestyRig {
    fn folder(&self) -> PathBuf {
        self.folder.path().into()
    }

    fn logging(&self, access: AccessLog) -> OpenrestyDriver {
        let mut settings = self.settings();
        settings.config.access = Some(access);
        OpenrestyDriver::managed(settings).unwrap()
    }
}

/// As a person with an editor does.
fn edit(config: &Path) {
    let text = std::fs::read_to_string(config).unwrap();
    assert_eq!(Seal::of(&text), Seal::Whole);
    let edited = text.replacen("keepalive 128;", "keepalive 129;", 1);
    assert_ne!(edited, text);
    std::fs::write(config, edited).unwrap();
}

/// By a push that is not the driver's.
async fn tamper(control: &Path, (service, gone, reweighted): (&str, &str, &str)) {
    let admin = Admin::new(control).unwrap();
    let over = admin.read().await.unwrap().unwrap();
    let mut set = over.table.as_ref().unwrap().set.clone();
    let endpoints = &mut set.services.get_mut(&service.parse().unwrap()).unwrap().endpoints;
    endpoints.remove(&gone.parse().unwrap()).unwrap();
    endpoints.get_mut(&reweighted.parse().unwrap()).unwrap().weight = 7.try_into().unwrap();
    let table = Table { version: over.version + 1, set };
    assert_eq!(admin.push(&Push::Whole(Arc::new(table)), &over.place()).await.unwrap(), Pushed::Served);
}

impl Drop for OpenrestyRig {
    fn drop(&mut self) {
        if let Some(master) = self.master() {
            // It ended between the two lines where this fails, and that is what is wanted.
            let _ = kill_process_group(master, Signal::KILL);
        }
    }
}
