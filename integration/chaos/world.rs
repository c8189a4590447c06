//! The hosts and what runs on them: `lb` with its HAProxy, or an agent beside a web server; real processes, each in the
//! namespace of its host. It starts and ends them, and knows nothing of why.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, ensure};
use backchat::demo::{Child, child::Folder};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use super::{
    namespaces::{Names, address},
    op::Host,
    schedule::{BALANCERS, hosts},
};

/// How long a process may take to start, to end, or to be seen: far beyond what it needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long a leaver waits for the balancers: longer than any of them is ever away here.
const DRAIN: &str = "--drain-timeout=20s";
/// How long one that comes and goes is kept out at most: shorter than what may take to settle.
const HOLD_DOWN: &str = "--hold-down=20s";
/// How soon a condition is looked at again.
pub(crate) const AGAIN: Duration = Duration::from_millis(50);

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct World {
    /// The network it runs on.
    pub(crate) names: Names,
    program: PathBuf,
    hosts: BTreeMap<Host, Mutex<Processes>>,
    // Last: it takes every process along whose command line names it, HAProxy too.
    folder: Folder,
}

/// What we started on a host.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    /// The agent, or `lb`.
    pub(crate) daemon: Option<Child>,
    /// The web server.
    pub(crate) web: Option<Child>,
}

impl World {
    /// A world in which nothing runs yet.
    pub(crate) fn new(names: Names, program: PathBuf) -> io::Result<Self> {
        let folder = Folder::new("bc-chaos-")?;
        let hosts = hosts().map(|host| (host, Mutex::default())).collect();
        let world = Self { names, program, hosts, folder };
        let key = world.key();
        let made = std::process::Command::new(&world.program).args(["keygen", "--out"]).arg(&key).status()?;
        if made.success() { Ok(world) } else { Err(io::Error::other("backchat keygen failed")) }
    }

    /// What runs on a host, for whoever acts on it now.
    pub(crate) async fn processes(&self, host: Host) -> MutexGuard<'_, Processes> {
        self.hosts[&host].lock().await
    }

    /// Whether a host's daemon was started and not ended by us. While somebody acts on the host: no.
    pub(crate) fn runs(&self, host: Host) -> bool {
        self.hosts[&host].try_lock().is_ok_and(|processes| processes.daemon.is_some())
    }

    /// Where everything lies.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A daemon's run folder.
    pub(crate) fn run_dir(&self, host: Host) -> PathBuf {
        self.folder.path().join(host.to_string())
    }

    /// HAProxy's runtime socket.
    pub(crate) fn socket(&self, balancer: u8) -> PathBuf {
        self.run_dir(Host::Balancer(balancer)).join("haproxy.sock")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// Starts a host's daemon.
    pub(crate) fn start_daemon(&self, host: Host) -> io::Result<Child> {
        let mut args = match host {
            Host::Balancer(_) => {
                vec!["lb".into(), "--on-exit=keep".into(), HOLD_DOWN.into(), format!("--listen={}:80", address(host))]
            }
            Host::Web(_) => vec!["agent".into(), "--service=web:8080".into(), DRAIN.into()],
        };
        if let (Host::Balancer(_), Some(haproxy)) = (host, std::env::var_os("BACKCHAT_HAPROXY")) {
            args.push(format!("--haproxy={}", haproxy.to_string_lossy()));
        }
        let seeds = (1..=BALANCERS).map(Host::Balancer).filter(|seed| *seed != host);
        args.extend(seeds.map(|seed| format!("--join={}:7946", address(seed))));
        args.extend([
            format!("--node={host}"),
            format!("--bind={}:7946", address(host)),
            format!("--run-dir={}", self.run_dir(host).display()),
            format!("--key-file={}", self.key().display()),
        ]);
        if remembers(host) {
            args.push(format!("--data-dir={}", self.run_dir(host).join("data").display()));
        }
        if runs_service(host) {
            args.extend(["--restart=on-failure".into(), "--".into(), self.program.display().to_string()]);
            args.extend(web_args(host));
            args.push("--kept".into());
        }
        self.start(host, &host.to_string(), args)
    }

    /// Starts a host's web server beside its agent, and waits until it listens.
    pub(crate) async fn start_web(&self, host: Host) -> Result<Child> {
        let web = self.start(host, &format!("{host}.http"), web_args(host).into())?;
        let listens = async || tokio::net::TcpStream::connect(web_addr(host)).await.is_ok();
        until(&format!("{host}'s web server listens"), PATIENCE, listens).await?;
        Ok(web)
    }

    fn start(&self, host: Host, name: &str, args: Vec<String>) -> io::Result<Child> {
        let before = ["netns", "exec", &self.names.of(host), &self.program.display().to_string()].map(String::from);
        Child::start("ip".as_ref(), before.into_iter().chain(args), &self.folder.path().join(format!("{name}.log")))
    }

    /// The last lines of every log, HAProxy's too.
    pub(crate) fn last_words(&self, lines: usize) -> String {
        self.logs().iter().map(|log| tail(log, lines)).collect::<Vec<_>>().join("\n")
    }

    /// Copies every log into a folder.
    pub(crate) fn keep_logs(&self, into: &Path) -> io::Result<()> {
        fs::create_dir_all(into)?;
        for log in self.logs() {
            let name = log.strip_prefix(self.folder()).unwrap_or(&log).to_string_lossy().replace('/', ".");
            fs::copy(&log, into.join(name))?;
        }
        Ok(())
    }

    fn logs(&self) -> Vec<PathBuf> {
        let daemons = hosts().map(|host| self.folder().join(format!("{host}.log")));
        let planes = (1..=BALANCERS).map(|number| self.run_dir(Host::Balancer(number)).join("haproxy.log"));
        daemons.chain(planes).filter(|log| log.exists()).collect()
    }
}

/// Whether a host's daemon has a data folder: every other one.
fn remembers(host: Host) -> bool {
    let (Host::Balancer(number) | Host::Web(number)) = host;
    number % 2 == 0
}

/// Whether a host's agent runs the web server, as its child: every third does.
pub(crate) fn runs_service(host: Host) -> bool {
    matches!(host, Host::Web(number) if number % 3 == 0)
}

fn web_args(host: Host) -> [String; 3] {
    ["demo-web".into(), format!("--listen={}", web_addr(host)), format!("--name={host}")]
}

/// Where a host's web server listens.
pub(crate) fn web_addr(host: Host) -> SocketAddr {
    SocketAddr::from((address(host), 8080))
}

/// The names of these web servers.
pub(crate) fn names(webs: &BTreeSet<u8>) -> BTreeSet<String> {
    webs.iter().map(|web| Host::Web(*web).to_string()).collect()
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, limit: Duration, condition: impl AsyncFn() -> bool) -> Result<()> {
    let began = Instant::now();
    while !condition().await {
        ensure!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(AGAIN).await;
    }
    Ok(())
}

fn tail(log: &Path, lines: usize) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let all: Vec<_> = text.lines().collect();
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    format!("--- {name}\n{}", all[all.len().saturating_sub(lines)..].join("\n"))
}
