//! `/metrics`: built anew for every scrape from the newest state, so that nothing can be stale. Only real
//! values: what is not measured is not there.

use std::{
    sync::atomic::AtomicU64,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::Counts;
use crate::model::{Desired, EndpointState, Liveness, Snapshot, Status};

type Labels = Vec<(&'static str, String)>;

/// The metrics in the text format of `OpenMetrics`.
pub(super) fn encode(members: &Snapshot, status: Option<&Status>, counts: &Counts) -> String {
    let mut page = Page(Registry::with_prefix("backchat"));
    page.build(status);
    page.gossip(members, counts);
    if let Some(status) = status {
        page.sets(status);
        page.plane(status);
    }
    let mut text = String::new();
    text::encode(&mut text, &page.0).expect("a String takes every write");
    text
}

struct Page(Registry);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: impl TryInto<i64>) {
        let gauge: Gauge = Gauge::default();
        gauge.set(value.try_into().unwrap_or(i64::MAX));
        self.0.register(name, help, gauge);
    }

    fn gauges(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, usize)>) {
        let family = Family::<Labels, Gauge>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).set(value.try_into().unwrap_or(i64::MAX));
        }
        self.0.register(name, help, family);
    }

    fn counters(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).inc_by(value);
        }
        self.0.register(name, help, family);
    }

    fn moment(&mut self, name: &str, help: &str, at: SystemTime) {
        let gauge: Gauge<f64, AtomicU64> = Gauge::default();
        gauge.set(at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()));
        self.0.register(name, help, gauge);
    }

    fn build(&mut self, status: Option<&Status>) {
        let driver = status.map_or("none", |s| s.plane.name);
        let labels = vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("driver", driver.to_owned())];
        self.gauges("build_info", "What runs here", [(labels, 1)]);
    }

    fn gossip(&mut self, members: &Snapshot, counts: &Counts) {
        let all = [Liveness::Alive, Liveness::Suspect, Liveness::Failed, Liveness::Left];
        let count = |liveness| members.members.values().filter(|m| m.liveness == liveness).count();
        let known = all.map(|liveness| (vec![("liveness", liveness.to_string())], count(liveness)));
        self.gauges("members", "Members known, this one included", known);
        let synced = [(vec![("source", members.source.to_string())], usize::from(members.synced))];
        self.gauges("source_synced", "Whether the source has listed everything once", synced);
        let packets = [("in", counts.packets_in), ("out", counts.packets_out)];
        let packets = packets.map(|(way, count)| (vec![("direction", way.to_owned())], count));
        self.counters("gossip_packets", "Gossip datagrams", packets);
        let rejected = counts.rejected.iter().map(|(why, count)| (vec![("reason", (*why).to_owned())], *count));
        self.counters("gossip_rejected", "Gossip datagrams and frames not taken", rejected);
        let exchanges = [("ok", counts.exchanges_ok), ("failed", counts.exchanges_failed)];
        let exchanges = exchanges.map(|(result, count)| (vec![("result", result.to_owned())], count));
        self.counters("sync_exchanges", "Full exchanges over TCP", exchanges);
    }

    fn sets(&mut self, s: &Status) {
        self.gauges("endpoints_desired", "Endpoints that should be", endpoints(&s.desired));
        self.gauges("endpoints_observed", "Endpoints that were read back", endpoints(&s.live));
        self.gauge("routes", "Routes that should be", s.desired.routes.len());
        let mut rejections = std::collections::BTreeMap::<&str, usize>::new();
        for rejection in &s.rejections {
            *rejections.entry(rejection.code).or_default() += 1;
        }
        let rejections = rejections.into_iter().map(|(code, count)| (vec![("reason", code.to_owned())], count));
        self.gauges("rejections", "What members say that is not taken", rejections);
        let mut held = std::collections::BTreeMap::<String, usize>::new();
        for id in s.held.iter().flat_map(|h| &h.endpoints) {
            *held.entry(id.service.to_string()).or_default() += 1;
        }
        let held = held.into_iter().map(|(service, count)| (vec![("service", service)], count));
        self.gauges("guard_held", "Endpoints that only the guard keeps", held);
    }

    fn plane(&mut self, s: &Status) {
        self.gauge("converged", "Whether what was read back is what should be", u8::from(s.converged));
        self.gauge("data_plane_up", "Whether the data plane answered at the last look", u8::from(s.plane_up));
        self.gauge("old_workers", "Processes that retire after a reload", s.plane.old_workers);
        if let Some(at) = s.observed_at {
            self.moment("last_success_timestamp_seconds", "When a step last ended well", at);
        }
        if let Some(apply) = &s.last_apply {
            self.moment("last_apply_timestamp_seconds", "When something was last applied", apply.at);
        }
        let steps = [("ok", s.steps), ("failed", s.failures)];
        let steps = steps.map(|(result, count)| (vec![("result", result.to_owned())], count));
        self.counters("reconcile", "Steps of the loop", steps);
        self.counters(
            "reloads",
            "Reloads and restarts of the data plane",
            [(vec![("result", "ok".to_owned())], s.reloads)],
        );
    }
}

fn endpoints(set: &Desired) -> Vec<(Labels, usize)> {
    let one = |name: &crate::model::ServiceName, service: &crate::model::Service, state: EndpointState| {
        let count = service.endpoints.values().filter(|e| e.state == state).count();
        (vec![("service", name.to_string()), ("state", state.to_string())], count)
    };
    let both = |(name, service)| [EndpointState::Ready, EndpointState::Drain].map(|state| one(name, service, state));
    set.services.iter().flat_map(both).collect()
}
