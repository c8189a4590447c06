//! A driver at work on its rig: steps it as the reconcile loop does, and asks its data plane.

use std::{fmt::Debug, time::Duration};

use backchat_contract::{Desired, Driver, Mode, PlanView, Policies, Report, Step};
use tokio::time::{Instant, sleep};

use super::{
    rig::{Rig, Ruled},
    web::{self, LONG},
    words::Wanted,
};

/// A rig with its driver.
pub(crate) struct Bench<R: Rig> {
    pub(crate) rig: R,
    pub(crate) driver: R::Driver,
}

/// What it took to converge.
#[derive(Debug, Default)]
pub(crate) struct Way {
    /// The plans that were applied, as people read them.
    pub(crate) plans: Vec<PlanView>,
    /// What came of them.
    pub(crate) reports: Vec<Report>,
}

impl Way {
    pub(crate) fn reloads(&self) -> usize {
        self.reports.iter().filter(|r| r.reloaded).count()
    }

    pub(crate) fn commands(&self) -> Vec<&str> {
        self.plans.iter().flat_map(|p| &p.commands).map(String::as_str).collect()
    }
}

impl<R: Rig> Bench<R> {
    /// A data plane that runs and holds nothing.
    pub(crate) async fn start() -> Self {
        let rig = R::new();
        let mut driver = rig.driver();
        driver.ensure().await.unwrap();
        Self { rig, driver }
    }

    /// The same, with these policies.
    pub(crate) async fn ruled(policies: Policies) -> Self
    where
        R: Ruled,
    {
        let rig = R::new();
        let mut driver = rig.ruled(policies);
        driver.ensure().await.unwrap();
        Self { rig, driver }
    }

    /// A data plane that holds this.
    pub(crate) async fn with(wanted: &Wanted) -> Self {
        let mut bench = Self::start().await;
        bench.converge(wanted).await;
        bench
    }

    pub(crate) async fn observe(&mut self) -> <R::Driver as Driver>::Observed {
        self.driver.observe().await.unwrap()
    }

    pub(crate) async fn live(&mut self) -> Desired {
        let observed = self.observe().await;
        self.driver.live(&observed)
    }

    /// One step; what it planned.
    pub(crate) async fn step(&mut self, wanted: &Wanted, mode: Mode) -> (Step<PlanView>, Option<Report>) {
        self.driver.ensure().await.unwrap();
        let observed = self.observe().await;
        match self.driver.plan(&wanted.0, &observed, mode) {
            Step::Converged => (Step::Converged, None),
            Step::Waiting { why, recheck } => (Step::Waiting { why, recheck }, None),
            Step::Change(plan) => {
                let view = self.driver.view(&plan);
                let report = self.driver.apply(plan).await.unwrap();
                assert_eq!(report.refused, [], "{:#?}", view.commands);
                (Step::Change(view), Some(report))
            }
        }
    }

    /// Steps until nothing is left to do; then what is live is what was wanted.
    pub(crate) async fn converge(&mut self, wanted: &Wanted) -> Way {
        let way = self.until(wanted, Mode::default(), |step| *step == Step::Converged).await;
        assert_eq!(self.live().await, wanted.0);
        way
    }

    /// Converges as the daemon does, which looks again: a process that retires may have taken the last push.
    pub(crate) async fn settle(&mut self, wanted: &Wanted) {
        let deadline = Instant::now() + LONG;
        while self.live().await != wanted.0 {
            assert!(Instant::now() < deadline, "never as wanted");
            self.until(wanted, Mode::default(), |step| *step == Step::Converged).await;
        }
    }

    /// Steps until a step is this.
    pub(crate) async fn until(&mut self, wanted: &Wanted, mode: Mode, is: impl Fn(&Step<PlanView>) -> bool) -> Way {
        let deadline = Instant::now() + LONG;
        let mut way = Way::default();
        loop {
            let (step, report) = self.step(wanted, mode).await;
            let done = is(&step);
            let pause = if let Step::Waiting { recheck, .. } = &step { *recheck } else { Duration::ZERO };
            assert!(done || Instant::now() < deadline, "still {step:#?}");
            if let Step::Change(view) = step {
                way.plans.push(view);
            }
            way.reports.extend(report);
            if done {
                return way;
            }
            sleep(pause).await;
        }
    }

    pub(crate) async fn get(&self, host: &str, path: &str) -> (u16, String) {
        web::get(self.rig.http(), host, path).await
    }

    /// Asks until the answer is this one.
    pub(crate) async fn comes_to(&self, host: &str, path: &str, status: u16, body: &str) {
        self.eventually(&format!("{host}{path} answers {status} {body}"), async || {
            self.get(host, path).await == (status, body.to_owned())
        })
        .await;
    }

    /// Asks until every one of these servers has answered, and nobody else.
    pub(crate) async fn spreads_over(&self, host: &str, expected: &[&str]) {
        let deadline = Instant::now() + LONG;
        loop {
            let mut seen = std::collections::BTreeSet::new();
            for _ in 0..expected.len().max(1) * 8 {
                let (status, body) = self.get(host, "/").await;
                seen.insert(if status == 200 { body } else { status.to_string() });
            }
            if seen.iter().map(String::as_str).eq(expected.iter().copied()) {
                return;
            }
            assert!(Instant::now() < deadline, "{host} is answered by {seen:?}, not by {expected:?}");
        }
    }

    /// Waits until something holds.
    pub(crate) async fn eventually(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + LONG;
        while !holds().await {
            assert!(Instant::now() < deadline, "in vain: {what}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The error of a result that must be one, in words.
pub(crate) fn refusal<T: Debug, E: ToString>(result: Result<T, E>) -> String {
    result.map_err(|e| e.to_string()).unwrap_err()
}
