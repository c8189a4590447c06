//! The scenes of the demo, in order. Each says what happens and why, does it, and shows what was measured.

use std::{path::Path, time::Duration};

use anyhow::Result;

use super::{quote, short, show, tell, words};
use crate::{
    cli::output,
    demo::{Counts, Driver, Load, Stage, StageError, Traffic, stage::PATIENCE},
};

/// The stage and the traffic upon it.
struct Play {
    stage: Stage,
    traffic: Traffic,
    /// The counts when the scene began.
    scene: Counts,
}

/// Plays all scenes with this many web servers; returns the stage as it stands and what came of all requests.
pub(super) async fn play(program: &Path, driver: Driver, webs: u8) -> Result<(Stage, Counts)> {
    let mut play = first_server(open(program, driver).await?).await?;
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

async fn open(program: &Path, driver: Driver) -> Result<Stage> {
    output::print("backchat demo: a load balancer and web servers on this machine, all of them real processes.\n")?;
    tell(&format!(
        "1. The balancer. 'backchat lb' writes a configuration, starts {driver} with it, and listens to the gossip."
    ))?;
    let begun = tokio::time::Instant::now();
    let stage = Stage::new(program, driver).await?;
    show("start lb", &format!("{driver} up {}", short(begun.elapsed())), None)?;
    let (front, folder) = (stage.front(), stage.folder().display());
    output::print(&format!("               http://{front}/, files in {folder}\n"))?;
    Ok(stage)
}

async fn first_server(mut stage: Stage) -> Result<Play> {
    let driver = stage.plane().driver();
    tell(&format!("2. {}", words::join(driver)))?;
    let rest = Duration::from_millis(1);
    let probe = Traffic::start(&Load { clients: 1, rest, ..Load::steady(stage.front()) })?;
    let begun = stage.join("web1").await?;
    answered(&probe, &stage, "web1", &Counts::default()).await?;
    show("start web1", &format!("first answer {}", short(begun.elapsed())), None)?;
    // It was there before any web server: its failures are no news and not counted.
    probe.stop().await;
    let traffic = Traffic::start(&Load { resend: driver.reloads(), ..Load::steady(stage.front()) })?;
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
        tell(&format!("4. {}", words::leave(self.driver())))?;
        let took = self.stage.leave(name).await?;
        self.close(&format!("stop {name}"), &format!("drained {}", short(took))).await
    }

    async fn crash(&mut self, name: &str) -> Result<()> {
        tell(&format!(
            "5. A crash: kill -9 for a web server and its agent. Nobody says goodbye; the balancer finds out by asking.\n   \
             Until then {} hands what fails to another server.",
            self.driver()
        ))?;
        let took = self.stage.crash(name).await?;
        self.close(&format!("kill -9 {name}"), &format!("out after {}", short(took))).await
    }

    async fn crash_lb(&mut self) -> Result<()> {
        let driver = self.driver();
        tell(&format!(
            "6. The balancer's daemon crashes. {driver} serves on without it; the daemon started again on the same folder\n   \
             adopts it as it is."
        ))?;
        let before = self.stage.processes().await?;
        self.stage.crash_lb().await?;
        self.close("kill -9 lb", &format!("{driver} serves on")).await?;
        let took = self.stage.restart_lb().await?;
        let kept =
            if self.stage.processes().await? == before { "adopted".to_owned() } else { format!("another {driver}") };
        self.close("start lb", &format!("{kept} {}", short(took))).await
    }

    async fn come_back(&mut self, name: &str) -> Result<()> {
        tell("7. The crashed web server is started again, under its old name.")?;
        self.join(name).await
    }

    fn driver(&self) -> Driver {
        self.stage.plane().driver()
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
        "  kill -9 {}        # the balancer's daemon crashes; {} serves on\n",
        stage.lb().pid(),
        stage.plane().driver()
    ))
}
