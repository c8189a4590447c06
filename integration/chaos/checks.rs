//! What must be true once all is quiet: everybody sees those who live and nobody else, HAProxy itself first of all, and
//! no process is left over.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use tokio::time::{Instant, sleep};

use super::{
    admin::{get, named},
    load::Tally,
    op::Host,
    plane, processes,
    pulse::Pulse,
    schedule::{BALANCERS, hosts},
    world::{AGAIN, World, names, web_addr},
};

/// How long all may take to settle after the last disturbance: heals are announced every 5 s, workers of before a reload
/// end after 30 s at the latest.
const SETTLED: Duration = Duration::from_secs(60);
/// The same on a machine that stands still now and then.
const SETTLED_SLOWLY: Duration = Duration::from_secs(240);
/// A machine that stood still within this time may do so again.
const LATELY: Duration = Duration::from_secs(10);

/// Waits until everything is as it should be where these web servers run; returns how long that took.
pub(crate) async fn settled(world: &World, webs: &BTreeSet<u8>, pulse: &Pulse) -> Result<Duration> {
    let began = Instant::now();
    loop {
        let limit = if pulse.stalled_since(Instant::now() - LATELY) { SETTLED_SLOWLY } else { SETTLED };
        match look(world, webs).await {
            Ok(()) => return Ok(began.elapsed()),
            Err(why) if began.elapsed() > limit => bail!("not settled within {limit:?}: {why:#}"),
            Err(_) => sleep(AGAIN).await,
        }
    }
}

/// One look; an error says the first thing that is not as it should be.
pub(crate) async fn look(world: &World, webs: &BTreeSet<u8>) -> Result<()> {
    for balancer in 1..=BALANCERS {
        plane_shows(world, balancer, webs).await?;
        balancer_says(world, Host::Balancer(balancer), webs).await?;
    }
    let running: Vec<_> = hosts().filter(|host| runs(*host, webs)).collect();
    for host in &running {
        members(world, *host, &running).await?;
    }
    processes::as_expected(world, webs)
}

/// Every HAProxy's own word alone.
pub(crate) async fn planes_show(world: &World, webs: &BTreeSet<u8>) -> Result<()> {
    for balancer in 1..=BALANCERS {
        plane_shows(world, balancer, webs).await?;
    }
    Ok(())
}

/// Whether a host's daemon should run.
pub(crate) fn runs(host: Host, webs: &BTreeSet<u8>) -> bool {
    match host {
        Host::Balancer(_) => true,
        Host::Web(number) => webs.contains(&number),
    }
}

/// HAProxy's own word.
async fn plane_shows(world: &World, balancer: u8, webs: &BTreeSet<u8>) -> Result<()> {
    let shown = plane::shown(world, balancer).await?;
    for web in webs.iter().copied().map(Host::Web) {
        let Some(server) = shown.get(&web.to_string()) else { bail!("lb{balancer}: HAProxy has no {web}") };
        ensure!(server.addr == web_addr(web), "lb{balancer}: HAProxy has {web} at {}", server.addr);
        ensure!(server.takes_requests, "lb{balancer}: HAProxy sends no requests to {web}");
    }
    let wanted = names(webs);
    let odd: Vec<_> = shown.keys().filter(|name| !wanted.contains(*name)).collect();
    ensure!(odd.is_empty(), "lb{balancer}: HAProxy still has {odd:?}");
    Ok(())
}

/// What `lb` says it does.
async fn balancer_says(world: &World, host: Host, webs: &BTreeSet<u8>) -> Result<()> {
    let status = get(world, host, "/v1/status").await?;
    for (field, wanted) in [("synced", true), ("converged", true), ("up", true)] {
        ensure!(status[field] == wanted, "{host}: status says {field} is {}", status[field]);
    }
    for field in ["held", "rejections"] {
        ensure!(status[field].as_array().is_some_and(Vec::is_empty), "{host}: {field}: {}", status[field]);
    }
    for field in ["error", "blocked"] {
        ensure!(status[field].is_null(), "{host}: {field}: {}", status[field]);
    }
    let answer = get(world, host, "/v1/services").await?;
    let endpoints = &answer["services"][0]["endpoints"];
    let all = named(endpoints, |_| true);
    let ready = named(endpoints, |e| e["live"] == "ready" && e["desired"] == "ready" && e["down"] == false);
    ensure!(all == names(webs) && ready == all, "{host}: /v1/services shows {all:?}, of them ready {ready:?}");
    Ok(())
}

/// Who is alive in a daemon's eyes.
async fn members(world: &World, host: Host, running: &[Host]) -> Result<()> {
    let answer = get(world, host, "/v1/members").await?;
    let alive = named(&answer["members"], |member| member["liveness"] == "alive");
    let wanted: BTreeSet<_> = running.iter().map(ToString::to_string).collect();
    ensure!(alive == wanted, "{host} sees {alive:?} alive, not {wanted:?}");
    Ok(())
}

/// While it was quiet, every balancer's traffic reached every web server and nobody else.
pub(crate) fn reached(tally: &Tally, webs: &BTreeSet<u8>) -> Result<()> {
    for balancer in 1..=BALANCERS {
        let here = tally.answers.iter().filter(|((number, _), _)| *number == balancer);
        let by: BTreeMap<_, _> = here.map(|((_, web), count)| (web.clone(), count)).collect();
        let wanted = names(webs);
        ensure!(by.keys().eq(wanted.iter()), "lb{balancer}: requests reached {by:?}, not {wanted:?}");
    }
    Ok(())
}
