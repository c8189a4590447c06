//! Rolling restarts under load: which requests fail while the members of several services leave and come back, one at
//! a time in each service, all services at once.
//!
//! A restart is what an operator's script does: the agent leaves and ends, then the web server ends; both start again
//! at the same place, and the next member's turn comes when HAProxy sends requests there. The clients stand for users
//! and know nothing of it: they never repeat a request, nor does the HTTP client beneath them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use backchat::demo::{Counts, Load, Traffic, plane};
use futures_util::future::try_join_all;

use crate::{
    figures::{Figures, Unit},
    side::{LIMIT, Member, Seat, Side, World},
    table::{Goal, Row},
};

const SERVICES: [&str; 5] = ["blog", "cart", "docs", "shop", "wiki"];
/// Members of each service.
const MEMBERS: usize = 3;
/// When no new restart begins: a side that is slow has done fewer then, which its row says.
const LONGEST: Duration = Duration::from_secs(120);
/// Between two looks at HAProxy. Fifteen members are watched: looking all the time would be the load itself.
const LOOK: Duration = Duration::from_millis(20);

/// What one side came to.
pub(crate) struct Rolled {
    pub(crate) restarts: usize,
    /// Of clients that open a connection for each request.
    pub(crate) fresh: Counts,
    /// Of clients that keep theirs.
    pub(crate) kept: Counts,
}

/// Restarts members `restarts` times in all.
pub(crate) async fn measure<S: Side>(restarts: usize) -> Result<Rolled> {
    let world = World::<S>::with(&SERVICES).await?;
    let members = try_join_all(SERVICES.map(|service| start(&world, service))).await?;
    let [fresh, kept] = [clients(&world, false)?, clients(&world, true)?];
    let begun = Instant::now();
    let each = restarts / SERVICES.len();
    let done = try_join_all(members.into_iter().map(|members| roll(&world, members, each, begun))).await?;
    let rolled = Rolled { restarts: done.iter().sum(), fresh: sum(fresh).await, kept: sum(kept).await };
    let Rolled { restarts, fresh, kept } = &rolled;
    let took = begun.elapsed();
    eprintln!("{:>9}  {restarts} restarts in {took:.0?}: fresh {fresh}; kept {kept}", S::NAME);
    world.end().await?;
    Ok(rolled)
}

/// The members of one service, all of them in HAProxy.
async fn start<S: Side>(world: &World<S>, service: &str) -> Result<Vec<Member>> {
    let mut members = Vec::new();
    for number in 0..MEMBERS {
        let member = world.start(Seat::of(service, &format!("{service}{number}"))?).await?;
        shows(world, &member.seat, true).await?;
        members.push(member);
    }
    Ok(members)
}

/// Two clients for each service.
fn clients<S: Side>(world: &World<S>, keep_alive: bool) -> Result<Vec<Traffic>> {
    let load = |service: &str| Load {
        host: Seat::host(service),
        // Long enough that each restart meets requests under way.
        path: "/slow?ms=10".into(),
        clients: 2,
        keep_alive,
        ..Load::steady(world.side.front())
    };
    Ok(SERVICES.iter().map(|service| Traffic::start(&load(service))).collect::<Result<_, _>>()?)
}

async fn sum(traffic: Vec<Traffic>) -> Counts {
    let mut all = Counts::default();
    for traffic in traffic {
        all.add(&traffic.stop().await);
    }
    all
}

/// Restarts the members of one service in turn; how many restarts there were.
async fn roll<S: Side>(world: &World<S>, mut members: Vec<Member>, times: usize, begun: Instant) -> Result<usize> {
    const NEWS: usize = 10;
    for done in 0..times {
        if begun.elapsed() > LONGEST {
            return Ok(done);
        }
        // The one that has been up longest.
        let member = restart(world, members.remove(0)).await?;
        if (done + 1) % NEWS == 0 {
            eprintln!("{:>9}  {}: {} of {times} restarts", S::NAME, member.seat.service, done + 1);
        }
        members.push(member);
    }
    Ok(times)
}

async fn restart<S: Side>(world: &World<S>, member: Member) -> Result<Member> {
    let Member { mut agent, web, seat } = member;
    world.side.leave(&agent)?;
    agent.ended(LIMIT).await?.with_context(|| format!("the agent of {} did not end", seat.name))?;
    web.stop().await?;
    shows(world, &seat, false).await?;
    let member = world.start(seat).await?;
    shows(world, &member.seat, true).await?;
    Ok(member)
}

/// Waits until HAProxy sends requests to this place, or no longer does.
async fn shows<S: Side>(world: &World<S>, seat: &Seat, takes: bool) -> Result<()> {
    let begun = Instant::now();
    // While it reloads, HAProxy's socket may not answer.
    while !plane::servers(world.side.socket()).await.is_ok_and(|shown| plane::takes(&shown, seat.web) == takes) {
        ensure!(begun.elapsed() < LIMIT, "{}: HAProxy never showed {} with requests: {takes}", S::NAME, seat.name);
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Both sides, by kind of client.
pub(crate) fn rows(theirs: &Rolled, ours: &Rolled) -> [Row; 2] {
    let often = match (theirs.restarts, ours.restarts) {
        (them, us) if them == us => us.to_string(),
        (them, us) => format!("{them} and {us}"),
    };
    let row = |how: &str, theirs: &Counts, ours: &Counts| {
        let what =
            format!("failed requests over {often} rolling restarts, {how}, of {} and {}", theirs.sent, ours.sent);
        Row::new(what, failed(theirs), failed(ours), Goal::Zero)
    };
    [row("fresh connections", &theirs.fresh, &ours.fresh), row("keep-alive", &theirs.kept, &ours.kept)]
}

fn failed(counts: &Counts) -> Figures {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
    Figures::new(Unit::Requests, [counts.failures() as f64])
}
