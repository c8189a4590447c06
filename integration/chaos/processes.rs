//! The processes of the world, as the kernel counts them: how many run on each host, what each uses, its folder too, and
//! that nobody left a dead one behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use backchat::demo::child::parent_of;

use super::{
    checks::runs,
    folders::holdings,
    growth::{Growth, Usage},
    op::Host,
    schedule::hosts,
    world::{World, runs_service},
};

/// On each host as many processes as there should be: `lb`, HAProxy's master and worker; an agent and a web server, and
/// between them their keeper where one runs the other. And no zombies.
pub(crate) fn as_expected(world: &World, webs: &BTreeSet<u8>) -> Result<()> {
    let running = running(world)?;
    for host in hosts() {
        let wanted = match host {
            Host::Balancer(_) => 3,
            Host::Web(_) if !runs(host, webs) => 0,
            Host::Web(_) if runs_service(host) => 3,
            Host::Web(_) => 2,
        };
        let there = running.get(&host).map(Vec::as_slice).unwrap_or_default();
        let lines: Vec<_> = there.iter().map(|pid| format!("{pid} {}", command(*pid))).collect();
        ensure!(there.len() == wanted, "{host}: {wanted} processes should run: {lines:?}");
    }
    let parents: BTreeSet<u32> = running.into_values().flatten().chain([std::process::id()]).collect();
    let zombies: Vec<_> = pids().filter(|pid| is_zombie(*pid)).collect();
    let ours: Vec<_> =
        zombies.into_iter().filter(|pid| parent_of(*pid).is_some_and(|p| parents.contains(&p))).collect();
    ensure!(ours.is_empty(), "zombies: {ours:?}");
    Ok(())
}

/// The web server that runs on a host, whoever started it.
pub(crate) fn web_of(world: &World, host: Host) -> Result<u32> {
    let running = running(world)?.remove(&host).unwrap_or_default();
    let web = running.into_iter().find(|pid| command(*pid).ends_with(" demo-web"));
    web.with_context(|| format!("{host} runs no web server"))
}

/// Reads what every process uses, and what lies in each run folder, the sets of files and the data folder within; an
/// error where one has grown. A folder outlives the processes that are killed over it.
pub(crate) fn measure(world: &World, growth: &mut Growth, at: Duration) -> Result<()> {
    for (host, pids) in running(world)? {
        for pid in pids {
            let name = format!("{host} {} (pid {pid})", command(pid));
            // One that has just ended uses nothing.
            if let Ok(usage) = usage(pid) {
                growth.read(&name, at, usage).map_err(anyhow::Error::msg)?;
            }
        }
    }
    for host in hosts() {
        let held = holdings(&world.run_dir(host));
        growth.read(&format!("{host}'s run folder"), at, held).map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

/// The processes on each host, by their network namespace.
fn running(world: &World) -> Result<BTreeMap<Host, Vec<u32>>> {
    let mut namespaces = BTreeMap::new();
    for host in hosts() {
        let path = Path::new("/run/netns").join(world.names.of(host));
        let inode = fs::metadata(&path).with_context(|| format!("look at {}", path.display()))?.ino();
        namespaces.insert(inode, host);
    }
    let mut running: BTreeMap<Host, Vec<u32>> = BTreeMap::new();
    for pid in pids() {
        let inode = fs::metadata(format!("/proc/{pid}/ns/net")).map(|m| m.ino()).unwrap_or_default();
        if let Some(host) = namespaces.get(&inode) {
            running.entry(*host).or_default().push(pid);
        }
    }
    Ok(running)
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Program and first word: `backchat lb`.
fn command(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|b| *b == 0).map(String::from_utf8_lossy);
    let program = words.next().unwrap_or_default();
    let program = Path::new(program.as_ref()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!("{program} {}", words.next().unwrap_or_default())
}

fn is_zombie(pid: u32) -> bool {
    status(pid, "State:").is_some_and(|state| state.starts_with('Z'))
}

/// A field of `/proc/PID/status`.
fn status(pid: u32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(text.lines().find_map(|line| line.strip_prefix(field))?.trim().to_owned())
}

fn usage(pid: u32) -> Result<Usage> {
    let number = |field: &str| -> Result<u64> {
        let text = status(pid, field).with_context(|| format!("no {field}"))?;
        Ok(text.split(' ').next().unwrap_or_default().parse()?)
    };
    Ok(Usage {
        rss_kib: number("VmRSS:")?,
        descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64,
        threads: number("Threads:")?,
        ..Usage::default()
    })
}
