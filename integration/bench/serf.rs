//! The side that backchat replaces: Serf, an event handler that edits haproxy.cfg, and a reload for every change.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use backchat::demo::{Child, Plane, plane, ports};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    judge::Judge,
    side::{LIMIT, Seat, Side, haproxy},
};

/// Serf beside HAProxy.
pub(crate) struct Serf {
    front: SocketAddr,
    gossip: SocketAddr,
    judge: Judge,
    log: PathBuf,
    // Dropped in this order: the agent first, so that it does not reload a HAProxy that is gone.
    _agent: Child,
    _haproxy: Child,
}

/// What a user of Serf has in front: Debian's defaults, a frontend, and a backend for each service.
fn config(front: SocketAddr, socket: &Path, services: &[&str]) -> String {
    let route = |service: &&str| {
        Some(format!("    use_backend {service} if {{ hdr(host) -i {host} }}\n", host = Seat::host(service)?))
    };
    let backend = |service: &&str| format!("backend {service}\n    balance roundrobin\n");
    let routes = services.iter().filter_map(route).collect::<Vec<_>>().concat();
    let backends = services.iter().map(backend).collect::<Vec<_>>().concat();
    let default = services.first().map(|service| format!("    default_backend {service}\n")).unwrap_or_default();
    let socket = socket.display();
    format!(
        "global
    stats socket {socket} mode 600 level admin
    log stdout format raw local0 err
defaults
    mode http
    option httplog
    option dontlognull
    timeout connect 5s
    timeout client 50s
    timeout server 50s
frontend http
    bind {front}
{routes}{default}{backends}"
    )
}

impl Side for Serf {
    const NAME: &'static str = "Serf";

    fn program() -> &'static Path {
        Path::new("serf")
    }

    async fn start(folder: &Path, services: &[&str]) -> Result<Self> {
        let (front, gossip, rpc) = (ports::free()?, ports::free()?, ports::free()?);
        let [socket, cfg, pidfile, log] =
            [plane::haproxy::SOCKET, "haproxy.cfg", "haproxy.pid", "balancer.log"].map(|name| folder.join(name));
        fs::write(&cfg, config(front, &socket, services))?;
        let args = ["-W", "-f"].map(PathBuf::from).into_iter().chain([cfg.clone(), "-p".into(), pidfile.clone()]);
        let haproxy = Child::start(&haproxy(), args, &folder.join("haproxy.log"))?;
        plane::haproxy::wait(&socket, LIMIT, |_| true).await.context("HAProxy did not start")?;
        let handler = handler(folder, &cfg, &pidfile)?;
        let args = [
            "agent".to_owned(),
            "-node=proxy".into(),
            format!("-bind={gossip}"),
            format!("-rpc-addr={rpc}"),
            "-tag=role=lb".into(),
            format!("-event-handler={}", handler.display()),
        ];
        let agent = Child::start(Self::program(), args, &log)?;
        until_running(&log).await?;
        let judge = Judge::Of(Plane::new(plane::Driver::Haproxy, folder.to_owned()));
        Ok(Self { front, gossip, judge, log, _agent: agent, _haproxy: haproxy })
    }

    fn front(&self) -> SocketAddr {
        self.front
    }

    fn judge(&self) -> &Judge {
        &self.judge
    }

    fn agent(&self, seat: &Seat) -> Result<Vec<String>> {
        let Seat { name, service, web, gossip } = seat;
        Ok(vec![
            "agent".to_owned(),
            format!("-node={name}"),
            format!("-bind={gossip}"),
            format!("-rpc-addr={}", ports::free()?),
            format!("-join={}", self.gossip),
            format!("-tag=role={service}"),
            format!("-tag=port={}", web.port()),
        ])
    }

    /// SIGINT is what Serf takes as a leave.
    fn leave(&self, agent: &Child) -> Result<()> {
        let pid = i32::try_from(agent.pid()).ok().and_then(Pid::from_raw).context("a process id")?;
        Ok(kill_process(pid, Signal::INT)?)
    }

    /// Out of the balancer's own log: each event names one member, and a question by `serf members` takes too long
    /// to be asked every millisecond.
    async fn known(&self) -> Result<usize> {
        let log = fs::read_to_string(&self.log)?;
        let mut known = BTreeSet::new();
        for line in log.lines() {
            let Some((_, event)) = line.split_once("EventMember") else { continue };
            let (kind, name) = event.split_once(": ").unwrap_or_default();
            let name = name.split(' ').next().unwrap_or_default();
            match kind {
                "Join" if name != "proxy" => _ = known.insert(name),
                "Leave" | "Failed" => _ = known.remove(name),
                _ => {}
            }
        }
        Ok(known.len())
    }
}

/// Waits until Serf says that it runs: who joins before is refused and gives up.
async fn until_running(log: &Path) -> Result<()> {
    let begun = Instant::now();
    while !fs::read_to_string(log)?.contains("Serf agent running!") {
        ensure!(begun.elapsed() < LIMIT, "the balancer's Serf did not start: {}", fs::read_to_string(log)?);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// A copy of the handler that knows its file: Serf passes the environment on, but a wrapper says it plainly.
fn handler(folder: &Path, cfg: &Path, pidfile: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;

    let script = include_str!("serf-handler.sh");
    let set = format!("#!/bin/sh\nBENCH_CFG={}\nBENCH_PIDFILE={}\n", cfg.display(), pidfile.display());
    let path = folder.join("handler.sh");
    fs::write(&path, script.replacen("#!/bin/sh\n", &set, 1))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
    Ok(path)
}
