//! What the run prints: a line for everything that happens, what went wrong and how to see it again, and the sums.

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use anyhow::{Result, ensure};
use tokio::time::Instant;

use super::{
    blame::{Excuse, Failed, judge},
    growth::Growth,
    load::Tally,
    schedule::Round,
};

/// Lost requests shown one by one, at most.
const SHOWN: usize = 20;

/// What has happened so far.
#[derive(Debug)]
pub(crate) struct Report {
    clock: Instant,
    rounds: u32,
    kinds: BTreeMap<u32, &'static str>,
    requests: u64,
    excused: BTreeMap<&'static str, u64>,
    lost: u64,
    settled: Vec<Duration>,
    reached: Vec<u64>,
}

impl Report {
    /// An empty one; times count from `clock`.
    pub(crate) fn new(clock: Instant) -> Self {
        Self {
            clock,
            rounds: 0,
            kinds: BTreeMap::new(),
            requests: 0,
            excused: BTreeMap::new(),
            lost: 0,
            settled: Vec::new(),
            reached: Vec::new(),
        }
    }

    /// A line with its time.
    pub(crate) fn say(&self, line: impl fmt::Display) {
        println!("{:8.1} s  {line}", self.clock.elapsed().as_secs_f64());
    }

    /// A round begins.
    pub(crate) fn round(&mut self, round: &Round) {
        self.rounds += 1;
        self.kinds.extend(round.ops.iter().map(|planned| (planned.number, planned.op.what.kind())));
    }

    /// Counts requests; an error names those that were lost.
    pub(crate) fn requests(&mut self, tally: Tally, excuses: &[Excuse]) -> Result<()> {
        self.requests += tally.sent();
        let (by, lost) = judge(tally.failed, excuses);
        for (number, count) in by {
            *self.excused.entry(self.kinds.get(&number).copied().unwrap_or("?")).or_default() += count as u64;
        }
        let count = lost.len() + tally.more;
        self.lost += count as u64;
        ensure!(count == 0, "{count} requests were lost that nothing excuses:\n{}", words(&lost, excuses));
        Ok(())
    }

    /// All has settled.
    pub(crate) fn settled(&mut self, took: Duration) {
        self.settled.push(took);
    }

    /// So many requests at each balancer have reached every web server.
    pub(crate) fn reached(&mut self, requests: u64) {
        self.reached.push(requests);
    }

    /// How many things have happened, requests were sent, and failed.
    pub(crate) fn totals(&self) -> String {
        let (ops, excused) = (self.kinds.len(), self.excused.values().sum::<u64>());
        format!("{} rounds, {ops} ops, {} requests: {} lost, {excused} excused", self.rounds, self.requests, self.lost)
    }

    /// The sums, at the end.
    pub(crate) fn summary(&self, growth: &Growth) -> String {
        let mut lines = vec![format!("{} in {:.0?}", self.totals(), self.clock.elapsed())];
        let mut ops = BTreeMap::<_, u64>::new();
        for kind in self.kinds.values() {
            *ops.entry(kind).or_default() += 1;
        }
        lines.extend(ops.into_iter().map(|(kind, count)| {
            let broken = self.excused.get(kind).copied().unwrap_or_default();
            format!("  {count:5} × {kind:<22} {broken:4} requests broken")
        }));
        lines.push(format!(
            "settled after {}; every web server reached within {} requests",
            spread(&self.settled),
            spread(&self.reached)
        ));
        lines.push(match growth.most() {
            Some((kib, name)) => format!("most memory gained since warm: {kib} KiB, by {name}"),
            None => "too short to see whether memory grows".into(),
        });
        lines.join("\n")
    }
}

/// Median and worst.
fn spread<T: Ord + Clone + fmt::Debug>(values: &[T]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    match (sorted.get(sorted.len() / 2), sorted.last()) {
        (Some(median), Some(worst)) => format!("{median:.1?} (worst {worst:.1?})"),
        _ => "?".into(),
    }
}

fn words(lost: &[Failed], excuses: &[Excuse]) -> String {
    let mut lines: Vec<_> = lost.iter().take(SHOWN).map(|failed| format!("  {failed}")).collect();
    lines.extend(excuses.iter().map(|excuse| {
        let Excuse { balancer, only_once, from, until, by } = excuse;
        let place = balancer.map_or("all balancers".into(), |number| format!("lb{number}"));
        let which = if *only_once { "POST" } else { "any request" };
        format!("  (#{by} excuses {which} at {place}, {:.3} to {:.3} s)", from.as_secs_f64(), until.as_secs_f64())
    }));
    lines.join("\n")
}

/// How to see a failure again.
pub(crate) fn again(seed: u64, round: u32, time: Duration, logs: &Path) -> String {
    format!(
        "seed {seed}, round {round}. The same again: make chaos SEED={seed} TIME={time}; from that round on: make chaos \
         SEED={seed} FROM={round} TIME={time}. Logs: {logs}",
        time = humantime::format_duration(time),
        logs = logs.display(),
    )
}
