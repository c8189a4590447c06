//! The network between simulated nodes: delay, loss, splits. Knows addresses and nothing of what is sent.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use rand::{RngExt, rngs::StdRng};

/// What the network does to packets.
#[derive(Debug)]
pub(super) struct Network {
    rng: StdRng,
    /// The share of packets that are lost, each by itself.
    pub(super) loss: f64,
    /// The shortest and the longest way, in microseconds.
    pub(super) delay: (u64, u64),
    /// Which side of a split an address is on; the same where it is not named.
    sides: BTreeMap<SocketAddr, u32>,
    /// Ways that are cut in one direction.
    cuts: Vec<(SocketAddr, SocketAddr)>,
}

impl Network {
    pub(super) fn new(rng: StdRng) -> Self {
        Self { rng, loss: 0.0, delay: (200, 2000), sides: BTreeMap::new(), cuts: Vec::new() }
    }

    /// How long a packet takes; `None` where it is lost.
    pub(super) fn packet(&mut self, from: SocketAddr, to: SocketAddr) -> Option<Duration> {
        let lost = self.rng.random_bool(self.loss);
        let takes = self.way();
        (!lost && self.connects(from, to)).then_some(takes)
    }

    /// How long one way takes.
    pub(super) fn way(&mut self) -> Duration {
        Duration::from_micros(self.rng.random_range(self.delay.0..=self.delay.1))
    }

    /// Whether anything passes from one to the other.
    pub(super) fn connects(&self, from: SocketAddr, to: SocketAddr) -> bool {
        self.side(from) == self.side(to) && !self.cuts.contains(&(from, to))
    }

    fn side(&self, addr: SocketAddr) -> u32 {
        self.sides.get(&addr).copied().unwrap_or_default()
    }

    /// Puts addresses on a side of a split.
    pub(super) fn split(&mut self, side: u32, addrs: impl IntoIterator<Item = SocketAddr>) {
        self.sides.extend(addrs.into_iter().map(|addr| (addr, side)));
    }

    /// Cuts the way from one to the other.
    pub(super) fn cut(&mut self, from: SocketAddr, to: SocketAddr) {
        self.cuts.push((from, to));
    }

    /// Ends all splits and cuts.
    pub(super) fn heal(&mut self) {
        self.sides.clear();
        self.cuts.clear();
    }
}
