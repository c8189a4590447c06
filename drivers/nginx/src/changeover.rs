//! A reload that somebody else began, as a daemon that is started right after another's death finds it: for some 100 ms
//! the workers of before take connections beside the new ones, and either may say what runs.

use std::{fs, path::Path, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{sleep, timeout};

use crate::{control, lines, titles};

/// How long one is waited for. Where the daemon died before it told nginx, none is to come, and this is lost.
const LIMIT: Duration = Duration::from_secs(1);

/// How soon to look again.
const AGAIN: Duration = Duration::from_millis(5);

/// How old the youngest worker is at most while those of before are not told to retire yet: nginx gives them 100 ms.
const FRESH: Duration = Duration::from_millis(300);

/// Workers that nginx starts at once are started within this.
const TOGETHER: Duration = Duration::from_millis(20);

/// Waits until no reload of this master's is under way, as far as its workers and the file show it.
pub(crate) async fn over(master: u32, control: &Path, file: &Path) {
    let text = fs::read_to_string(file).unwrap_or_default();
    let wanted = lines::structure(&text);
    let end = async {
        while is_under_way(master, control, wanted).await {
            sleep(AGAIN).await;
        }
    };
    // Whatever it is that takes longer, the look that follows says what there is.
    let _ = timeout(LIMIT, end).await;
}

/// Whether what answers is not `wanted` yet, or another worker might answer otherwise.
async fn is_under_way(master: u32, control: &Path, wanted: Option<&str>) -> bool {
    // Asked first: whoever is started after this look answers by what is wanted, beside those of before.
    let running = control::ask(control).await.ok().flatten();
    if running.is_some_and(|running| wanted.is_some_and(|wanted| wanted != running.structure)) {
        return true;
    }
    let serving = titles::children(master).into_iter().filter(|child| !child.retiring);
    let starts: Vec<Duration> = serving.filter_map(|child| start(child.pid)).collect();
    // Without a clock no worker is fresh.
    let now = Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or(Duration::MAX);
    is_mixed(&starts, now)
}

/// Whether some were started just now, and others were not.
fn is_mixed(starts: &[Duration], now: Duration) -> bool {
    let (Some(first), Some(last)) = (starts.iter().min(), starts.iter().max()) else { return false };
    now.saturating_sub(*last) < FRESH && last.saturating_sub(*first) > TOGETHER
}

/// When a process was started, since the system was; `None` where there is none.
fn start(pid: u32) -> Option<Duration> {
    started(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The same by the process's line in `/proc`: field 22 of `proc_pid_stat(5)`.
fn started(stat: &str) -> Option<Duration> {
    /// Linux counts in these for programs, whatever it counts in itself: `USER_HZ`.
    const TICK_MS: u64 = 10;
    // The name of the program comes first, in parentheses, and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks: u64 = rest.split_whitespace().nth(19)?.parse().ok()?;
    ticks.checked_mul(TICK_MS).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ones_beside_old_ones() {
        let check = |ages: &[u64], expected: bool| {
            let starts: Vec<_> = ages.iter().map(|age| Duration::from_millis(100_000 - age)).collect();
            assert_eq!(is_mixed(&starts, Duration::from_secs(100)), expected, "{ages:?}");
        };
        check(&[], false);
        check(&[10], false);
        check(&[10, 20], false);
        check(&[90, 90, 5000, 5000], true);
        check(&[290, 5000], true);
        check(&[310, 5000], false);
        check(&[4000, 5000], false);
    }

    #[test]
    fn a_process_has_a_start() {
        let stat = |ticks: &str| {
            format!("32672 (nginx) S 32669 32663 1905 0 -1 4194624 112 0 0 0 0 0 0 0 20 0 1 0 {ticks} 1 2 3")
        };
        assert_eq!(started(&stat("4242")), Some(Duration::from_millis(42_420)));
        // After 500 days.
        assert_eq!(started(&stat("4320000000")), Some(Duration::from_secs(43_200_000)));
        assert_eq!(started("7 (a) b) S 1"), None);
        assert_eq!(start(u32::MAX), None);
        let now = Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap();
        let own = start(std::process::id()).unwrap();
        let age = now.checked_sub(own).expect("it was started before");
        assert!(age < Duration::from_secs(3600), "{age:?}");
    }
}
