//! The run itself: rounds of disorder, each followed by a quiet time in which all must be well.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    blame::Excuse,
    checks,
    doing::Doing,
    growth::Growth,
    load::{Load, TIMEOUT, Tally},
    op::{Host, Op, What},
    plane, processes,
    pulse::Pulse,
    report::Report,
    schedule::{BALANCERS, Planned, Round, Schedule},
    world::{AGAIN, World},
};

/// How many requests may go by a web server at each balancer once all has settled: HAProxy's roundrobin lets one that
/// comes back wait, for a cycle as long as the sum of all weights and sometimes longer.
const REACHED: u64 = 20_000;
/// How long the usual traffic may take to reach all before more is sent.
const SOON: Duration = Duration::from_secs(5);
/// How many more requests at a time.
const MORE: usize = 250;

/// A run under way.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    world: &'a World,
    clock: Instant,
    excuses: Vec<Excuse>,
    workers: BTreeMap<u8, u32>,
    /// Whether the machine has time for all of this.
    pub(crate) pulse: Pulse,
    /// The round that is on, for whoever reports its failure.
    pub(crate) round: u32,
    /// What has happened.
    pub(crate) report: Report,
    /// What the processes use.
    pub(crate) growth: Growth,
}

impl<'a> Run<'a> {
    /// A run that begins now.
    pub(crate) fn new(world: &'a World) -> Self {
        let clock = Instant::now();
        let (report, growth) = (Report::new(clock), Growth::default());
        let (excuses, workers, pulse) = (Vec::new(), BTreeMap::new(), Pulse::start());
        Self { world, clock, excuses, workers, pulse, round: 0, report, growth }
    }

    /// Runs the rounds of this seed, from this one on, until the time is over.
    pub(crate) async fn rounds(&mut self, seed: u64, from: u32, time: Duration) -> Result<()> {
        let mut rounds = Schedule::new(seed).skip_while(|round| round.number < from).peekable();
        if let Some(first) = rounds.peek() {
            self.round = first.number;
            self.start(first).await?;
        }
        let load = Load::start(self.clock)?;
        let began = Instant::now();
        for round in rounds {
            if began.elapsed() >= time {
                break;
            }
            self.round = round.number;
            self.disorder(&round).await?;
            self.quiet(&round, &load).await?;
        }
        self.report.requests(load.stop().await, &self.excuses)
    }

    /// Starts what runs before a round.
    async fn start(&mut self, round: &Round) -> Result<()> {
        for number in 1..=BALANCERS {
            let host = Host::Balancer(number);
            self.world.processes(host).await.daemon = Some(self.world.start_daemon(host)?);
        }
        let doing = Doing { world: self.world, clock: self.clock, steady: &round.before };
        let join =
            |web: &u8| Planned { number: 0, at: Duration::ZERO, op: Op { on: Host::Web(*web), what: What::Join } };
        try_join_all(round.before.iter().map(|web| doing.perform(join(web)))).await?;
        let took = checks::settled(self.world, &round.before, &self.pulse).await.context("at the start")?;
        self.report
            .say(format_args!("{BALANCERS} balancers, {} web servers: settled after {took:.1?}", round.before.len()));
        Ok(())
    }

    async fn disorder(&mut self, round: &Round) -> Result<()> {
        self.report.round(round);
        let (began, steady) = (Instant::now(), round.steady());
        let doing = Doing { world: self.world, clock: self.clock, steady: &steady };
        let report = &self.report;
        let all = round.ops.iter().map(async |planned| {
            sleep_until(began + planned.at).await;
            report.say(format_args!("#{} {}", planned.number, planned.op));
            doing.perform(*planned).await
        });
        // All to their end, though one fails: what it broke is worth knowing too.
        let outcomes = join_all(all).await;
        let now = self.clock.elapsed();
        // A request that was under way then may fail a while later.
        self.excuses.retain(|excuse| excuse.until + 2 * TIMEOUT > now);
        for outcome in outcomes {
            self.excuses.extend(outcome?);
        }
        Ok(())
    }

    async fn quiet(&mut self, round: &Round, load: &Load) -> Result<()> {
        let took = checks::settled(self.world, &round.after, &self.pulse).await?;
        self.report.settled(took);
        self.report.requests(load.take(), &self.excuses)?;
        let quiet = Instant::now();
        let reached = self.reached(round, load).await?;
        self.report.reached(reached);
        self.workers_stay(round).await?;
        // While nobody gets time, the suspects of a moment are nobody's fault; that all settles again still holds.
        if !self.pulse.stalled_since(quiet) {
            checks::planes_show(self.world, &round.after).await.context("after all was quiet")?;
        }
        checks::settled(self.world, &round.after, &self.pulse).await.context("after all was quiet")?;
        processes::measure(self.world, &mut self.growth, self.clock.elapsed())?;
        self.report.say(format_args!(
            "round {}: settled after {took:.1?}, {} web servers; {}",
            round.number,
            round.after.len(),
            self.report.totals()
        ));
        Ok(())
    }

    /// Nobody reloads or restarts a HAProxy but the chaos itself.
    async fn workers_stay(&mut self, round: &Round) -> Result<()> {
        for balancer in 1..=BALANCERS {
            let worker = plane::worker(self.world, balancer).await?;
            let replaced = |planned: &Planned| {
                let what = planned.op.what;
                planned.op.on == Host::Balancer(balancer) && matches!(what, What::KillHaproxy(_) | What::ReloadHaproxy)
            };
            let before = self.workers.insert(balancer, worker);
            let stayed = before.is_none_or(|before| before == worker) || round.ops.iter().any(replaced);
            ensure!(
                stayed,
                "lb{balancer}: HAProxy's worker was {before:?}, now it is {worker}: nothing called for that"
            );
        }
        Ok(())
    }

    /// Waits until every web server was reached, and in any case for as long as it is to be quiet; returns how many
    /// requests that took.
    async fn reached(&mut self, round: &Round, load: &Load) -> Result<u64> {
        let (began, mut all, mut took) = (Instant::now(), Tally::default(), None);
        while took.is_none() || began.elapsed() < round.quiet {
            sleep(AGAIN).await;
            if took.is_none() && began.elapsed() > SOON {
                load.hurry(MORE, self.clock).await?;
            }
            let tally = load.take();
            all.add(&tally);
            self.report.requests(tally, &self.excuses)?;
            match checks::reached(&all, &round.after) {
                Ok(()) => took = took.or(Some(all.sent())),
                Err(why) if all.sent() > REACHED => return Err(why.context("while all was quiet")),
                Err(_) => {}
            }
        }
        // Those that came later count too: nobody else may have been reached.
        checks::reached(&all, &round.after).context("while all was quiet")?;
        Ok(took.unwrap_or_default() / u64::from(BALANCERS))
    }
}
