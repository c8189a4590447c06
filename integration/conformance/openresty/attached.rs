//! An OpenResty that somebody else runs, with one file of ours in it, which listens too.
//!
//! Not here: a data plane that was killed comes back. That is for whoever runs it to see to.

use std::{
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use backchat_contract::{AccessLog, Desired, Manners, Policies};
use backchat_nginx::titles::is_master;
use backchat_openresty::{
    AttachedSettings, OpenrestyDriver, Paths, Template,
    config::{ConfigSettings, render, room},
    program::Program,
    table::Table,
};
use rustix::process::{Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use super::{edit, pid, program, serving, tamper};
use crate::conformance::{
    access::Logs,
    conformance,
    haproxy::free_addr,
    rig::{Rig, Ruled},
    web::LONG,
};
use crate::hipache::Hipache;

conformance!(Theirs:
    endpoints::{come_and_go, both_families, weigh, drain_without_loss, move_without_loss, only_listeners_get_requests, swap_without_a_gap},
    routes::{hosts_and_paths, no_host_no_route_no_endpoint, default_service, every_name_serves, hostile_words_are_no_names, move_at_once},
    policies::{strip_prefix, headers, allowed_networks, rate_limit, sticky, balances, canaries, canary_share, response_timeout, upgrades},
    http2::{servers_of_http_2},
    structure::{new_services_need_no_reload, an_edited_file_blocks},
    life::{nothing_to_do_is_nothing_done, drift_is_repaired, a_foreign_reload_is_seen, another_driver_adopts, the_file_holds_the_set},
    many::{ten_thousand_hosts},
    magic::{every_spelling_of_a_name, a_name_is_nearer_than_a_wildcard},
    access::{combined_is_read_back, one_line_a_request, any_format, json_is_json, no_header_forges_a_line},
);

/// Somebody's OpenResty, which includes a folder.
pub(crate) struct Theirs {
    folder: TempDir,
    http: SocketAddr,
    program: Program,
    child: Child,
}

impl Theirs {
    fn include(&self) -> PathBuf {
        self.folder.path().join("conf.d/backchat.conf")
    }
}

fn settings(folder: &Path, http: SocketAddr, program: &Program) -> AttachedSettings {
    let text = include_str!("../../../templates/openresty-include.conf.jinja").into();
    let template = Template { name: "openresty-include.conf.jinja".into(), text };
    let balancer = include_str!("../../../templates/balancer.lua").into();
    let config = ConfigSettings::new(template, balancer, Paths::new(&folder.join("run")).unwrap(), vec![http]);
    let [include, conf, pid_file] = ["conf.d/backchat.conf", "nginx.conf", "nginx.pid"].map(|name| folder.join(name));
    AttachedSettings::new(config, program.program.clone(), include, conf, pid_file).unwrap()
}

/// What their configuration says beside ours.
fn theirs(folder: &Path, program: &Program) -> String {
    let load = |module: &PathBuf| format!("load_module {};\n", module.display());
    let modules: String = program.modules.iter().map(load).collect();
    let temp = |kind: &str| format!("{kind}_temp_path {}/temp-{kind};\n", folder.display());
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(temp).concat();
    let folder = folder.display();
    format!(
        "{modules}pid {folder}/nginx.pid;\nerror_log {folder}/their.log;\nworker_processes 2;\n\
         events {{ worker_connections 512; }}\nhttp {{\naccess_log off;\n{temp}include conf.d/*;\n}}\n"
    )
}

impl Rig for Theirs {
    type Driver = OpenrestyDriver;
    /// As many as anybody wants: what the cases begin with.
    const SPARE_SERVICES: usize = 12;
    const ENDPOINTS_WITHOUT_RELOAD: bool = true;

    fn new() -> Self {
        let (dir, http, program) = (tempfile::Builder::new().prefix("bc").tempdir().unwrap(), free_addr(), program());
        let folder = dir.path();
        for name in ["conf.d", "run"] {
            std::fs::create_dir(folder.join(name)).unwrap();
        }
        // As they have it after a first start of ours.
        let table = Table { version: 1, set: Desired::default() };
        let ours = render(&settings(folder, http, &program).config, &table, room(&table), 1).unwrap();
        std::fs::write(folder.join("conf.d/backchat.conf"), ours.text).unwrap();
        std::fs::write(folder.join("nginx.conf"), theirs(folder, &program)).unwrap();
        let mut command = Command::new(&program.program);
        command.arg("-c").arg(folder.join("nginx.conf")).arg("-e").arg(folder.join("their.log"));
        command.args(["-g", "daemon off;"]).process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (socket, deadline) = (folder.join("run/nginx.sock"), Instant::now() + LONG);
        // It listens before it has written who it is.
        let says_who = || std::fs::read_to_string(folder.join("nginx.pid")).is_ok_and(|pid| !pid.is_empty());
        let answers = || std::os::unix::net::UnixStream::connect(&socket).is_ok() && is_master(child.id());
        while !(answers() && says_who()) {
            assert!(Instant::now() < deadline, "their openresty does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { folder: dir, http, program, child }
    }

    fn driver(&self) -> OpenrestyDriver {
        OpenrestyDriver::attached(settings(self.folder.path(), self.http, &self.program)).unwrap()
    }

    fn http(&self) -> SocketAddr {
        self.http
    }

    fn kill(&self) {
        kill_process_group(pid(self.child.id()), Signal::KILL).unwrap();
    }

    fn reload(&self) {
        kill_process(pid(self.child.id()), Signal::HUP).unwrap();
    }

    fn processes(&self) -> Vec<u32> {
        serving(self.child.id())
    }

    fn edit(&self) {
        edit(&self.include());
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.include()).unwrap()
    }

    async fn tamper(&self, service: &str, gone: &str, reweighted: &str) {
        tamper(&self.folder.path().join("run/nginx.sock"), (service, gone, reweighted)).await;
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        // It fails where all have ended.
        let _ = kill_process_group(pid(self.child.id()), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Ruled for Theirs {
    fn ruled(&self, policies: Policies) -> OpenrestyDriver {
        let mut settings = settings(self.folder.path(), self.http, &self.program);
        settings.config.policies = policies;
        OpenrestyDriver::attached(settings).unwrap()
    }
}

impl Logs for Theirs {
    fn folder(&self) -> PathBuf {
        self.folder.path().into()
    }

    fn logging(&self, access: AccessLog) -> OpenrestyDriver {
        let mut settings = settings(self.folder.path(), self.http, &self.program);
        settings.config.access = Some(access);
        OpenrestyDriver::attached(settings).unwrap()
    }
}

impl Hipache for Theirs {
    const COLUMN: &'static str = super::OpenrestyRig::COLUMN;

    fn hipache(&self, policies: Policies, access: Option<AccessLog>) -> OpenrestyDriver {
        let mut settings = settings(self.folder.path(), self.http, &self.program);
        settings.config = ConfigSettings { policies, access, ..settings.config.mannered(Manners::Hipache) };
        OpenrestyDriver::attached(settings).unwrap()
    }

    fn room(&self) -> PathBuf {
        self.folder.path().into()
    }
}
