//! The numbers of each profile, as the README shows them: `make sweep` prints the table.

use std::time::Duration;

use backchat::cluster::profile::Profile;

use super::crashes::{Crashes, End, Times};

/// How often each is measured.
const TIMES: usize = 100;

/// Half and all but one in a hundred of the times, in milliseconds.
struct Shares(Vec<Duration>);

impl Shares {
    fn of<T>(all: &[T], time: impl Fn(&T) -> Duration) -> Self {
        let mut times: Vec<_> = all.iter().map(time).collect();
        times.sort();
        Self(times)
    }

    /// The time within which so many in a hundred lie.
    fn percent(&self, percent: usize) -> u128 {
        let at = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(at - 1).map_or(0, Duration::as_millis)
    }

    fn both(&self) -> String {
        format!("{} / {}", self.percent(50), self.percent(99))
    }
}

fn row(profile: Profile, size: usize) -> String {
    let mut cluster = Crashes::new(size, profile, 0.0);
    let mut crashes = |end| -> Vec<Times> { (0..TIMES).map(|_| cluster.crash(end)).collect() };
    let (refused, silent) = (crashes(End::Process), crashes(End::Host));
    let told: Vec<_> = (0..TIMES).map(|_| cluster.tell()).collect();
    let columns = [
        Shares::of(&refused, |t| t.out).both(),
        Shares::of(&refused, |t| t.everywhere).percent(99).to_string(),
        Shares::of(&silent, |t| t.suspect).both(),
        Shares::of(&silent, |t| t.out).both(),
        Shares::of(&silent, |t| t.everywhere).percent(99).to_string(),
        Shares::of(&told, |t| t.0).both(),
        Shares::of(&told, |t| t.1).both(),
    ];
    format!("| {}, {size} | {} |", profile.name, columns.join(" | "))
}

#[test]
#[ignore = "make sweep: some minutes"]
fn the_numbers_of_each_profile() {
    println!(
        "| ms, p50 / p99 | process dead: out | known to all, p99 | host dead: suspect | out | known to all, p99 | a change: at the balancer | at all |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (profile, size) in
        [(Profile::LOCAL, 10), (Profile::LAN, 10), (Profile::LAN, 100), (Profile::WAN, 10), (Profile::WAN, 100)]
    {
        println!("{}", row(profile, size));
    }
}
