//! Hipache's keys in a Redis: so many hosts until all of them are served, one of them changed until it is routed, and
//! requests a second beside the bare data plane.
//!
//! Each host is a frontend of its own with one backend, as a platform for applications has them. A change replaces a
//! list by that of another web server; it counts from Redis's answer to the writer until the first request that the other
//! one answers, asked without a pause on one kept connection. Bare is the same engine with one backend in its file.

mod bare;
mod stage;

use std::time::Duration;

use anyhow::Result;

use self::stage::Stage;
use crate::{
    figures::{Figures, Unit},
    ours::{Haproxy, Kind, Openresty},
    table::{Goal, Row},
};

/// The slowest of a hundred changes.
const GOAL: Duration = Duration::from_millis(50);
/// Descriptors for all else.
const SPARE: u64 = 4096;
/// The part of the bare data plane's requests that is left.
const SHARE: f64 = 0.95;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Numbers of hosts, and how many changes of one host are made among them.
    pub(crate) hosts: &'static [(usize, usize)],
    /// How long each side is asked, and how often in turn.
    pub(crate) load: Duration,
    pub(crate) loads: usize,
}

/// All rows, on the data planes that change without a reload.
pub(crate) async fn rows(effort: &Effort) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (hosts, changes) in effort.hosts {
        // HAProxy holds a descriptor for each server that it checks.
        match descriptors() {
            Some(most) if most < *hosts as u64 + SPARE => eprintln!(
                "     keys  HAProxy, {hosts} hosts: skipped, this shell may open {most} files, and HAProxy needs one a \
                 host (ulimit -Hn)"
            ),
            _ => rows.extend(Box::pin(on::<Haproxy>((*hosts, *changes), effort)).await?),
        }
        rows.extend(Box::pin(on::<Openresty>((*hosts, *changes), effort)).await?);
    }
    Ok(rows)
}

/// How many files may be open at most; `None` where there is no limit.
fn descriptors() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum
}

async fn on<K: Kind>((hosts, count): (usize, usize), effort: &Effort) -> Result<Vec<Row>> {
    let plane = if K::NAME == Haproxy::NAME { "HAProxy" } else { "OpenResty" };
    let (mut stage, loaded) = Stage::start::<K>(hosts).await?;
    eprintln!("     keys  {plane}, {hosts} hosts: all served after {loaded:.1?}");
    let mut changes = Vec::new();
    for change in 0..count {
        changes.push(stage.change(change).await?);
    }
    let (p50, p99) = (percentile(&mut changes, 50), percentile(&mut changes, 99));
    eprintln!("     keys  {plane}, {hosts} hosts: a change after {p50:.1?}, p99 {p99:.1?}");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let bare = bare::start::<K>(stage.web()).await?;
    for _ in 0..effort.loads {
        theirs.push(stage::requests(bare.front, "any.example.com", effort.load).await?);
        ours.push(stage.requests(effort.load).await?);
    }
    let memory = stage.memory()?;
    let of = |text: &str| format!("{plane}, {hosts} hosts: {text}");
    // Less is better in every row: a request's time on a busy machine.
    let time = |requests: Vec<f64>| {
        Figures::seconds(&requests.into_iter().map(|n| Duration::from_secs_f64(1.0 / n)).collect::<Vec<_>>())
    };
    Ok(vec![
        Row::alone(of("written → all served"), Figures::seconds(&[loaded]), Goal::None),
        Row::alone(of("a key changed → routed, p50"), Figures::seconds(&[p50]), Goal::None),
        Row::alone(of("a key changed → routed, p99"), Figures::seconds(&[p99]), Goal::Within(GOAL)),
        Row::new(of("time a request under load"), time(theirs), time(ours), Goal::AtMost(1.0 / SHARE)),
        Row::alone(of("memory of lb, resident"), Figures::new(Unit::Mib, [memory]), Goal::None),
    ])
}

/// The time that so many of a hundred do not exceed.
fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(at).copied().unwrap_or_default()
}
