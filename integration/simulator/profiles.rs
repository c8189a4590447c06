//! The numbers of each profile, as the README shows them, and the bounds that they keep.

use std::time::Duration;

use backchat::cluster::profile::Profile;

use super::{
    crashes::{Crashes, EVERYWHERE, End, OUT, Times},
    report::{Job, Line, Table},
};

const HEAD: &[&str] = &[
    "profile, members",
    "process dead: out",
    "known to all, p99",
    "host dead: suspect",
    "out",
    "known to all, p99",
    "a change: at the balancer",
    "at all",
];

/// What is measured, smaller clusters first.
const CASES: [Case; 7] = [
    Case { profile: Profile::LOCAL, size: 10, loss: 0.0 },
    Case { profile: Profile::LAN, size: 10, loss: 0.0 },
    Case { profile: Profile::WAN, size: 10, loss: 0.0 },
    Case { profile: Profile::LOCAL, size: 100, loss: 0.0 },
    Case { profile: Profile::LAN, size: 100, loss: 0.0 },
    Case { profile: Profile::LAN, size: 100, loss: 0.1 },
    Case { profile: Profile::WAN, size: 100, loss: 0.0 },
];

/// A cluster and its network.
#[derive(Clone, Copy)]
struct Case {
    profile: Profile,
    size: usize,
    loss: f64,
}

/// What was measured of a case.
struct Numbers {
    /// Crashes whose hosts refused connections.
    refused: Vec<Times>,
    /// Crashes after which nothing came back.
    silent: Vec<Times>,
    /// How long a change took to the balancer, and to all.
    told: Vec<(Duration, Duration)>,
}

/// The table of all of them, each measured so many times.
pub(super) fn table(times: usize) -> Table {
    let job = |case: Case| -> Job { Box::new(move || case.line(times)) };
    Table { head: HEAD, jobs: CASES.map(job).into() }
}

impl Case {
    fn line(self, times: usize) -> Line {
        let numbers = self.measure(times);
        // That much is promised of this one; the others are only shown.
        let is_bounded = self.profile == Profile::LAN && self.size == 100;
        Line { row: self.row(&numbers), wrong: numbers.late().filter(|_| is_bounded) }
    }

    fn measure(self, times: usize) -> Numbers {
        let mut cluster = Crashes::new(self.size, self.profile, self.loss);
        let mut crashes = |end| (0..times).map(|_| cluster.crash(end)).collect();
        let (refused, silent) = (crashes(End::Process), crashes(End::Host));
        let told = (0..times).map(|_| cluster.tell()).collect();
        Numbers { refused, silent, told }
    }

    fn row(self, numbers: &Numbers) -> String {
        let Numbers { refused, silent, told } = numbers;
        let columns = [
            Shares::of(refused, |t| t.out).both(),
            Shares::of(refused, |t| t.everywhere).percent(99).as_millis().to_string(),
            Shares::of(silent, |t| t.suspect).both(),
            Shares::of(silent, |t| t.out).both(),
            Shares::of(silent, |t| t.everywhere).percent(99).as_millis().to_string(),
            Shares::of(told, |t| t.0).both(),
            Shares::of(told, |t| t.1).both(),
        ];
        let loss = if self.loss > 0.0 { format!(", {} % loss", self.loss * 100.0) } else { String::new() };
        format!("| {}, {}{loss} | {} |", self.profile.name, self.size, columns.join(" | "))
    }
}

impl Numbers {
    /// What breaks the bounds of the issue: how soon all but one in a hundred are out, and how soon everybody knows of
    /// each.
    fn late(&self) -> Option<String> {
        let late = |(what, crashes): (&str, &[Times])| {
            let (out, everywhere) = (Shares::of(crashes, |t| t.out), Shares::of(crashes, |t| t.everywhere));
            let (out, everywhere) = (out.percent(99), everywhere.percent(100));
            let is_late = out > OUT || everywhere > EVERYWHERE;
            is_late.then(|| format!("{what}: out after {out:?} (p99), known to all after {everywhere:?} (worst)"))
        };
        let late: Vec<_> =
            [("process", &self.refused[..]), ("host", &self.silent)].into_iter().filter_map(late).collect();
        (!late.is_empty()).then(|| late.join("; "))
    }
}

/// Times in their order.
struct Shares(Vec<Duration>);

impl Shares {
    fn of<T>(all: &[T], time: impl Fn(&T) -> Duration) -> Self {
        let mut times: Vec<_> = all.iter().map(time).collect();
        times.sort();
        Self(times)
    }

    /// The time within which so many in a hundred lie.
    fn percent(&self, percent: usize) -> Duration {
        let at = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(at - 1).copied().unwrap_or_default()
    }

    /// Half and all but one in a hundred, in milliseconds.
    fn both(&self) -> String {
        format!("{} / {}", self.percent(50).as_millis(), self.percent(99).as_millis())
    }
}

/// A hundred crashes of which `late` took so long.
#[track_caller]
fn check_late(late: usize, out: Duration, everywhere: Duration, is_wrong: bool) {
    let times = |(out, everywhere)| Times { suspect: Duration::ZERO, out, everywhere };
    let all = [vec![times((OUT, EVERYWHERE)); 100 - late], vec![times((out, everywhere)); late]].concat();
    let soon = vec![times((OUT, EVERYWHERE)); 100];
    for (refused, silent) in [(all.clone(), soon.clone()), (soon, all)] {
        let numbers = Numbers { refused, silent, told: Vec::new() };
        assert_eq!(numbers.late().is_some(), is_wrong, "{late} of a hundred took {out:?}, {everywhere:?}");
    }
}

#[test]
fn what_is_late_is_wrong() {
    let more = Duration::from_millis(1);
    check_late(0, OUT, EVERYWHERE, false);
    check_late(1, OUT + more, EVERYWHERE, false);
    check_late(2, OUT + more, EVERYWHERE, true);
    check_late(1, OUT, EVERYWHERE + more, true);
}
