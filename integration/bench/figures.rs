//! Measured figures: their median and worst, and how they are shown.

use std::time::Duration;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Seconds.
    Seconds,
    /// Mebibytes.
    Mib,
    /// Percent of one core.
    Percent,
    /// Requests.
    Requests,
}

/// The repetitions of one measurement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figures {
    unit: Unit,
    sorted: Vec<f64>,
}

impl Figures {
    /// Takes at least one value.
    pub(crate) fn new(unit: Unit, values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<_> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        assert!(!sorted.is_empty(), "a row without a measurement");
        Self { unit, sorted }
    }

    pub(crate) fn seconds(times: &[Duration]) -> Self {
        Self::new(Unit::Seconds, times.iter().map(Duration::as_secs_f64))
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.sorted.len() / 2;
        if self.sorted.len() % 2 == 1 {
            self.sorted[middle]
        } else {
            f64::midpoint(self.sorted[middle - 1], self.sorted[middle])
        }
    }

    /// The largest: less is better in every row.
    pub(crate) fn worst(&self) -> f64 {
        self.sorted[self.sorted.len() - 1]
    }

    /// `median (worst)`, or the value alone where there is one.
    pub(crate) fn show(&self) -> String {
        let median = self.unit.show(self.median());
        if self.sorted.len() == 1 { median } else { format!("{median} ({})", self.unit.show(self.worst())) }
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Seconds if value < 1.0 => format!("{:.1} ms", value * 1000.0),
            Self::Seconds => format!("{value:.2} s"),
            Self::Mib => format!("{value:.1} MiB"),
            Self::Percent => format!("{value:.3} %"),
            Self::Requests => format!("{value:.0}"),
        }
    }
}
