//! Whose fault a failed request is. Pure.
//!
//! What happens that cannot but break requests says which, where and how long: an excuse. A failed request that
//! overlaps none is lost, and one lost request fails the run. Nothing graceful ever has an excuse: a join, a leave, `lb`
//! killed, stopped or restarted, HAProxy stopped for a moment or reloaded.

use std::{collections::BTreeMap, fmt, time::Duration};

/// A request that got no good answer. Times count from the run's beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    /// At which balancer.
    pub(crate) balancer: u8,
    /// Whether the client was a fresh one, or kept its connection alive.
    pub(crate) fresh: bool,
    /// Whether it may be sent again when a server dies over it.
    pub(crate) replayable: bool,
    /// When it was sent.
    pub(crate) began: Duration,
    /// When it was given up.
    pub(crate) ended: Duration,
    /// How it failed.
    pub(crate) how: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, client) =
            (if self.replayable { "GET" } else { "POST" }, if self.fresh { "fresh" } else { "keep-alive" });
        let (began, ended) = (self.began.as_secs_f64(), self.ended.as_secs_f64());
        write!(f, "{method} ({client}) at lb{}, {began:.3} to {ended:.3} s: {}", self.balancer, self.how)
    }
}

/// Requests that something may break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Excuse {
    /// At this balancer; at all where `None`.
    pub(crate) balancer: Option<u8>,
    /// Whether only those that may not be sent again.
    pub(crate) only_once: bool,
    /// Under way at some time from here,
    pub(crate) from: Duration,
    /// to there.
    pub(crate) until: Duration,
    /// The number of what breaks them.
    pub(crate) by: u32,
}

impl Excuse {
    fn covers(&self, failed: &Failed) -> bool {
        self.balancer.is_none_or(|balancer| balancer == failed.balancer)
            && !(self.only_once && failed.replayable)
            && failed.began <= self.until
            && failed.ended >= self.from
    }
}

/// The failed requests by what broke them, the first that fits; and those that nothing explains.
pub(crate) fn judge(failed: Vec<Failed>, excuses: &[Excuse]) -> (BTreeMap<u32, usize>, Vec<Failed>) {
    let (mut by, mut lost) = (BTreeMap::new(), Vec::new());
    for one in failed {
        match excuses.iter().find(|excuse| excuse.covers(&one)) {
            Some(excuse) => *by.entry(excuse.by).or_default() += 1,
            None => lost.push(one),
        }
    }
    (by, lost)
}
