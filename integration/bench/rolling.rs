//! Rolling restarts under load: which requests fail while the members of several services leave and come back, one at
//! a time in each service, all services at once.
//!
//! A restart is what an operator's script does: the agent leaves and ends, then the web server ends; both start again
//! at the same place, and the next member's turn comes when the balancer sends requests there. The clients stand for users
//! and know nothing of it: they never repeat a request, nor does the HTTP client beneath them.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use backchat::demo::{Counts, Load, Traffic};
use futures_util::future::try_join_all;

use crate::{
    figures::{Figures, Unit},
    side::{LIMIT, Member, Seat, Side, World},
    table::{Goal, Row},
};

pub(crate) const SERVICES: [&str; 5] = ["blog", "cart", "docs", "shop", "wiki"];
/// Members of each service.
pub(crate) const MEMBERS: usize = 3;
/// When no new restart begins: a side that is slow has done fewer then, which its row says.
const LONGEST: Duration = Duration::from_secs(120);
/// Between two looks at the data plane. Fifteen members are watched: looking all the time would be the load itself.
const LOOK: Duration = Duration::from_millis(20);

/// What one side came to.
pub(crate) struct Rolled {
    pub(crate) restarts: usize,
    pub(crate) took: Duration,
    /// Of clients that open a connection for each request.
    pub(crate) fresh: Counts,
    /// Of clients that keep theirs.
    pub(crate) kept: Counts,
}

/// Restarts members `restarts` times in all.
pub(crate) async fn measure<S: Side>(restarts: usize) -> Result<Rolled> {
    let (rolled, world) = roll_all::<S>(restarts).await?;
    world.end().await?;
    Ok(rolled)
}

/// The same, with the balancer as it is then.
pub(crate) async fn roll_all<S: Side>(restarts: usize) -> Result<(Rolled, World<S>)> {
    let world = World::<S>::with(&SERVICES).await?;
    let members = try_join_all(SERVICES.map(|service| start(&world, service))).await?;
    let front = world.side.front();
    let [fresh, kept] = [clients(front, false)?, clients(front, true)?];
    let begun = Instant::now();
    let each = restarts / SERVICES.len();
    let done = try_join_all(members.into_iter().map(|members| roll(&world, members, each, begun))).await?;
    let took = begun.elapsed();
    let restarts = done.iter().map(|(restarts, _)| restarts).sum();
    let rolled = Rolled { restarts, took, fresh: sum(fresh).await, kept: sum(kept).await };
    // A service that is done first serves on until nobody asks it any more.
    drop(done);
    let Rolled { restarts, fresh, kept, .. } = &rolled;
    eprintln!("{:>9}  {restarts} restarts in {took:.0?}: fresh {fresh}; kept {kept}", S::NAME);
    Ok((rolled, world))
}

/// The members of one service, all of them in.
async fn start<S: Side>(world: &World<S>, service: &str) -> Result<Vec<Member>> {
    let mut members = Vec::new();
    for number in 0..MEMBERS {
        let member = world.start(Seat::of(service, &format!("{service}{number}"))?).await?;
        world.shows(member.seat.web, true, LOOK).await?;
        members.push(member);
    }
    Ok(members)
}

/// Two clients for each service.
pub(crate) fn clients(front: SocketAddr, keep_alive: bool) -> Result<Vec<Traffic>> {
    let load = |service: &str| Load {
        host: Seat::host(service),
        // Long enough that each restart meets requests under way.
        path: "/slow?ms=10".into(),
        clients: 2,
        keep_alive,
        ..Load::steady(front)
    };
    Ok(SERVICES.iter().map(|service| Traffic::start(&load(service))).collect::<Result<_, _>>()?)
}

pub(crate) async fn sum(traffic: Vec<Traffic>) -> Counts {
    let mut all = Counts::default();
    for traffic in traffic {
        all.add(&traffic.stop().await);
    }
    all
}

/// Restarts the members of one service in turn; how many restarts there were, and the members.
async fn roll<S: Side>(
    world: &World<S>,
    mut members: Vec<Member>,
    times: usize,
    begun: Instant,
) -> Result<(usize, Vec<Member>)> {
    const NEWS: usize = 10;
    for done in 0..times {
        if begun.elapsed() > LONGEST {
            return Ok((done, members));
        }
        // The one that has been up longest.
        let member = restart(world, members.remove(0)).await?;
        if (done + 1) % NEWS == 0 {
            eprintln!("{:>9}  {}: {} of {times} restarts", S::NAME, member.seat.service, done + 1);
        }
        members.push(member);
    }
    Ok((times, members))
}

async fn restart<S: Side>(world: &World<S>, member: Member) -> Result<Member> {
    let Member { mut agent, web, seat } = member;
    world.side.leave(&agent)?;
    agent.ended(LIMIT).await?.with_context(|| format!("the agent of {} did not end", seat.name))?;
    web.stop().await?;
    world.shows(seat.web, false, LOOK).await?;
    let member = world.start(seat).await?;
    world.shows(member.seat.web, true, LOOK).await?;
    Ok(member)
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

pub(crate) fn failed(counts: &Counts) -> Figures {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
    Figures::new(Unit::Requests, [counts.failures() as f64])
}
