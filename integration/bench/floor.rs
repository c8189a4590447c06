//! The floor: how long the driver takes to push endpoints, against the same commands sent raw over the socket.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use backchat::{
    demo::{Web, child::Folder, plane, ports},
    drivers::{self, Managed},
    model::{Desired, Endpoint, EndpointAddr, EndpointState, Service, Weight},
};
use backchat_contract::{Driver, Mode, Step};
use backchat_haproxy::HaproxyDriver;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::{figures::Figures, side::haproxy};

/// So many endpoints over so many backends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) endpoints: usize,
    pub(crate) backends: usize,
}

/// Raw and driven, each repetition on a HAProxy of its own.
pub(crate) async fn measure(load: Load, rounds: usize) -> Result<(Figures, Figures)> {
    // One server answers the checks of all of them: on Linux every address of 127.0.0.0/8 is this host.
    let web = Web::start((Ipv4Addr::UNSPECIFIED, 0).into(), "floor").await?;
    let (mut raw, mut driven) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (took, commands) = Box::pin(drive(load, web.addr().port())).await?;
        driven.push(took);
        raw.push(send(load, &commands).await?);
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
        let managed =
            Managed { program: &haproxy(), listen: &[ports::free()?], template: None, spares: 32, run_dir: &run_dir };
        let mut driver = drivers::managed(&managed)?;
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
        let shown = plane::servers(&self.socket).await?.len();
        ensure!(shown == load.endpoints, "HAProxy has {shown} servers of {}", load.endpoints);
        self.driver.stop(Duration::from_secs(1)).await.context("stop HAProxy")
    }
}

impl Load {
    /// The backends with this many endpoints shared out among them.
    fn desired(self, endpoints: usize, port: u16) -> Result<Desired> {
        let mut services = BTreeMap::new();
        for backend in 0..self.backends {
            services.insert(format!("service{backend}").parse()?, Service::default());
        }
        let mut desired = Desired { services, routes: BTreeMap::new() };
        for number in 0..endpoints {
            let service = desired.services.get_mut(&format!("service{}", number % self.backends).parse()?);
            let ip = Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + u32::try_from(number)?);
            let addr = EndpointAddr::try_from(SocketAddr::from((ip, port)))?;
            let endpoint = Endpoint { addr, weight: Weight::DEFAULT, state: EndpointState::Ready };
            let endpoints = &mut service.context("a backend just made")?.endpoints;
            endpoints.insert(format!("node{number}").parse()?, endpoint);
        }
        Ok(desired)
    }
}
