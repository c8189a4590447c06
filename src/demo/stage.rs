//! The demo's stage: one `backchat lb` with its load balancer, and web servers with an agent beside each, all of them real
//! processes of this program on high ports of loopback, with their files in one temporary folder.
//!
//! It sets up, changes and asks; it neither prints nor decides what is shown.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{process::Command, time::Instant};

use super::{Child, Driver, Plane, child::Folder, plane::Processes, ports};

/// How long any one thing may take: far longer than it ever should.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How long a process may take to end that was asked to.
const ENDING: Duration = Duration::from_secs(10);

/// What can go wrong on the stage.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Something could not be started, ended or read.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// Something did not come.
    #[error("{what} did not happen within {PATIENCE:?}; last words:\n{words}")]
    Late {
        /// What was waited for.
        what: String,
        /// The last lines of the process that should have done it.
        words: String,
    },
    /// The traffic's requests could not be made.
    #[error("start the traffic: {0}")]
    Traffic(#[from] axum::http::Error),
}

/// A web server and the agent beside it.
#[derive(Debug)]
pub struct Peer {
    /// The agent's process.
    pub agent: Child,
    /// The web server's process.
    pub web: Child,
    /// Where the web server listens.
    pub addr: SocketAddr,
}

/// The stage. Dropped, it takes everything on it along, the load balancer too.
#[derive(Debug)]
pub struct Stage {
    program: PathBuf,
    driver: Driver,
    lb: Child,
    peers: BTreeMap<String, Peer>,
    front: SocketAddr,
    gossip: SocketAddr,
    // Last: it ends what the others left running.
    folder: Folder,
}

impl Stage {
    /// Starts the balancer and waits until what it drives runs.
    pub async fn new(program: &Path, driver: Driver) -> Result<Self, StageError> {
        let folder = Folder::new("backchat-demo-").map_err(io_error("make a temporary folder"))?;
        let (front, gossip) = (free()?, free()?);
        let lb = start_lb(program, &folder, driver, front, gossip)?;
        let stage = Self { program: program.to_owned(), driver, lb, peers: BTreeMap::new(), front, gossip, folder };
        stage.balancer_answers().await?;
        Ok(stage)
    }

    /// Where the load balancer takes requests.
    pub fn front(&self) -> SocketAddr {
        self.front
    }

    /// Where everything of the stage lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What client commands give to `--admin` to reach the balancer.
    pub fn admin(&self) -> String {
        format!("unix:{}", self.run_dir("proxy").join("admin.sock").display())
    }

    /// The load balancer that it runs.
    pub fn plane(&self) -> Plane {
        Plane::new(self.driver, self.run_dir("proxy"))
    }

    /// The balancer's process.
    pub fn lb(&self) -> &Child {
        &self.lb
    }

    /// The web servers by name.
    pub fn peers(&self) -> &BTreeMap<String, Peer> {
        &self.peers
    }

    /// Starts a web server that answers `name`, waits until it listens, then starts its agent; returns when that was.
    pub async fn join(&mut self, name: &str) -> Result<Instant, StageError> {
        let addr = free()?;
        let args = ["demo-web".to_owned(), format!("--listen={addr}"), format!("--name={name}")];
        let web = self.start(&format!("{name}-web"), args)?;
        until(&format!("{name} listens"), &web, async || tokio::net::TcpStream::connect(addr).await.is_ok()).await?;
        let begun = Instant::now();
        let agent = self.start(name, self.agent_args(name, free()?, addr))?;
        self.peers.insert(name.into(), Peer { agent, web, addr });
        Ok(begun)
    }

    /// What starts an agent on this stage.
    pub fn agent_args(&self, name: &str, gossip: SocketAddr, web: SocketAddr) -> [String; 6] {
        [
            "agent".to_owned(),
            format!("--node={name}"),
            format!("--bind={gossip}"),
            format!("--join={}", self.gossip),
            format!("--service=web:{}", web.port()),
            format!("--run-dir={}", self.run_dir(name).display()),
        ]
    }

    /// SIGTERM to an agent; returns how long it took to end. Its web server ends after it, as beside a service.
    pub async fn leave(&mut self, name: &str) -> Result<Duration, StageError> {
        let Some(mut peer) = self.peers.remove(name) else { return Err(unknown(name)) };
        let begun = Instant::now();
        peer.agent.terminate().map_err(io_error(&format!("stop the agent of {name}")))?;
        let ended = peer.agent.ended(PATIENCE).await.map_err(io_error(&format!("wait for the agent of {name}")))?;
        let took = begun.elapsed();
        if ended.is_none() {
            return Err(late(&format!("the leave of {name}"), &peer.agent));
        }
        peer.web.stop(ENDING).await.map_err(io_error(&format!("stop web server {name}")))?;
        Ok(took)
    }

    /// SIGKILL to a web server and its agent; returns how long the load balancer sent requests there
    /// still.
    pub async fn crash(&mut self, name: &str) -> Result<Duration, StageError> {
        let Some(mut peer) = self.peers.remove(name) else { return Err(unknown(name)) };
        let begun = Instant::now();
        for process in [&mut peer.web, &mut peer.agent] {
            process.kill().map_err(io_error(&format!("kill {name}")))?;
        }
        let out = self.plane().out(peer.addr, PATIENCE).await;
        out.map(|_| begun.elapsed()).ok_or_else(|| late(&format!("{name} out of {}", self.driver), &self.lb))
    }

    /// SIGKILL to the balancer; what it drove stays.
    pub async fn crash_lb(&mut self) -> Result<(), StageError> {
        self.lb.kill().map_err(io_error("kill the lb"))?;
        self.lb.ended(ENDING).await.map_err(io_error("wait for the lb"))?;
        Ok(())
    }

    /// Starts the balancer again on the same folder; returns how long until it knows every member again.
    pub async fn restart_lb(&mut self) -> Result<Duration, StageError> {
        let begun = Instant::now();
        self.lb = start_lb(&self.program, &self.folder, self.driver, self.front, self.gossip)?;
        until("the lb back with all members", &self.lb, async || {
            let shown = self.ask(&["members", "--format=json"]).await.unwrap_or_default();
            let members: serde_json::Value = serde_json::from_str(&shown).unwrap_or_default();
            let alive = |name: &String| {
                let list = members["members"].as_array();
                list.is_some_and(|list| list.iter().any(|m| m["name"] == **name && m["liveness"] == "alive"))
            };
            self.peers.keys().all(alive)
        })
        .await?;
        Ok(begun.elapsed())
    }

    /// What a client command prints at the balancer, whatever its status says of it; an error where it prints nothing.
    pub async fn ask(&self, command: &[&str]) -> Result<String, StageError> {
        let what = format!("backchat {}", command.join(" "));
        let ran = Command::new(&self.program).args(command).arg(format!("--admin={}", self.admin())).output().await;
        let output = ran.map_err(io_error(&what))?;
        if output.stdout.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(StageError::Io { what, source: io::Error::other(said.trim().to_owned()) });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The processes of the load balancer that serve now.
    pub async fn processes(&self) -> Result<Processes, StageError> {
        self.plane().processes().await.map_err(io_error(&format!("find the processes of {}", self.driver)))
    }

    /// Ends everything gracefully: agents, web servers, then the balancer with what it drives.
    pub async fn end(mut self) -> Result<(), StageError> {
        for (name, peer) in std::mem::take(&mut self.peers) {
            let what = format!("stop {name}");
            peer.agent.stop(ENDING).await.map_err(io_error(&what))?;
            peer.web.stop(ENDING).await.map_err(io_error(&what))?;
        }
        self.lb.stop(ENDING).await.map_err(io_error("stop the lb"))?;
        Ok(())
    }

    async fn balancer_answers(&self) -> Result<(), StageError> {
        let ready = async || self.plane().processes().await.is_ok() && self.ask(&["members"]).await.is_ok();
        until(&format!("{}'s start", self.driver), &self.lb, ready).await
    }

    fn run_dir(&self, node: &str) -> PathBuf {
        self.folder.path().join(node)
    }

    fn start(&self, name: &str, args: impl IntoIterator<Item = String>) -> Result<Child, StageError> {
        start(&self.program, &self.folder, name, args)
    }
}

fn start_lb(
    program: &Path,
    folder: &Folder,
    driver: Driver,
    front: SocketAddr,
    gossip: SocketAddr,
) -> Result<Child, StageError> {
    let run_dir = folder.path().join("proxy");
    let args = [
        "lb".to_owned(),
        "--node=proxy".into(),
        format!("--bind={gossip}"),
        format!("--listen={front}"),
        format!("--run-dir={}", run_dir.display()),
    ];
    start(program, folder, "proxy", args.into_iter().map(OsString::from).chain(driver.flags()))
}

fn start<A: AsRef<OsStr>>(
    program: &Path,
    folder: &Folder,
    name: &str,
    args: impl IntoIterator<Item = A>,
) -> Result<Child, StageError> {
    let log = folder.path().join(format!("{name}.log"));
    Child::start(program, args, &log).map_err(io_error(&format!("start {name}")))
}

fn free() -> Result<SocketAddr, StageError> {
    ports::free().map_err(io_error("find a port"))
}

/// Waits for a condition, looking every 5 ms.
async fn until(what: &str, by: &Child, condition: impl AsyncFn() -> bool) -> Result<(), StageError> {
    let begun = Instant::now();
    while !condition().await {
        if begun.elapsed() > PATIENCE {
            return Err(late(what, by));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn late(what: &str, by: &Child) -> StageError {
    StageError::Late { what: what.into(), words: by.last_words(10) }
}

fn unknown(name: &str) -> StageError {
    StageError::Io { what: name.into(), source: io::Error::new(io::ErrorKind::NotFound, "no such web server") }
}

fn io_error(what: &str) -> impl FnOnce(io::Error) -> StageError {
    let what = what.to_owned();
    move |source| StageError::Io { what, source }
}
