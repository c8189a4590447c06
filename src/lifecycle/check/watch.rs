//! A check at work beside its service: for each run anew, often until the first pass, then at its pace.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Check, Own, Probe, streak::Streak};
use crate::lifecycle::{Phase, shell::Shell};

/// From the first look to the second. Doubled after each that fails, up to the interval: a service that is up after
/// 30 ms need not wait for its second second.
const SOON: Duration = Duration::from_millis(20);

/// What a check has found of one run of its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which run.
    pub run: u32,
    /// Whether it is up.
    pub up: bool,
    /// Why the last look did not pass.
    pub why: Option<String>,
}

/// Looks after the service, run by run, and reports whenever something is another; until nobody knows of runs any
/// more. `own` says this node's address.
pub async fn watch(check: Check, own: Own, phase: watch::Receiver<Phase>, report: impl Fn(Outcome)) {
    watch_with(Probe::new(check, own, Shell::Bound), phase, report).await;
}

pub(super) async fn watch_with(probe: Probe, mut phase: watch::Receiver<Phase>, report: impl Fn(Outcome)) {
    loop {
        let running = phase.wait_for(|phase| matches!(phase, Phase::Running(_))).await.map(|phase| phase.clone());
        let Ok(Phase::Running(run)) = running else { return };
        tokio::select! {
            () = one_run(&probe, run, &report) => {}
            // A look that is under way is of no use any more.
            ended = phase.wait_for(|now| *now != Phase::Running(run)) => if ended.is_err() { return },
        }
    }
}

async fn one_run(probe: &Probe, run: u32, report: &impl Fn(Outcome)) {
    let Check { pace, service, first_only, .. } = &probe.check;
    let (mut streak, mut pause) = (Streak::default(), SOON.min(pace.interval));
    let (mut ever_up, mut said) = (false, false);
    loop {
        let began = Instant::now();
        let why = probe.look().await.err();
        let before = streak;
        streak = before.after(why.is_none(), *pace);
        if streak.up != before.up {
            log(service, streak.up, why.as_deref());
        } else if !ever_up && !said && pause == pace.interval {
            tracing::warn!(service, "does not pass its check yet: {}", why.as_deref().unwrap_or_default());
            said = true;
        }
        report(Outcome { run, up: streak.up, why });
        ever_up |= streak.up;
        if ever_up && *first_only {
            std::future::pending::<()>().await;
        }
        sleep_until(began + if ever_up { pace.interval } else { pause }).await;
        pause = (pause * 2).min(pace.interval);
    }
}

fn log(service: &str, up: bool, why: Option<&str>) {
    if up {
        tracing::info!(service, "passes its check");
    } else {
        tracing::warn!(service, "fails its check: {}", why.unwrap_or_default());
    }
}
