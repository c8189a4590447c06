//! A page of metrics: values in the order in which they were given, encoded by `prometheus-client`.
//!
//! Its own families keep their labels in a hash map, whose order changes from scrape to scrape.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, text},
    metrics::{MetricType, exemplar::Exemplar},
    registry::{Registry, Unit},
};

use crate::model::Histogram;

/// Names and values, which `prometheus-client` escapes.
pub(super) type Labels = Vec<(&'static str, String)>;

/// One label.
pub(super) fn label(name: &'static str, value: &(impl ToString + ?Sized)) -> Labels {
    vec![(name, value.to_string())]
}

/// A number, and with it the kind of its metric.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Gauge(u64),
    Moment(f64),
    Counter(u64),
    Times(Histogram),
}

impl Value {
    /// Seconds since 1970.
    pub(super) fn moment(at: SystemTime) -> Self {
        Self::Moment(at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()))
    }

    fn encode(self, encoder: &mut MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Gauge(count) => encoder.encode_gauge(&count),
            Self::Moment(seconds) => encoder.encode_gauge(&seconds),
            Self::Counter(count) => encoder.encode_counter(&count, None::<&Exemplar<Labels, u64>>),
            Self::Times(times) => {
                let ranges: Vec<_> = times.ranges().collect();
                encoder.encode_histogram::<Labels>(times.sum().as_secs_f64(), times.count(), &ranges, None)
            }
        }
    }

    fn kind(self) -> MetricType {
        match self {
            Self::Gauge(_) | Self::Moment(_) => MetricType::Gauge,
            Self::Counter(_) => MetricType::Counter,
            Self::Times(_) => MetricType::Histogram,
        }
    }
}

#[derive(Debug)]
struct Metric {
    name: &'static str,
    help: &'static str,
    values: Vec<(Labels, Value)>,
}

/// All metrics of one scrape.
#[derive(Debug, Default)]
pub(super) struct Page(Vec<Metric>);

impl Page {
    fn add(&mut self, name: &'static str, help: &'static str, values: impl Iterator<Item = (Labels, Value)>) {
        let values: Vec<_> = values.collect();
        if !values.is_empty() {
            self.0.push(Metric { name, help, values });
        }
    }

    pub(super) fn gauges(
        &mut self,
        name: &'static str,
        help: &'static str,
        values: impl IntoIterator<Item = (Labels, usize)>,
    ) {
        let wide = |count| u64::try_from(count).unwrap_or(u64::MAX);
        self.add(name, help, values.into_iter().map(|(labels, count)| (labels, Value::Gauge(wide(count)))));
    }

    pub(super) fn moments(
        &mut self,
        name: &'static str,
        help: &'static str,
        values: impl IntoIterator<Item = (Labels, Value)>,
    ) {
        self.add(name, help, values.into_iter());
    }

    pub(super) fn counters(
        &mut self,
        name: &'static str,
        help: &'static str,
        values: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        self.add(name, help, values.into_iter().map(|(labels, count)| (labels, Value::Counter(count))));
    }

    pub(super) fn times(
        &mut self,
        name: &'static str,
        help: &'static str,
        values: impl IntoIterator<Item = (Labels, Histogram)>,
    ) {
        self.add(name, help, values.into_iter().map(|(labels, times)| (labels, Value::Times(times))));
    }

    pub(super) fn text(self) -> String {
        let mut registry = Registry::with_prefix("backchat");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry).expect("a String takes every write");
        text
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for metric in &self.0 {
            let Some((_, first)) = metric.values.first() else { continue };
            // A unit is a name's last word.
            let (name, unit) = match metric.name.strip_suffix("_seconds") {
                Some(name) => (name, Some(&Unit::Seconds)),
                None => (metric.name, None),
            };
            let mut family = encoder.encode_descriptor(name, metric.help, unit, first.kind())?;
            for (labels, value) in &metric.values {
                // Without labels there is no family: it would show as `{}`.
                if labels.is_empty() {
                    value.encode(&mut family)?;
                } else {
                    value.encode(&mut family.encode_family(labels)?)?;
                }
            }
        }
        Ok(())
    }
}
