//! One way to keep a load balancer in step with who is there: Serf with a script, or backchat. The rows measure all alike.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use backchat::demo::{Child, Web, child::Folder, ports};

use crate::judge::Judge;

/// How long anything may take before the benchmark gives up on it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A running balancer of one side: its gossip, and its data plane.
pub(crate) trait Side: Sized {
    /// What the table calls it.
    const NAME: &'static str;

    /// The program of its agents.
    fn program() -> &'static Path;

    /// Starts a balancer with nothing behind it, in this folder, for these services: the first takes every request
    /// whose host belongs to none of them.
    async fn start(folder: &Path, services: &[&str]) -> Result<Self>;

    /// Where it takes requests.
    fn front(&self) -> SocketAddr;

    /// Who sees what it runs.
    fn judge(&self) -> &Judge;

    /// What an agent is told that joins the balancer and announces this seat's web server.
    fn agent(&self, seat: &Seat) -> Result<Vec<String>>;

    /// Tells an agent to leave gracefully.
    fn leave(&self, agent: &Child) -> Result<()>;

    /// How many living members the balancer knows, itself not counted.
    async fn known(&self) -> Result<usize>;
}

/// A balancer, the folder it lives in, and one member that stays, so that there is always an answer.
pub(crate) struct World<S> {
    pub(crate) side: S,
    base: Option<Member>,
    // Last, for it takes what is left of the processes with it.
    folder: Folder,
}

/// What of a member outlives its restart.
pub(crate) struct Seat {
    pub(crate) name: String,
    pub(crate) service: String,
    /// Where its web server listens.
    pub(crate) web: SocketAddr,
    /// Where its agent does.
    pub(crate) gossip: SocketAddr,
}

impl Seat {
    /// A new member of a service.
    pub(crate) fn of(service: &str, name: &str) -> Result<Self> {
        Self::at(service, name, ports::free()?)
    }

    /// A new member whose web server is there already.
    fn at(service: &str, name: &str, web: SocketAddr) -> Result<Self> {
        Ok(Self { name: name.to_owned(), service: service.to_owned(), web, gossip: ports::free()? })
    }

    /// The host of a service's requests; none where there is but the one, which takes all.
    pub(crate) fn host(service: &str) -> Option<String> {
        (service != ALONE).then(|| format!("{service}.test"))
    }
}

/// An agent and the web server beside it.
pub(crate) struct Member {
    pub(crate) agent: Child,
    pub(crate) web: Web,
    pub(crate) seat: Seat,
}

/// The service where there is but one.
const ALONE: &str = "web";

impl<S: Side> World<S> {
    /// A balancer alone.
    pub(crate) async fn empty() -> Result<Self> {
        Self::with(&[ALONE]).await
    }

    /// A balancer of these services, without a member.
    pub(crate) async fn with(services: &[&str]) -> Result<Self> {
        let folder = Folder::new("backchat-bench-")?;
        let side = S::start(folder.path(), services).await;
        let side = side.with_context(|| format!("start the balancer of {}", S::NAME))?;
        Ok(Self { side, base: None, folder })
    }

    /// A balancer of one service and the member that stays.
    pub(crate) async fn new() -> Result<Self> {
        let mut world = Self::empty().await?;
        let base = world.member("base").await?;
        world.until_in(&base).await?;
        world.base = Some(base);
        Ok(world)
    }

    /// A new web server and its agent, just started.
    pub(crate) async fn member(&self, name: &str) -> Result<Member> {
        let web = self.web(name).await?;
        self.agent(name, web)
    }

    /// The agent of a web server, just started.
    pub(crate) fn agent(&self, name: &str, web: Web) -> Result<Member> {
        self.seated(Seat::at(ALONE, name, web.addr())?, web)
    }

    /// A web server and its agent at a seat, just started.
    pub(crate) async fn start(&self, seat: Seat) -> Result<Member> {
        let web = Web::start(seat.web, &seat.name).await;
        let web = web.with_context(|| format!("start web server {} at {}", seat.name, seat.web))?;
        self.seated(seat, web)
    }

    fn seated(&self, seat: Seat, web: Web) -> Result<Member> {
        let agent = self.agent_at(&seat, &[])?;
        Ok(Member { agent, web, seat })
    }

    /// The agent of a seat alone, just started: it runs this command, where there is one.
    pub(crate) fn agent_at(&self, seat: &Seat, command: &[String]) -> Result<Child> {
        let mut args = self.side.agent(seat)?;
        if !command.is_empty() {
            args.push("--".into());
            args.extend_from_slice(command);
        }
        Ok(Child::start(S::program(), args, &self.path(&format!("{}.log", seat.name)))?)
    }

    /// A file of this world.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A web server that answers `name`.
    pub(crate) async fn web(&self, name: &str) -> Result<Web> {
        Web::start(([127, 0, 0, 1], 0).into(), name).await.with_context(|| format!("start web server {name}"))
    }

    /// How long until requests go to the member.
    pub(crate) async fn until_in(&self, member: &Member) -> Result<Duration> {
        self.until(member, true).await
    }

    /// How long until none go there.
    pub(crate) async fn until_out(&self, member: &Member) -> Result<Duration> {
        self.until(member, false).await
    }

    async fn until(&self, member: &Member, takes: bool) -> Result<Duration> {
        self.shows(member.web.addr(), takes, Duration::from_millis(1)).await.with_context(|| member.agent.last_words(5))
    }

    /// How long until requests go to this place, or no longer do; with so much time between two looks. A data plane that
    /// does not answer is asked again: it may be starting or reloading.
    pub(crate) async fn shows(&self, web: SocketAddr, takes: bool, look: Duration) -> Result<Duration> {
        let (begun, judge) = (Instant::now(), self.side.judge());
        while !judge.shows(web, takes).await.unwrap_or(false) {
            let (side, place) = (S::NAME, if takes { "into" } else { "out of" });
            ensure!(begun.elapsed() < LIMIT, "{side}: {web} did not get {place} {judge}");
            tokio::time::sleep(look).await;
        }
        Ok(begun.elapsed())
    }
}

impl<S> World<S> {
    /// Ends the member that stays and leaves the rest to the folder.
    pub(crate) async fn end(mut self) -> Result<()> {
        if let Some(base) = self.base.take() {
            base.agent.stop(Duration::from_secs(1)).await?;
        }
        drop(self.side);
        drop(self.folder);
        Ok(())
    }
}

/// The HAProxy to use on both sides: `BACKCHAT_HAPROXY`, or the first on the PATH.
pub(crate) fn haproxy() -> PathBuf {
    std::env::var_os("BACKCHAT_HAPROXY").map_or_else(|| "haproxy".into(), PathBuf::from)
}
