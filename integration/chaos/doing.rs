//! Does what the schedule says, waits for what must follow from it, and says which requests it may have broken.

use std::{collections::BTreeSet, process::ExitStatus, time::Duration};

use anyhow::{Context as _, Result, ensure};
use backchat::demo::{Child, child::kill_pid};
use rustix::process::Signal;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    admin,
    blame::Excuse,
    load::Client,
    op::{Host, Part, What},
    plane, processes,
    schedule::Planned,
    world::{PATIENCE, World, names, runs_service, until},
};

/// How long a server that died or was cut off may still be given requests, or HAProxy be away. HAProxy's own check alone
/// needs up to 6 s.
const OUT: Duration = Duration::from_secs(30);

/// What an action needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doing<'a> {
    /// Where it acts.
    pub(crate) world: &'a World,
    /// The run's beginning, which excuses count from.
    pub(crate) clock: Instant,
    /// The web servers that nothing happens to in this round.
    pub(crate) steady: &'a BTreeSet<u8>,
}

impl Doing<'_> {
    /// Does one thing, to its end. Returns what it excuses.
    pub(crate) async fn perform(&self, planned: Planned) -> Result<Option<Excuse>> {
        let op = planned.op;
        let from = self.clock.elapsed();
        let broken = match (op.what, op.on) {
            (What::Join, host) => self.join(host).await.map(|()| None),
            (What::Leave, host) => self.leave(host).await.map(|()| None),
            (What::Crash, host) => self.crash(host).await.map(Some),
            (What::CrashWeb { back }, host) => self.crash_web(host, back).await.map(Some),
            (What::CrashAgent { back } | What::KillLb { back }, host) => self.kill(host, back).await,
            (What::Stop { lasts }, host) => self.stop(host, lasts).await.map(|()| None),
            (What::Cut { lasts }, Host::Web(_)) => self.cut_web(op.on, lasts).await.map(Some),
            (What::Cut { lasts }, Host::Balancer(number)) => self.cut_balancer(number, lasts).await.map(Some),
            (What::Lose { percent, lasts }, host) => self.lose(host, percent, lasts).await.map(Some),
            (What::RestartLb { back }, host) => self.restart_lb(host, back).await.map(|()| None),
            (What::StopHaproxy { lasts }, Host::Balancer(number)) => {
                self.stop_haproxy(number, lasts).await.map(|()| None)
            }
            (What::KillHaproxy(part), Host::Balancer(number)) => self.kill_haproxy(number, part).await.map(Some),
            (What::ReloadHaproxy, Host::Balancer(number)) => self.reload(number).await.map(|()| None),
            (What::StopHaproxy { .. } | What::KillHaproxy(_) | What::ReloadHaproxy, Host::Web(_)) => Ok(None),
        };
        let broken = broken.with_context(|| format!("#{} {op}", planned.number))?;
        Ok(broken.map(|Broken { balancer, only_once, until }| Excuse {
            balancer,
            only_once,
            from,
            until,
            by: planned.number,
        }))
    }

    async fn join(&self, host: Host) -> Result<()> {
        let mut processes = self.world.processes(host).await;
        if !runs_service(host) {
            processes.web = Some(self.world.start_web(host).await?);
        }
        processes.daemon = Some(self.world.start_daemon(host)?);
        Ok(())
    }

    /// An agent that has ended was let go of by every balancer: its web server may end as rudely as it likes.
    async fn leave(&self, host: Host) -> Result<()> {
        let mut processes = self.world.processes(host).await;
        end_well(processes.daemon.take(), host).await?;
        match processes.web.take() {
            Some(mut web) => kill(Some(&mut web)).await,
            None => Ok(()),
        }
    }

    async fn crash(&self, host: Host) -> Result<Broken> {
        let mut processes = self.world.processes(host).await;
        let (mut daemon, mut web) = (processes.daemon.take(), processes.web.take());
        for process in [&mut daemon, &mut web].into_iter().flatten() {
            process.kill()?;
        }
        for process in [&mut daemon, &mut web].into_iter().flatten() {
            process.ended(PATIENCE).await?;
        }
        self.out(host, OUT).await?;
        Ok(self.broken(None, true))
    }

    async fn crash_web(&self, host: Host, back: Duration) -> Result<Broken> {
        let again = Instant::now() + back;
        let mut processes = self.world.processes(host).await;
        if runs_service(host) {
            // The agent starts another by itself; it is withdrawn and back in no time.
            kill_pid(processes::web_of(self.world, host)?)?;
            let came = async || processes::web_of(self.world, host).is_ok();
            until("the agent starts its service again", PATIENCE, came).await?;
            return Ok(self.broken(None, true));
        }
        kill(processes.web.as_mut()).await?;
        // It may be back before anybody saw that it was gone.
        let _not_seen = self.out(host, back).await;
        let broken = self.broken(None, true);
        sleep_until(again).await;
        processes.web = Some(self.world.start_web(host).await?);
        Ok(broken)
    }

    /// Kills the daemon alone: what it speaks for serves on, unless it ran it.
    async fn kill(&self, host: Host, back: Duration) -> Result<Option<Broken>> {
        let again = Instant::now() + back;
        let mut processes = self.world.processes(host).await;
        kill(processes.daemon.as_mut()).await?;
        let mut broken = None;
        if runs_service(host) {
            // It may be back before anybody saw that it was gone.
            let _not_seen = self.out(host, back).await;
            broken = Some(self.broken(None, true));
        }
        sleep_until(again).await;
        processes.daemon = Some(self.world.start_daemon(host)?);
        Ok(broken)
    }

    async fn stop(&self, host: Host, lasts: Duration) -> Result<()> {
        let processes = self.world.processes(host).await;
        let pid = processes.daemon.as_ref().context("no daemon runs")?.pid();
        pause(pid, lasts).await
    }

    async fn cut_web(&self, host: Host, lasts: Duration) -> Result<Broken> {
        let healed = Instant::now() + lasts;
        self.world.names.cut(host)?;
        let out = self.out(host, lasts.min(OUT)).await;
        let broken = self.broken(None, false);
        sleep_until(healed).await;
        self.world.names.heal(host)?;
        if lasts > OUT {
            out?;
        }
        Ok(broken)
    }

    /// A balancer that is cut off removes nobody: what it hears proves nothing.
    async fn cut_balancer(&self, number: u8, lasts: Duration) -> Result<Broken> {
        let host = Host::Balancer(number);
        self.world.names.cut(host)?;
        sleep(lasts).await;
        let shown = plane::shown(self.world, number).await;
        self.world.names.heal(host)?;
        let shown = shown.context("HAProxy does not answer though only its cable is cut")?;
        let gone: Vec<_> = names(self.steady).into_iter().filter(|name| !shown.contains_key(name)).collect();
        ensure!(gone.is_empty(), "cut off for {lasts:?}, it removed {gone:?}");
        let serves = async || {
            let shown = plane::shown(self.world, number).await;
            shown.is_ok_and(|shown| shown.values().any(|server| server.takes_requests))
        };
        until("a server passes HAProxy's check after the heal", PATIENCE, serves).await?;
        Ok(self.broken(Some(number), false))
    }

    async fn lose(&self, host: Host, percent: u8, lasts: Duration) -> Result<Broken> {
        self.world.names.lose(host, percent)?;
        sleep(lasts).await;
        self.world.names.heal(host)?;
        let balancer = if let Host::Balancer(number) = host { Some(number) } else { None };
        Ok(self.broken(balancer, false))
    }

    /// The one that comes finds HAProxy as it was left, and leaves it running.
    async fn restart_lb(&self, host: Host, back: Duration) -> Result<()> {
        let Host::Balancer(number) = host else { return Ok(()) };
        let mut processes = self.world.processes(host).await;
        let before = plane::worker(self.world, number).await?;
        end_well(processes.daemon.take(), host).await?;
        sleep(back).await;
        processes.daemon = Some(self.world.start_daemon(host)?);
        let back = async || admin::is_synced(self.world, host).await;
        until("the new lb is in step", PATIENCE, back).await?;
        let after = plane::worker(self.world, number).await?;
        ensure!(before == after, "HAProxy's worker was {before}, now it is {after}: it was not adopted as it was");
        Ok(())
    }

    async fn stop_haproxy(&self, number: u8, lasts: Duration) -> Result<()> {
        pause(plane::worker(self.world, number).await?, lasts).await
    }

    async fn kill_haproxy(&self, number: u8, part: Part) -> Result<Broken> {
        let before = plane::worker(self.world, number).await?;
        kill_pid(plane::process(self.world, number, part).await?)?;
        let serves = async || {
            plane::worker(self.world, number).await.is_ok_and(|pid| pid != before) && Client::answers(number).await
        };
        until("another HAProxy serves", OUT, serves).await?;
        Ok(self.broken(Some(number), false))
    }

    async fn reload(&self, number: u8) -> Result<()> {
        let before = plane::worker(self.world, number).await?;
        plane::signal(plane::process(self.world, number, Part::Master).await?, Signal::USR2)?;
        let another = async || plane::worker(self.world, number).await.is_ok_and(|pid| pid != before);
        until("a new worker after the reload", OUT, another).await
    }

    async fn out(&self, host: Host, limit: Duration) -> Result<()> {
        let name = host.to_string();
        until(&format!("{host} is given no more requests"), limit, async || plane::none_takes(self.world, &name).await)
            .await
    }

    fn broken(&self, balancer: Option<u8>, only_once: bool) -> Broken {
        Broken { balancer, only_once, until: self.clock.elapsed() }
    }
}

/// Which requests may have been broken, until now.
struct Broken {
    balancer: Option<u8>,
    only_once: bool,
    until: Duration,
}

/// SIGTERM; it must end by itself, with status 0.
async fn end_well(daemon: Option<Child>, host: Host) -> Result<()> {
    let mut daemon = daemon.context("no daemon runs")?;
    daemon.terminate()?;
    let status = daemon.ended(PATIENCE).await?;
    ensure!(status.is_some(), "{host} did not end within {PATIENCE:?} of SIGTERM");
    ensure!(status.is_some_and(|status: ExitStatus| status.success()), "{host} ended with {status:?}");
    Ok(())
}

async fn kill(process: Option<&mut Child>) -> Result<()> {
    let process = process.context("nothing runs")?;
    process.kill()?;
    process.ended(PATIENCE).await?;
    Ok(())
}

/// SIGSTOP, and SIGCONT after a while.
async fn pause(pid: u32, lasts: Duration) -> Result<()> {
    plane::signal(pid, Signal::STOP)?;
    sleep(lasts).await;
    Ok(plane::signal(pid, Signal::CONT)?)
}
