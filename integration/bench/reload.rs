//! nginx: a changed endpoint until it is effective, by the driver and by hand, with the very same files.
//!
//! By hand is what a script does that knows the file already: it writes it over, and sends a HUP. The driver looks at
//! what runs, finds what to change, lets nginx check the new file, and makes it durable on top of that. Effective is a
//! change, on both sides and to the same eyes, when the new generation answers and no worker of before takes anything.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use backchat::{
    demo::{
        child::{Folder, children_of},
        ports,
    },
    drivers::{self, Managed},
};
use backchat_contract::{Driver as _, Policies};
use backchat_nginx::NginxDriver;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::{
    drive::{self, Phases},
    figures::Figures,
    load::Load,
    side::LIMIT,
};

/// By hand and by the driver, in turn, each on an nginx of its own.
pub(crate) async fn measure(load: Load, rounds: usize) -> Result<(Figures, Figures)> {
    let (mut ours, theirs) = (Stage::new(load).await?, Stage::new(load).await?);
    let (mut bare, mut driven, mut phases, mut checks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // The first is of a cold cache, on both sides.
    for round in 1..=rounds + 1 {
        let (took, parts) = Box::pin(ours.drive(load, round)).await?;
        let by_hand = theirs.by_hand(&ours).await?;
        let check = theirs.check()?;
        if round > 1 {
            driven.push(took);
            phases.push(parts);
            bare.push(by_hand);
            checks.push(check);
        }
    }
    let Load { endpoints, backends } = load;
    let [bare, driven, checks] = [bare, driven, checks].map(|times| Figures::seconds(&times));
    eprintln!(
        "   reload  {endpoints} endpoints over {backends} backends: bare {}, driver {}: {}, nginx -t alone {}",
        bare.show(),
        driven.show(),
        Phases::show(&phases),
        checks.show()
    );
    ours.end().await?;
    theirs.end().await?;
    Ok((bare, driven))
}

/// The nginx to use on both sides: `BACKCHAT_NGINX`, or the first on the PATH.
pub(crate) fn nginx() -> PathBuf {
    std::env::var_os("BACKCHAT_NGINX").map_or_else(|| "nginx".into(), PathBuf::from)
}

/// An nginx that serves all of it.
struct Stage {
    driver: NginxDriver,
    run_dir: PathBuf,
    front: SocketAddr,
    eyes: Eyes,
    _folder: Folder,
}

impl Stage {
    async fn new(load: Load) -> Result<Self> {
        let (folder, front) = (Folder::new("backchat-floor-")?, ports::free()?);
        let run_dir = folder.path().to_owned();
        let managed = Managed {
            program: &nginx(),
            listen: &[front],
            tcp_listen: &[],
            policies: &Policies::default(),
            template: None,
            access: None,
            manners: backchat_contract::Manners::Ours,
            tls_listen: &[],
            run_dir: &run_dir,
            rehearsal: false,
        };
        let mut driver = drivers::nginx(&managed)?;
        drive::converge(&mut driver, &load.round(0)?).await?;
        let pid = fs::read_to_string(run_dir.join("nginx.pid"))?;
        let eyes = Eyes { master: pid.trim().parse()?, control: run_dir.join("nginx.sock") };
        Ok(Self { driver, run_dir, front, eyes, _folder: folder })
    }

    /// Observe, plan, apply; and what each of them took.
    async fn drive(&mut self, load: Load, round: usize) -> Result<(Duration, Phases)> {
        self.eyes.quiet().await?;
        let (desired, before) = (load.round(round)?, self.eyes.workers());
        let generation = self.eyes.generation().await.context("no generation of before")? + 1;
        // What ends each step of the daemon, and so stands before the next.
        self.driver.observe().await?;
        let begun = Instant::now();
        let phases = drive::step(&mut self.driver, &desired).await?;
        self.eyes.effective(&before, generation).await?;
        Ok((begun.elapsed(), phases))
    }

    /// The file of the other, but for where this one lies and listens, and a HUP.
    async fn by_hand(&self, other: &Self) -> Result<Duration> {
        self.eyes.quiet().await?;
        let text = fs::read_to_string(other.run_dir.join("nginx.conf"))?;
        let text = text.replace(&*other.run_dir.to_string_lossy(), &self.run_dir.to_string_lossy());
        let text = text.replace(&other.front.to_string(), &self.front.to_string());
        let generation = other.eyes.generation().await.context("no generation of the other")?;
        let before = self.eyes.workers();
        let begun = Instant::now();
        fs::write(self.run_dir.join("nginx.conf"), text)?;
        let master = i32::try_from(self.eyes.master).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(master, Signal::HUP)?;
        self.eyes.effective(&before, generation).await?;
        Ok(begun.elapsed())
    }

    /// How long nginx checks the file: a part of what the driver does, and no part of a bare reload.
    fn check(&self) -> Result<Duration> {
        let begun = Instant::now();
        let mut command = Command::new(nginx());
        command.args(["-t", "-q", "-e", "/dev/null", "-c"]).arg(self.run_dir.join("nginx.conf"));
        ensure!(command.status()?.success(), "nginx refuses the file that it runs by");
        Ok(begun.elapsed())
    }

    async fn end(mut self) -> Result<()> {
        drive::stop(&mut self.driver).await
    }
}

/// Who watches an nginx: its workers' titles, and its own word. It shares nothing with the driver.
struct Eyes {
    master: u32,
    control: PathBuf,
}

impl Eyes {
    /// Between two looks.
    const LOOK: Duration = Duration::from_millis(1);

    /// The workers that take requests.
    fn workers(&self) -> Vec<u32> {
        children_of(self.master).into_iter().filter(|pid| takes(*pid)).collect()
    }

    /// Until this generation answers, and none of the workers of before takes anything.
    async fn effective(&self, before: &[u32], generation: u64) -> Result<()> {
        let done = async || !before.iter().any(|pid| takes(*pid)) && self.generation().await == Some(generation);
        self.until("run what it was given", done).await
    }

    /// Until no worker of before is left: what ends beside a measurement is part of neither side.
    async fn quiet(&self) -> Result<()> {
        self.until("end its old workers", async || children_of(self.master) == self.workers()).await
    }

    async fn until(&self, what: &str, done: impl AsyncFn() -> bool) -> Result<()> {
        let begun = Instant::now();
        while !done().await {
            ensure!(begun.elapsed() < LIMIT, "nginx {} did not {what}", self.master);
            tokio::time::sleep(Self::LOOK).await;
        }
        Ok(())
    }

    async fn generation(&self) -> Option<u64> {
        let mut stream = UnixStream::connect(&self.control).await.ok()?;
        stream.write_all(b"GET /generation HTTP/1.0\r\nHost: bench\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        body.split_whitespace().next()?.parse().ok()
    }
}

/// Whether a process is there, and takes new connections.
fn takes(pid: u32) -> bool {
    let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    !title.is_empty() && !String::from_utf8_lossy(&title).contains("is shutting down")
}
