//! The scenes of the demo, in order. Each says what happens and why, does it, and shows what was measured.

use std::{path::Path, time::Duration};

use anyhow::Result;

use super::{quote, short, show, tell};
use crate::{
    cli::output,
    demo::{Counts, Load, Stage, StageError, Traffic, stage::PATIENCE},
};

/// The stage and the traffic upon it.
struct Play {
    stage: Stage,
    traffic: Traffic,
    /// The counts when the scene began.
    scene: Counts,
}

/// Plays all scenes with this many web servers; returns the stage as it stands and what came of all requests.
pub(super) async fn play(program: &Path, webs: u8) -> Result<(Stage, Counts)> {
    let mut play = first_server(open(program).await?).await?;
    for number in 2..=webs {
        play.join(&format!("web{number}")).await?;
    }
    play.commands().await?;
    play.leave("web3").await?;
    play.crash("web2").await?;
    play.crash_lb().await?;
    play.come_back("web2").await?;
    Ok((play.stage, play.traffic.stop().await))
}

async fn open(program: &Path) -> Result<Stage> {
    output::print("backchat demo: a load balancer and web servers on this machine, all of them real processes.\n")?;
    tell("1. The balancer. 'backchat lb' writes a configuration, starts HAProxy with it, and listens to the gossip.")?;
    let begun = tokio::time::Instant::now();
    let stage = Stage::new(program).await?;
    show("start lb", &format!("HAProxy up {}", short(begun.elapsed())), None)?;
    let (front, folder) = (stage.front(), stage.folder().display());
    output::print(&format!("               http://{front}/, files in {folder}\n"))?;
    Ok(stage)
}

async fn first_server(mut stage: Stage) -> Result<Play> {
    tell(
        "2. Web servers join. Each has an agent beside it, which gossips. The balancer hears of it and adds the server\n   \
         while HAProxy runs, without a reload. From the first answer on, 8 keep-alive clients ask without end.",
    )?;
    let rest = Duration::from_millis(1);
    let probe = Traffic::start(&Load { clients: 1, rest, ..Load::steady(stage.front()) })?;
    let begun = stage.join("web1").await?;
    answered(&probe, &stage, "web1", &Counts::default()).await?;
    show("start web1", &format!("first answer {}", short(begun.elapsed())), None)?;
    // It was there before any web server: its failures are no news and not counted.
    probe.stop().await;
    let traffic = Traffic::start(&Load::steady(stage.front()))?;
    Ok(Play { stage, traffic, scene: Counts::default() })
}

/// Waits for an answer of this server that was not there in `before`.
async fn answered(traffic: &Traffic, stage: &Stage, name: &str, before: &Counts) -> Result<(), StageError> {
    let seen = |counts: &Counts| counts.by(name) > before.by(name);
    match traffic.wait(PATIENCE, seen).await {
        Some(_) => Ok(()),
        None => Err(StageError::Late { what: format!("an answer of {name}"), words: stage.lb().last_words(10) }),
    }
}

impl Play {
    async fn join(&mut self, name: &str) -> Result<()> {
        let before = self.traffic.counts();
        let begun = self.stage.join(name).await?;
        answered(&self.traffic, &self.stage, name, &before).await?;
        let measured = format!("first answer {}", short(begun.elapsed()));
        self.close(&format!("start {name}"), &measured).await
    }

    async fn commands(&mut self) -> Result<()> {
        tell("3. What the balancer knows, what it made of it, and what it would do if web2 were gone.")?;
        for command in [&["members"] as &[_], &["services"], &["plan", "--assume", "gone=web2"]] {
            quote(command, &self.stage.ask(command).await?)?;
        }
        Ok(())
    }

    async fn leave(&mut self, name: &str) -> Result<()> {
        tell(
            "4. A web server is stopped: SIGTERM to its agent. The agent says that it drains, HAProxy gives it no new\n   \
             request, what runs ends, and only then does the agent end, and the web server after it.",
        )?;
        let took = self.stage.leave(name).await?;
        self.close(&format!("stop {name}"), &format!("drained {}", short(took))).await
    }

    async fn crash(&mut self, name: &str) -> Result<()> {
        tell(
            "5. A crash: kill -9 for a web server and its agent. Nobody says goodbye; the balancer finds out by asking.\n   \
             Until then HAProxy hands what fails to another server.",
        )?;
        let took = self.stage.crash(name).await?;
        self.close(&format!("kill -9 {name}"), &format!("out after {}", short(took))).await
    }

    async fn crash_lb(&mut self) -> Result<()> {
        tell(
            "6. The balancer's daemon crashes. HAProxy serves on without it; the daemon started again on the same folder\n   \
             adopts it as it is.",
        )?;
        let haproxy = self.stage.haproxy_pid().await?;
        self.stage.crash_lb().await?;
        self.close("kill -9 lb", "HAProxy serves on").await?;
        let took = self.stage.restart_lb().await?;
        let kept = if self.stage.haproxy_pid().await? == haproxy { "adopted" } else { "another HAProxy" };
        self.close("start lb", &format!("{kept} {}", short(took))).await
    }

    async fn come_back(&mut self, name: &str) -> Result<()> {
        tell("7. The crashed web server is started again, under its old name.")?;
        self.join(name).await
    }

    /// Lets the traffic run on a little over the change, then shows the line of the scene.
    async fn close(&mut self, what: &str, measured: &str) -> Result<()> {
        const REQUESTS_AFTER: u64 = 300;
        let now = self.traffic.counts().sent;
        if self.traffic.wait(PATIENCE, |counts| counts.sent >= now + REQUESTS_AFTER).await.is_none() {
            let words = self.stage.lb().last_words(10);
            return Err(StageError::Late { what: format!("{REQUESTS_AFTER} answers after '{what}'"), words }.into());
        }
        let counts = self.traffic.counts();
        show(what, measured, Some(&counts.since(&self.scene)))?;
        self.scene = counts;
        Ok(())
    }
}

/// What to try while it is left running.
pub(super) fn invite(stage: &Stage, program: &Path) -> Result<()> {
    let program = program.display();
    tell(&format!(
        "It runs until Ctrl-C. In another terminal:\n\n  curl http://{}/\n  export BACKCHAT_ADMIN={}",
        stage.front(),
        stage.admin()
    ))?;
    for command in ["members", "services", "status", "plan --assume drain=web1"] {
        output::print(&format!("  {program} {command}\n"))?;
    }
    for (name, peer) in stage.peers().iter().take(2) {
        let (agent, web) = (peer.agent.pid(), peer.web.pid());
        output::print(&format!("  kill {agent}           # {name} leaves: its agent drains first\n"))?;
        output::print(&format!("  kill -9 {agent} {web}  # {name} crashes: agent and web server\n"))?;
    }
    output::print(&format!(
        "  kill -9 {}        # the balancer's daemon crashes; HAProxy serves on\n",
        stage.lb().pid()
    ))
}
