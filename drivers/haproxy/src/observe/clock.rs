//! How long a server has been as it is, as far as this daemon saw: HAProxy's own clock starts anew with every
//! change of a check.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Observed, Place};
use crate::protocol::ServerPath;

/// What was seen when.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    leaving: BTreeMap<Place, Instant>,
    down: BTreeMap<Place, Instant>,
    denied: BTreeMap<ServerPath, Instant>,
}

impl Clock {
    /// Fills in the times of an observation made now, and forgets what is no longer so.
    pub fn stamp(&mut self, observed: &mut Observed, now: Instant) {
        let leaving = observed.leaving.iter_mut().map(|(place, leaving)| (place, &mut leaving.lasted));
        self.leaving = seen(&self.leaving, leaving, now);
        self.down = seen(&self.down, observed.down.iter_mut(), now);
        let denied = self.denied.iter().map(|(path, since)| (path.clone(), now.saturating_duration_since(*since)));
        observed.denied = denied.collect();
    }

    /// Remembers of which servers a plan's commands were refused; the others are forgotten, for what is still
    /// wanted is planned again each time.
    pub fn denied(&mut self, servers: impl IntoIterator<Item = ServerPath>, now: Instant) {
        let before = std::mem::take(&mut self.denied);
        let since = |path: &ServerPath| before.get(path).copied().unwrap_or(now);
        self.denied = servers.into_iter().map(|path| (path.clone(), since(&path))).collect();
    }
}

fn seen<'a>(
    before: &BTreeMap<Place, Instant>,
    places: impl Iterator<Item = (&'a Place, &'a mut Duration)>,
    now: Instant,
) -> BTreeMap<Place, Instant> {
    let stamped = places.map(|(place, lasted)| {
        let since = before.get(place).copied().unwrap_or(now);
        *lasted = now.saturating_duration_since(since);
        (place.clone(), since)
    });
    stamped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layout::BackendName, observe::Leaving};

    #[test]
    fn counts_from_the_first_sight_and_starts_anew() {
        let place: Place = (BackendName::spare(1), "web1".parse().unwrap());
        let mut clock = Clock::default();
        let begun = Instant::now();
        let mut check = |after: u64, leaves: bool, expected: Option<u64>| {
            let mut observed = Observed::default();
            if leaves {
                observed.leaving.insert(place.clone(), Leaving::default());
            }
            clock.stamp(&mut observed, begun + Duration::from_secs(after));
            let lasted = observed.leaving.get(&place).map(|l| l.lasted.as_secs());
            assert_eq!(lasted, expected, "after {after} s");
        };
        check(0, true, Some(0));
        check(3, true, Some(3));
        check(4, false, None);
        check(5, true, Some(0));
    }
}
