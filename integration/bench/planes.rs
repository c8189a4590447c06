//! Rolling restarts on nginx and OpenResty; and for nginx the floor beneath its keep-alive clients.
//!
//! nginx has each of these changes by a reload, and closes the idle connections of its clients at each: a request that
//! was sent in that very moment fails, where its client never sends one again. The floor is an nginx whose file stays
//! as it is, with the same services and clients, reloaded by hand as often and within the same time.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use backchat::{
    demo::{Counts, Web, child::Folder, plane::nginx, ports},
    drivers::{self, Managed},
    model::{Desired, Endpoint, EndpointState, Route, Service, Weight},
};
use backchat_contract::Policies;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    drive,
    ours::{Backchat, Nginx, Openresty},
    reload,
    rolling::{MEMBERS, Rolled, SERVICES, clients, failed, measure, roll_all, sum},
    side::{LIMIT, Seat},
    table::{Goal, Row},
};

/// So many restarts on each.
pub(crate) async fn rows(restarts: usize) -> Result<Vec<Row>> {
    let (on_nginx, reloads) = Box::pin(restarts_on_nginx(restarts)).await?;
    let floor = Box::pin(bare(reloads, on_nginx.took)).await?;
    let on_openresty = Box::pin(measure::<Backchat<Openresty>>(restarts)).await?;
    let what = |plane: &str, rolled: &Rolled, how: &str, counts: &Counts| {
        format!("{plane}: failed requests over {} rolling restarts, {how}, of {}", rolled.restarts, counts.sent)
    };
    let alone = |plane: &str, rolled: &Rolled, how: &str, counts: &Counts| {
        Row::alone(what(plane, rolled, how, counts), failed(counts), Goal::Zero)
    };
    let kept = what("nginx", &on_nginx, &format!("keep-alive ({reloads} reloads)"), &on_nginx.kept);
    Ok(vec![
        alone("nginx", &on_nginx, "fresh connections", &on_nginx.fresh),
        Row::new(kept, failed(&floor), failed(&on_nginx.kept), Goal::AtMost(1.0)),
        alone("OpenResty", &on_openresty, "fresh connections", &on_openresty.fresh),
        alone("OpenResty", &on_openresty, "keep-alive", &on_openresty.kept),
    ])
}

/// And how many reloads that took.
async fn restarts_on_nginx(restarts: usize) -> Result<(Rolled, u64)> {
    let (rolled, world) = roll_all::<Backchat<Nginx>>(restarts).await?;
    let running = nginx::running(world.side.run_dir()).await?;
    world.end().await?;
    let reloads = running.generation.parse::<u64>()?.saturating_sub(1);
    Ok((rolled, reloads))
}

/// What fails of the keep-alive clients while nobody leaves or comes, but for nginx's workers.
async fn bare(reloads: u64, within: Duration) -> Result<Counts> {
    let (folder, front) = (Folder::new("backchat-bare-")?, ports::free()?);
    let managed = Managed {
        program: &reload::nginx(),
        listen: &[front],
        tcp_listen: &[],
        policies: &Policies::default(),
        tls_listen: &[],
        template: None,
        access: None,
        manners: backchat_contract::Manners::Ours,
        run_dir: folder.path(),
        rehearsal: false,
    };
    let mut driver = drivers::nginx(&managed)?;
    let (desired, _webs) = services().await?;
    drive::converge(&mut driver, &desired).await?;
    let kept = loaded(folder.path(), front, reloads, within).await?;
    drive::stop(&mut driver).await?;
    eprintln!("     bare  {reloads} reloads of an nginx that stays as it is: kept {kept}");
    Ok(kept)
}

async fn loaded(run_dir: &Path, front: SocketAddr, reloads: u64, within: Duration) -> Result<Counts> {
    let [fresh, kept] = [clients(front, false)?, clients(front, true)?];
    let (begun, reloads) = (Instant::now(), u32::try_from(reloads)?);
    for number in 1..=reloads {
        reload(run_dir).await?;
        tokio::time::sleep_until((begun + within * number / reloads).into()).await;
    }
    sum(fresh).await;
    Ok(sum(kept).await)
}

/// One reload, until no worker of before takes anything.
async fn reload(run_dir: &Path) -> Result<()> {
    let before = nginx::processes(run_dir)?;
    let master = i32::try_from(before.master).ok().and_then(Pid::from_raw).context("a process id")?;
    kill_process(master, Signal::HUP)?;
    let begun = Instant::now();
    let gone = |now: &[u32]| !now.iter().any(|pid| before.workers.contains(pid));
    while !nginx::processes(run_dir).is_ok_and(|now| gone(&now.workers)) {
        ensure!(begun.elapsed() < LIMIT, "nginx {} did not reload", before.master);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// What the restarts are of, all of it up.
async fn services() -> Result<(Desired, Vec<Web>)> {
    let (mut desired, mut webs) = (Desired::default(), Vec::new());
    for service in SERVICES {
        let mut endpoints = Service::default();
        for number in 0..MEMBERS {
            let name = format!("{service}{number}");
            let web = Web::start(([127, 0, 0, 1], 0).into(), &name).await?;
            let addr = web.addr().try_into()?;
            let endpoint = Endpoint { addr, weight: Weight::DEFAULT, state: EndpointState::Ready };
            endpoints.endpoints.insert(name.parse()?, endpoint);
            webs.push(web);
        }
        desired.services.insert(service.parse()?, endpoints);
        let host = Seat::host(service).context("a host of its own")?;
        desired.routes.insert(Route { host: host.parse()?, path: "/".parse()? }, service.parse()?);
    }
    Ok((desired, webs))
}
