//! A reload that somebody else began, as a daemon that is started right after another's death finds it: for some 100 ms
//! the workers of before take connections beside the new ones, and either may say what runs.

use std::{fs, path::Path, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, sleep};

use crate::{control, lines, titles};

/// How long one is waited for. Where the daemon died before it told nginx, none is to come, and this is lost.
const LIMIT: Duration = Duration::from_millis(500);

/// How soon to look again.
const AGAIN: Duration = Duration::from_millis(5);

/// How old the youngest worker is at most while those of before are not told to retire yet: nginx gives them 100 ms.
const FRESH: Duration = Duration::from_millis(300);

/// Workers that nginx starts at once are started within this.
const TOGETHER: Duration = Duration::from_millis(20);

/// Waits until no reload of this master's is under way, as far as its workers and the file show it.
pub(crate) async fn over(master: u32, control: &Path, file: &Path) {
    let deadline = Instant::now() + LIMIT;
    while is_under_way(master, control, file).await && Instant::now() < deadline {
        sleep(AGAIN).await;
    }
}

async fn is_under_way(master: u32, control: &Path, file: &Path) -> bool {
    let serving = titles::children(master).into_iter().filter(|child| !child.retiring);
    let ages: Vec<Duration> = serving.filter_map(|child| age(child.pid)).collect();
    if is_mixed(&ages) {
        return true;
    }
    let Some(kept) = fs::read_to_string(file).ok().as_deref().and_then(lines::parse) else { return false };
    // Whom nobody answers, nobody answers by a configuration of before.
    let running = control::ask(control).await.ok().flatten();
    running.is_some_and(|running| running.structure != kept.structure)
}

/// Whether some are new and others are not.
fn is_mixed(ages: &[Duration]) -> bool {
    let (Some(youngest), Some(oldest)) = (ages.iter().min(), ages.iter().max()) else { return false };
    *youngest < FRESH && *oldest - *youngest > TOGETHER
}

/// How long a process lives; `None` where it does not.
fn age(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let now = Duration::try_from(clock_gettime(ClockId::Boottime)).ok()?;
    Some(now.saturating_sub(started(&stat)?))
}

/// When a process was started, since the system was, by its line in `/proc`: field 22 of `proc_pid_stat(5)`.
fn started(stat: &str) -> Option<Duration> {
    /// Linux counts in these for programs, whatever it counts in itself: `USER_HZ`.
    const TICK: Duration = Duration::from_millis(10);
    // The name of the program comes first, in parentheses, and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks: u32 = rest.split_whitespace().nth(19)?.parse().ok()?;
    Some(TICK * ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ones_beside_old_ones() {
        let check = |ages: &[u64], expected: bool| {
            let ages: Vec<_> = ages.iter().map(|age| Duration::from_millis(*age)).collect();
            assert_eq!(is_mixed(&ages), expected, "{ages:?}");
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
    fn a_process_has_an_age() {
        let stat = "32672 (nginx) S 32669 32663 1905 0 -1 4194624 112 0 0 0 0 0 0 0 20 0 1 0 4242 1 2 3";
        assert_eq!(started(stat), Some(Duration::from_millis(42_420)));
        assert_eq!(started("7 (a) b) S 1"), None);
        assert!(age(std::process::id()).unwrap() < Duration::from_secs(3600));
        assert_eq!(age(u32::MAX), None);
    }
}
