//! How long something takes, as counts of a few ranges: what a metric shows of it. Plain data; it must not know who
//! measures.

use std::time::Duration;

/// The upper bounds of the ranges, in seconds; a last one has none. From a command on a socket to a long drain.
const BOUNDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Times that were measured. Only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// Takes one in.
    pub fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let range = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get_mut(range) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(took);
    }

    /// How many were taken in.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all of them took together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Each range's upper bound in seconds, and how many lie in it alone; the last bound is infinite.
    pub fn ranges(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS.into_iter().chain([f64::INFINITY]).zip(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_lies_in_one_range() {
        let mut histogram = Histogram::default();
        for micros in [0, 500, 501, 60_000_000, 60_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let filled: Vec<_> = histogram.ranges().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0.0005, 2), (0.001, 1), (60.0, 1), (f64::INFINITY, 1)]);
        assert_eq!((histogram.count(), histogram.sum()), (5, Duration::from_micros(120_001_002)));
    }
}
