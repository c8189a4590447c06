//! The scenes of the demo, in order. Each says what happens and why, does it, and shows what was measured.

use std::{path::Path, time::Duration};

use super::{quote, short, show, tell};
use crate::demo::{
    Counts, Load, Stage, StageError, Traffic,
    stage::PATIENCE,
};

/// The stage and the traffic upon it.
struct Play {
    stage: Stage,
    traffic: Traffic,
    scene: Counts,
}

/// Plays all scenes with this many web servers; returns the stage as it stands and what came of all requests.
pub(super) async fn play(program: &Path, webs: u8) -> Result<(Stage, Counts), StageError> {
    let stage = open(program).await?;
    let mut play = first_server(stage).await?;
    play.more_servers(webs).await?;
    play.commands().await?;
    play.leave("web3").await?;
    play.crash("web2").await?;
    play.crash_lb().await?;
    play.come_back("web2").await?;
    Ok((play.stage, play.traffic.stop().await))
}

async fn open(program: &Path) -> Result<Stage, StageError> {
    println!("backchat demo: a load balancer and web servers on this machine, all of them real processes.");
    tell("1. The balancer. 'backchat lb' writes a configuration, starts HAProxy with it, and listens to the gossip.");
    let begun = tokio::time::Instant::now();
    let stage = Stage::new(program).await?;
    show("start lb", format!("HAProxy up {}", short(begun.elapsed())), None);
    println!("               http://{}/, files in {}", stage.front(), stage.folder().display());
    Ok(stage)
}

async fn first_server(mut stage: Stage) -> Result<Play, StageError> {
    tell(
        "2. Web servers join. Each has an agent beside it, which gossips. The balancer hears of it and adds the server\n   \
         while HAProxy runs, without a reload. From the first answer on, 8 keep-alive clients ask without a break.",
    );
    let rest = Duration::from_millis(1);
    let probe = Traffic::start(&Load { clients: 1, rest, ..Load::steady(stage.front()) })?;
    let begun = stage.join("web1").await?;
    answered(&probe, &stage, "web1", &Counts::default()).await?;
    show("start web1", format!("first answer {}", short(begun.elapsed())), None);
    probe.stop().await;
    let traffic = Traffic::start(&Load::steady(stage.front()))?;
    Ok(Play { stage, traffic, scene: Counts::default() })
}

/// Waits for an answer of this server that was not there in `before`.
async fn answered(traffic: &Traffic, stage: &Stage, name: &str, before: &Counts) -> Result<(), StageError> {
    let seen = |counts: &Counts| counts.by(name) > before.by(name);
    let Some(_) = traffic.wait(PATIENCE, seen).await else {
        return Err(StageError::Late { what: format!("an answer of {name}"), words: stage.lb().last_words(10) });
    };
    Ok(())
}

impl Play {
    async fn more_servers(&mut self, webs: u8) -> Result<(), StageError> {
        for number in 2..=webs {
            self.join(&format!("web{number}")).await?;
        }
        Ok(())
    }

    async fn join(&mut self, name: &str) -> Result<(), StageError> {
        let before = self.traffic.counts();
        let begun = self.stage.join(name).await?;
        answered(&self.traffic, &self.stage, name, &before).await?;
        let measured = format!("first answer {}", short(begun.elapsed()));
        self.close(&format!("start {name}"), &measured).await
    }

    async fn commands(&mut self) -> Result<(), StageError> {
        tell("3. What the balancer knows, and what it made of it.");
        for command in ["members", "services", "status"] {
            // `status` exits 1 where something is wrong: that belongs on the screen too.
            let printed = self.stage.ask(&[command]).await.unwrap_or_else(|error| error.to_string());
            quote(command, &printed);
        }
        Ok(())
    }

    async fn leave(&mut self, name: &str) -> Result<(), StageError> {
        tell(
            "4. A web server is stopped: SIGTERM to its agent. The agent says that it drains, HAProxy gives it no new\n   \
             request, what runs ends, and only then does the agent end, and the web server after it.",
        );
        let took = self.stage.leave(name).await?;
        self.close(&format!("stop {name}"), &format!("drained {}", short(took))).await
    }

    async fn crash(&mut self, name: &str) -> Result<(), StageError> {
        tell(
            "5. A crash: kill -9 for a web server and its agent. Nobody says goodbye; the balancer finds out by asking.\n   \
             Until then HAProxy hands what fails to another server.",
        );
        let took = self.stage.crash(name).await?;
        self.close(&format!("kill -9 {name}"), &format!("out after {}", short(took))).await
    }

    async fn crash_lb(&mut self) -> Result<(), StageError> {
        tell(
            "6. The balancer's daemon crashes. HAProxy serves on without it; the daemon started again on the same folder\n   \
             adopts it as it is.",
        );
        let haproxy = self.stage.haproxy_pid().await?;
        self.stage.crash_lb().await?;
        self.close("kill -9 lb", "HAProxy serves on").await?;
        let took = self.stage.restart_lb().await?;
        let same = self.stage.haproxy_pid().await? == haproxy;
        let kept = if same { "same HAProxy" } else { "another HAProxy" };
        self.close("start lb", &format!("{kept}, {}", short(took))).await
    }

    async fn come_back(&mut self, name: &str) -> Result<(), StageError> {
        tell("7. The crashed web server is started again, under its old name.");
        self.join(name).await
    }

    /// Lets the traffic run on a little over the change, then shows the line of the scene.
    async fn close(&mut self, what: &str, measured: &str) -> Result<(), StageError> {
        const REQUESTS_AFTER: u64 = 300;
        let now = self.traffic.counts().sent;
        if self.traffic.wait(PATIENCE, |counts| counts.sent >= now + REQUESTS_AFTER).await.is_none() {
            let words = self.stage.lb().last_words(10);
            return Err(StageError::Late { what: format!("{REQUESTS_AFTER} answers after '{what}'"), words });
        }
        let counts = self.traffic.counts();
        show(what, measured, Some(&counts.since(&self.scene)));
        self.scene = counts;
        Ok(())
    }
}

/// What to try while it is left running.
pub(super) fn invite(stage: &Stage, program: &Path) {
    let program = program.display();
    println!("\nIt stays until Ctrl-C. In another terminal:\n");
    println!("  curl http://{}/", stage.front());
    println!("  export BACKCHAT_ADMIN={}", stage.admin());
    for command in ["members", "services", "status"] {
        println!("  {program} {command}");
    }
    for (name, peer) in stage.peers().iter().take(2) {
        println!("  kill {}          # {name} leaves: its agent drains first", peer.agent.pid());
        println!("  kill -9 {} {}   # or {name} crashes, agent and web server", peer.agent.pid(), peer.web.pid());
    }
    println!("  kill -9 {}       # the balancer's daemon crashes; HAProxy serves on", stage.lb().pid());
}
