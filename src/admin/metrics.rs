//! `/metrics`: built anew for every scrape from the newest state, so that nothing can be stale, and always in the
//! same order. Only real values: what is not measured is not there.

mod page;
mod tally;

use std::collections::{BTreeMap, BTreeSet};

use self::page::{Labels, Page, Value, label};
use super::Counts;
use crate::model::{
    CertName, Certificate, Desired, EndpointId, EndpointState, Health, Liveness, ServiceName, Snapshot, Status,
};

/// The metrics in the text format of `OpenMetrics`.
pub(super) fn encode(members: &Snapshot, status: Option<&Status>, counts: &Counts, health: &[Health]) -> String {
    let mut page = Page::default();
    build(&mut page, status);
    gossip(&mut page, members, status, counts);
    page.gauges("check_up", "Whether a service of this node may get requests", checks(health));
    if let Some(status) = status {
        sets(&mut page, status);
        plane(&mut page, status);
        tally::add(&mut page, status);
    }
    page.text()
}

fn build(page: &mut Page, status: Option<&Status>) {
    let driver = status.map_or("none", |s| s.plane.name);
    let labels = vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("driver", driver.to_owned())];
    page.gauges("build_info", "What runs here", [(labels, 1)]);
}

fn gossip(page: &mut Page, members: &Snapshot, status: Option<&Status>, counts: &Counts) {
    let all = [Liveness::Alive, Liveness::Suspect, Liveness::Failed, Liveness::Left];
    let count = |liveness| members.members.values().filter(|m| m.liveness == liveness).count();
    page.gauges("members", "Members known, this one included", all.map(|l| (label("liveness", &l), count(l))));
    let turned = |to| counts.transitions.get(&to).copied().unwrap_or(0);
    let help = "Other members found to be so, as newcomers or as they were not before";
    page.counters("member_transitions", help, all.map(|to| (label("to", &to), turned(to))));
    let help = "How badly gossip does by this node's own measure, 0 to 8: a probe that nobody has an answer to and a \
                standstill add one, an answer takes one away";
    page.gauges("gossip_health_score", help, [(Labels::new(), usize::from(counts.health_score))]);
    let help = "From a probe of this node's to its answer, of those that were answered to it";
    page.times("gossip_probe_duration_seconds", help, [(Labels::new(), counts.probe_times)]);
    let sources = status.map(|s| s.sources.as_slice()).unwrap_or_default();
    let alone = sources.is_empty().then(|| (label("source", &members.source), usize::from(members.synced)));
    let named = sources.iter().map(|source| (label("source", &source.name), usize::from(source.synced)));
    let synced = alone.into_iter().chain(named);
    page.gauges("source_synced", "Whether the source has listed everything once", synced);
    let packets = [("in", counts.packets_in), ("out", counts.packets_out)];
    page.counters("gossip_packets", "Gossip datagrams", packets.map(|(way, n)| (label("direction", way), n)));
    let rejected = counts.rejected.iter().map(|(why, n)| (label("reason", *why), *n));
    page.counters("gossip_rejected", "Gossip datagrams and frames not taken", rejected);
    let exchanges = [("ok", counts.exchanges_ok), ("failed", counts.exchanges_failed)];
    page.counters("sync_exchanges", "Full exchanges over TCP", exchanges.map(|(how, n)| (label("result", how), n)));
}

fn sets(page: &mut Page, s: &Status) {
    page.gauges("endpoints_desired", "Endpoints that should be", endpoints(&s.desired));
    page.gauges("endpoints_observed", "Endpoints that were read back", endpoints(&s.live));
    page.gauges("routes", "Routes that should be", [(Labels::new(), s.desired.routes.len())]);
    let rejections = counted("reason", s.rejections.iter().map(|r| r.code.to_owned()));
    page.gauges("rejections", "What members say that is not taken", rejections);
    let kept = s.held.iter().flat_map(|h| &h.endpoints);
    page.gauges("guard_held", "Endpoints that only the guard keeps", by_service(s, &kept));
    // One may be kept out for its member's sake and its service's.
    let out: BTreeSet<_> = s.flapping.iter().flat_map(|f| &f.endpoints).collect();
    page.gauges("held_down", "Endpoints kept out as they come and go", by_service(s, &out.iter().copied()));
}

fn plane(page: &mut Page, s: &Status) {
    let single = |value| [(Labels::new(), value)];
    page.gauges("converged", "Whether what was read back is what should be", single(usize::from(s.converged)));
    page.gauges("data_plane_up", "Whether the data plane answered at the last look", single(usize::from(s.plane_up)));
    page.gauges("old_workers", "Processes that retire after a reload", single(s.plane.old_workers));
    let ended = s.stepped_at.map(|at| (Labels::new(), Value::moment(at)));
    page.moments("last_reconcile_timestamp_seconds", "When a step last ended, well or not", ended);
    let waits = usize::from(s.approval.is_some());
    let ends = |(name, c): (&CertName, &Certificate)| (label("cert", name), Value::moment(c.expires()));
    let help = "When a certificate that should be shown expires";
    page.moments("certificate_expiry_timestamp_seconds", help, s.desired.certificates.iter().map(ends));
    if !s.desired.certificates.is_empty() {
        let help = "Files that should hold certificates and do not";
        page.gauges("certificate_errors", help, single(s.certificate_troubles.len()));
    }
    page.gauges("structure_waits", "Whether a new structure waits until somebody applies it", single(waits));
    let ended_well = s.observed_at.map(|at| (Labels::new(), Value::moment(at)));
    page.moments("last_success_timestamp_seconds", "When a step last ended well", ended_well);
}

/// A service at several ports is up where it is so at each.
fn checks(health: &[Health]) -> Vec<(Labels, usize)> {
    let mut up = BTreeMap::<&str, bool>::new();
    for h in health {
        *up.entry(&h.service).or_insert(true) &= h.up;
    }
    up.into_iter().map(|(service, up)| (label("service", service), usize::from(up))).collect()
}

/// How many of these endpoints each service has: 0 too, so that the series does not end when a hold does.
fn by_service<'a>(s: &Status, ids: &(impl Iterator<Item = &'a EndpointId> + Clone)) -> Vec<(Labels, usize)> {
    let count = |service: &ServiceName| ids.clone().filter(|id| id.service == *service).count();
    let services: BTreeSet<_> = s.desired.services.keys().chain(s.live.services.keys()).collect();
    services.into_iter().map(|service| (label("service", service), count(service))).collect()
}

/// How often each word comes, by word.
fn counted(name: &'static str, words: impl Iterator<Item = String>) -> Vec<(Labels, usize)> {
    let mut counts = BTreeMap::<String, usize>::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    counts.into_iter().map(|(word, count)| (label(name, &word), count)).collect()
}

fn endpoints(set: &Desired) -> Vec<(Labels, usize)> {
    let one = |name: &ServiceName, service: &crate::model::Service, state: EndpointState| {
        let count = service.endpoints.values().filter(|e| e.state == state).count();
        (vec![("service", name.to_string()), ("state", state.to_string())], count)
    };
    let both = |(name, service)| [EndpointState::Ready, EndpointState::Drain].map(|state| one(name, service, state));
    set.services.iter().flat_map(both).collect()
}
