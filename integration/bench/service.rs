//! The service alone dies, and its agent, which runs it, lives: how long until HAProxy sends it nothing.
//!
//! Ours alone: Serf's agent runs nothing and looks at nothing, so that its handler hears of no death but a node's.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use backchat::demo::child::kill_pid;

use crate::{
    figures::Figures,
    ours::Backchat,
    side::{LIMIT, Seat, Side, World},
};

/// What the project's issue asks for.
pub(crate) const GOAL: Duration = Duration::from_millis(100);

/// SIGKILL at the service → out, in a fresh cluster each time. HAProxy's own checks, three of them a second apart, come
/// far too late to help.
pub(crate) async fn deaths(rounds: usize) -> Result<Figures> {
    let mut took = Vec::new();
    for round in 0..rounds {
        let out = death().await?;
        eprintln!("{:>9}  round {round}: death of the service alone {out:.2?}", <Backchat>::NAME);
        took.push(out);
    }
    Ok(Figures::seconds(&took))
}

async fn death() -> Result<Duration> {
    let world = World::<Backchat>::new().await?;
    let seat = Seat::of("web", "victim")?;
    let told = world.path("victim.pid");
    let mut agent = world.agent_at(&seat, &service(seat.web, &told))?;
    let shows = async |takes: bool| world.shows(seat.web, takes, Duration::from_millis(1)).await;
    shows(true).await.with_context(|| agent.last_words(5))?;
    let pid = fs::read_to_string(&told).with_context(|| format!("read {}", told.display()))?;
    kill_pid(pid.trim().parse().with_context(|| format!("a process id: {pid:?}"))?)?;
    let out = shows(false).await.with_context(|| agent.last_words(5))?;
    agent.ended(LIMIT).await?.context("the agent did not end with its service")?;
    world.end().await?;
    Ok(out)
}

/// The demo's web server, which first writes down its process id: the agent has a keeper between itself and it.
fn service(listen: SocketAddr, told: &Path) -> Vec<String> {
    let program = <Backchat>::program().display().to_string();
    let shell = ["sh", "-c", r#"echo $$ >"$1"; shift; exec "$@""#, "sh"].map(str::to_owned);
    let web = ["demo-web".to_owned(), "--kept".into(), format!("--listen={listen}"), "--name=victim".into()];
    shell.into_iter().chain([told.display().to_string(), program]).chain(web).collect()
}
