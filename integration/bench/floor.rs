//! The floor: how long the driver takes to push endpoints, against the same commands sent raw over the socket.

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use backchat::{
    demo::{Web, child::Folder, plane::haproxy, ports},
    drivers::{self, Managed},
};
use backchat_contract::{Driver, Mode, Policies, Step};
use backchat_haproxy::HaproxyDriver;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::{figures::Figures, load::Load, side::haproxy};

/// Raw and driven, each repetition on a HAProxy of its own.
pub(crate) async fn measure(load: Load, rounds: usize) -> Result<(Figures, Figures)> {
    // One server answers the checks of all of them: on Linux every address of 127.0.0.0/8 is this host.
    let web = Web::start((Ipv4Addr::UNSPECIFIED, 0).into(), "floor").await?;
    let (mut raw, mut driven) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (took, commands) = Box::pin(drive(load, web.addr().port())).await?;
        driven.push(took);
        raw.push(Box::pin(send(load, &commands)).await?);
    }
    let Load { endpoints, backends } = load;
    eprintln!("    floor  {endpoints} endpoints over {backends} backends: raw {raw:.2?}, driver {driven:.2?}");
    Ok((Figures::seconds(&raw), Figures::seconds(&driven)))
}

/// Observe, plan and apply; and the commands that the plan came to.
async fn drive(load: Load, port: u16) -> Result<(Duration, Vec<String>)> {
    let (mut stage, desired) = (Stage::new(load).await?, load.desired(load.endpoints, port)?);
    let begun = Instant::now();
    let observed = stage.driver.observe().await?;
    let Step::Change(plan) = stage.driver.plan(&desired, &observed, Mode::default()) else {
        bail!("no plan for {load:?}");
    };
    let planned = begun.elapsed();
    // Showing the plan is not part of the push.
    let view = stage.driver.view(&plan);
    let begun = Instant::now();
    let report = stage.driver.apply(plan).await?;
    let took = planned + begun.elapsed();
    ensure!(view.reload.is_none() && report.refused.is_empty(), "reload {:?}, {:?}", view.reload, report.refused);
    stage.end(load).await?;
    Ok((took, view.commands))
}

/// The same commands, one after another, each when the last was answered.
async fn send(load: Load, commands: &[String]) -> Result<Duration> {
    let stage = Stage::new(load).await?;
    let mut session = UnixStream::connect(&stage.socket).await?;
    let mut answer = Vec::new();
    exchange(&mut session, "prompt", &mut answer).await?;
    let begun = Instant::now();
    for command in commands {
        exchange(&mut session, command, &mut answer).await?;
    }
    let took = begun.elapsed();
    drop(session);
    stage.end(load).await?;
    Ok(took)
}

async fn exchange(session: &mut UnixStream, command: &str, answer: &mut Vec<u8>) -> Result<()> {
    session.write_all(format!("{command}\n").as_bytes()).await?;
    answer.clear();
    while !answer.ends_with(b"\n> ") {
        ensure!(session.read_buf(answer).await? > 0, "HAProxy closed the connection on {command:?}");
    }
    Ok(())
}

/// A HAProxy that has all backends and no endpoint yet.
struct Stage {
    driver: HaproxyDriver,
    socket: PathBuf,
    _folder: Folder,
}

impl Stage {
    async fn new(load: Load) -> Result<Self> {
        let folder = Folder::new("backchat-floor-")?;
        let run_dir = folder.path().to_owned();
        let managed = Managed {
            program: &haproxy(),
            listen: &[ports::free()?],
            tcp_listen: &[],
            policies: &Policies::default(),
            tls_listen: &[],
            template: None,
            access: None,
            manners: backchat_contract::Manners::Ours,
            run_dir: &run_dir,
            rehearsal: false,
        };
        let mut driver = drivers::haproxy(&managed, 32)?;
        driver.ensure().await?;
        let empty = load.desired(0, 0)?;
        loop {
            let observed = driver.observe().await?;
            match driver.plan(&empty, &observed, Mode::default()) {
                Step::Converged => break,
                Step::Waiting { recheck, .. } => tokio::time::sleep(recheck).await,
                Step::Change(plan) => _ = driver.apply(plan).await?,
            }
        }
        Ok(Self { driver, socket: run_dir.join("haproxy.sock"), _folder: folder })
    }

    /// Checks that HAProxy has what was pushed, and ends it.
    async fn end(mut self, load: Load) -> Result<()> {
        let shown = haproxy::servers(&self.socket).await?.len();
        ensure!(shown == load.endpoints, "HAProxy has {shown} servers of {}", load.endpoints);
        self.driver.stop(Duration::from_secs(1)).await.context("stop HAProxy")
    }
}
