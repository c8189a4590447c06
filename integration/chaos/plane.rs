//! HAProxy as the world sees it: what its own socket says, and its processes by pid.

use std::{collections::BTreeMap, io};

use backchat::demo::{
    child::parent_of,
    plane::haproxy::{self, Server, servers},
};
use rustix::process::{Pid, Signal, kill_process};

use super::{op::Part, schedule::BALANCERS, world::World};

/// The pid of the worker that serves.
pub(crate) async fn worker(world: &World, balancer: u8) -> io::Result<u32> {
    haproxy::worker(&world.socket(balancer)).await
}

/// The pid of one of its processes.
pub(crate) async fn process(world: &World, balancer: u8, part: Part) -> io::Result<u32> {
    let worker = worker(world, balancer).await?;
    match part {
        Part::Worker => Ok(worker),
        Part::Master => parent_of(worker).ok_or_else(|| io::Error::other(format!("worker {worker} has no parent"))),
    }
}

/// Its servers by name.
pub(crate) async fn shown(world: &World, balancer: u8) -> io::Result<BTreeMap<String, Server>> {
    let servers = servers(&world.socket(balancer)).await?;
    Ok(servers.into_iter().map(|server| (server.name.clone(), server)).collect())
}

/// Whether no balancer sends new requests to this server. One that does not answer may.
pub(crate) async fn none_takes(world: &World, server: &str) -> bool {
    for balancer in 1..=BALANCERS {
        let shown = shown(world, balancer).await;
        if !shown.is_ok_and(|shown| shown.get(server).is_none_or(|server| !server.takes_requests)) {
            return false;
        }
    }
    true
}

/// Sends a signal to a process that may have ended meanwhile.
pub(crate) fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
