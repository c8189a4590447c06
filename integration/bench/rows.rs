//! The rows: what is measured, the same way on either side.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use backchat::demo::{Load, Traffic};

use crate::{
    figures::{Figures, Unit},
    rolling::{self, Rolled},
    side::{LIMIT, Member, Side, World},
    usage, wrk,
};

/// How often each is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Joins, leaves, crashes.
    pub(crate) rounds: usize,
    /// Reloads of nginx.
    pub(crate) reloads: usize,
    /// Pushes into OpenResty, for what each takes.
    pub(crate) pushes: usize,
    /// Pushes into OpenResty, for whom the one before still serves.
    pub(crate) stale: usize,
    /// Agents in a crowd.
    pub(crate) crowd: usize,
    /// How often a crowd starts.
    pub(crate) crowds: usize,
    /// Scale events under wrk.
    pub(crate) events: usize,
    /// How long the idle crowd is watched.
    pub(crate) idle: Duration,
    /// Rolling restarts.
    pub(crate) restarts: usize,
    /// Hosts in a Redis.
    pub(crate) keys: crate::keys::Effort,
}

/// What one side measured.
pub(crate) struct Measured {
    pub(crate) join: Figures,
    pub(crate) leave: Figures,
    pub(crate) crash: Figures,
    pub(crate) broken: Figures,
    pub(crate) requests: u64,
    pub(crate) rss: Figures,
    pub(crate) pss: Figures,
    pub(crate) cpu: Figures,
    pub(crate) crowd: Figures,
    pub(crate) rolled: Rolled,
}

/// Measures everything on one side, saying what it does.
pub(crate) async fn measure<S: Side>(effort: Effort) -> Result<Measured> {
    let (join, leave, crash) = changes::<S>(effort).await?;
    let (broken, requests) = scaling::<S>(effort).await?;
    let rolled = rolling::measure::<S>(effort.restarts).await?;
    let (rss, pss, cpu, crowd) = crowds::<S>(effort).await?;
    Ok(Measured { join, leave, crash, broken, requests, rss, pss, cpu, crowd, rolled })
}

fn say<S: Side>(what: &str) {
    eprintln!("{:>9}  {what}", S::NAME);
}

/// Start → first answer; leave → out; kill -9 → out, in a fresh cluster each time: members that are gone linger in
/// Serf's count and slow its next verdict. The web server lives on, so that HAProxy's own checks help neither side:
/// what is measured is the news, not the check.
async fn changes<S: Side>(effort: Effort) -> Result<(Figures, Figures, Figures)> {
    let (mut joins, mut leaves, mut crashes) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..effort.rounds {
        let world = World::<S>::new().await?;
        let (member, joined) = first_answer(&world, "leaver").await?;
        let begun = Instant::now();
        world.side.leave(&member.agent)?;
        world.until_out(&member).await?;
        let left = begun.elapsed();
        world.end().await?;

        let world = World::<S>::new().await?;
        let (mut member, joined_too) = first_answer(&world, "victim").await?;
        let begun = Instant::now();
        member.agent.kill()?;
        world.until_out(&member).await?;
        let out = begun.elapsed();
        world.end().await?;

        say::<S>(&format!("round {round}: join {joined:.2?}, {joined_too:.2?}; leave {left:.2?}; kill -9 {out:.2?}"));
        joins.extend([joined, joined_too]);
        leaves.push(left);
        crashes.push(out);
    }
    Ok((Figures::seconds(&joins), Figures::seconds(&leaves), Figures::seconds(&crashes)))
}

/// Starts a member and waits for its first answer through the balancer, asked every millisecond.
async fn first_answer<S: Side>(world: &World<S>, name: &str) -> Result<(Member, Duration)> {
    let rest = Duration::from_millis(1);
    let traffic = Traffic::start(&Load { clients: 1, rest, ..Load::steady(world.side.front()) })?;
    // The balancer answers already: what is measured is this member, not the balancer's start.
    traffic.wait(LIMIT, |counts| counts.by("base") > 0).await.context("no answer from the member that stays")?;
    let web = world.web(name).await?;
    let begun = Instant::now();
    let member = world.agent(name, web)?;
    traffic.wait(LIMIT, |counts| counts.by(name) > 0).await.with_context(|| format!("no answer from {name}"))?;
    let joined = begun.elapsed();
    traffic.stop().await;
    Ok((member, joined))
}

/// Requests of keep-alive clients that broke while members joined and left by turns. A web server ends with its agent.
async fn scaling<S: Side>(effort: Effort) -> Result<(Figures, u64)> {
    let world = World::<S>::new().await?;
    let wrk = wrk::start(world.side.front())?;
    for event in 0..effort.events / 2 {
        let mut member = world.member(&format!("scaled{event}")).await?;
        world.until_in(&member).await?;
        world.side.leave(&member.agent)?;
        world.until_out(&member).await?;
        member.agent.ended(LIMIT).await?;
    }
    let report = wrk.finish().await?;
    say::<S>(&format!("{} scale events: {} of {} requests broken", effort.events, report.broken, report.requests));
    world.end().await?;
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
    let broken = Figures::new(Unit::Requests, [report.broken as f64]);
    Ok((broken, report.requests))
}

/// A crowd started at once → all known to the balancer; then what one of them costs.
async fn crowds<S: Side>(effort: Effort) -> Result<(Figures, Figures, Figures, Figures)> {
    let mut starts = Vec::new();
    let mut cost = None;
    for round in 0..effort.crowds {
        let world = World::<S>::empty().await?;
        let (members, known) = crowd(&world, effort.crowd).await?;
        say::<S>(&format!("{} agents at once: all known after {known:.2?}", effort.crowd));
        starts.push(known);
        if round + 1 == effort.crowds {
            cost = Some(idle(&members, effort.idle).await?);
        }
        world.end().await?;
    }
    let (rss, pss, cpu) = cost.context("at least one crowd")?;
    say::<S>(&format!("one of them: {} resident, {} of a core", rss.show(), cpu.show()));
    Ok((rss, pss, cpu, Figures::seconds(&starts)))
}

async fn crowd<S: Side>(world: &World<S>, size: usize) -> Result<(Vec<Member>, Duration)> {
    let mut webs = Vec::new();
    for number in 0..size {
        webs.push(world.web(&format!("web{number}")).await?);
    }
    let begun = Instant::now();
    let mut members = Vec::new();
    for (number, web) in webs.into_iter().enumerate() {
        members.push(world.agent(&format!("web{number}"), web)?);
    }
    while world.side.known().await? < size {
        ensure!(begun.elapsed() < LIMIT, "{}: only {} known", S::NAME, world.side.known().await?);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok((members, begun.elapsed()))
}

/// Memory and processor time of each member of a crowd that has settled.
async fn idle(members: &[Member], watched: Duration) -> Result<(Figures, Figures, Figures)> {
    const SETTLING: Duration = Duration::from_secs(10);
    tokio::time::sleep(SETTLING).await;
    let cpu = || members.iter().map(|member| usage::cpu(member.agent.pid())).collect::<Result<Vec<_>>>();
    let (before, begun) = (cpu()?, Instant::now());
    tokio::time::sleep(watched).await;
    let (after, took) = (cpu()?, begun.elapsed());
    let share = |(before, after): (&Duration, &Duration)| {
        100.0 * after.saturating_sub(*before).as_secs_f64() / took.as_secs_f64()
    };
    let memory = members.iter().map(|member| usage::memory(member.agent.pid())).collect::<Result<Vec<_>>>()?;
    Ok((
        Figures::new(Unit::Mib, memory.iter().map(|m| m.rss)),
        Figures::new(Unit::Mib, memory.iter().map(|m| m.pss)),
        Figures::new(Unit::Percent, before.iter().zip(&after).map(share)),
    ))
}
