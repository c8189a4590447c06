//! A driver, used as the daemon's loop uses it: observe, plan, apply.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use backchat::model::Desired;
use backchat_contract::{Driver, Mode, Step};

use crate::figures::Figures;

/// What the parts of one step took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phases {
    observe: Duration,
    plan: Duration,
    apply: Duration,
    /// What follows once it is served: files, from which the next start serves it.
    rest: Duration,
}

impl Phases {
    /// Until it is served.
    pub(crate) fn until_served(self) -> Duration {
        self.observe + self.plan + self.apply
    }

    /// Their medians.
    pub(crate) fn show(all: &[Self]) -> String {
        let median = |part: fn(&Self) -> Duration| Figures::seconds(&all.iter().map(part).collect::<Vec<_>>()).show();
        let [observe, plan] = [median(|p| p.observe), median(|p| p.plan)];
        let [apply, rest] = [median(|p| p.apply), median(|p| p.rest)];
        format!("observe {observe}, plan {plan}, apply {apply}, files behind it {rest}")
    }
}

/// Steps until nothing is left to do.
pub(crate) async fn converge(driver: &mut impl Driver, desired: &Desired) -> Result<()> {
    driver.ensure().await?;
    loop {
        let observed = driver.observe().await?;
        match driver.plan(desired, &observed, Mode::default()) {
            Step::Converged => return Ok(()),
            Step::Waiting { recheck, .. } => tokio::time::sleep(recheck).await,
            Step::Change(plan) => _ = driver.apply(plan).await?,
        }
    }
}

/// A change as the daemon follows it, which has `read` back what it did before: at once where the driver knows how, and
/// else by a step.
pub(crate) async fn follow<D: Driver>(driver: &mut D, read: D::Observed, desired: &Desired) -> Result<Phases> {
    let begun = Instant::now();
    let Some(first) = driver.at_once(desired, &read) else { return step(driver, desired).await };
    let plan = begun.elapsed();
    let report = driver.apply(first).await?;
    let apply = begun.elapsed().saturating_sub(plan);
    ensure!(!report.stale && report.refused.is_empty(), "stale {}, refused {:?}", report.stale, report.refused);
    let behind = Instant::now();
    step(driver, desired).await?;
    Ok(Phases { observe: Duration::ZERO, plan, apply, rest: behind.elapsed() })
}

/// One step, which has something to do.
pub(crate) async fn step(driver: &mut impl Driver, desired: &Desired) -> Result<Phases> {
    let begun = Instant::now();
    let observed = driver.observe().await?;
    let observe = begun.elapsed();
    let Step::Change(plan) = driver.plan(desired, &observed, Mode::default()) else { bail!("nothing to change") };
    let planned = begun.elapsed();
    let report = driver.apply(plan).await?;
    let apply = begun.elapsed().saturating_sub(planned);
    ensure!(!report.stale && report.refused.is_empty(), "stale {}, refused {:?}", report.stale, report.refused);
    Ok(Phases { observe, plan: planned.saturating_sub(observe), apply, rest: Duration::ZERO })
}

/// Ends its data plane.
pub(crate) async fn stop(driver: &mut impl Driver) -> Result<()> {
    driver.stop(Duration::from_secs(1)).await.context("stop the data plane")
}
