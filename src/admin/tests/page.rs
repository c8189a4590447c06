//! The page of metrics against the table that people make their dashboards by, and against the format's own rules.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Every metric of a balancer: kind, name, labels. The table of OUTPUT.md, but for certificates, which there are none of
/// yet, and what was added to it since.
const TABLE: &[(&str, &str, &[&str])] = &[
    ("gauge", "build_info", &["driver", "version"]),
    ("gauge", "members", &["liveness"]),
    ("gauge", "gossip_health_score", &[]),
    ("gauge", "source_synced", &["source"]),
    ("gauge", "endpoints_desired", &["service", "state"]),
    ("gauge", "endpoints_observed", &["service", "state"]),
    ("gauge", "routes", &[]),
    ("gauge", "rejections", &["reason"]),
    ("gauge", "guard_held", &["service"]),
    ("gauge", "held_down", &["service"]),
    ("gauge", "converged", &[]),
    ("gauge", "structure_waits", &[]),
    ("gauge", "data_plane_up", &[]),
    ("gauge", "last_reconcile_timestamp_seconds", &[]),
    ("gauge", "last_success_timestamp_seconds", &[]),
    ("gauge", "old_workers", &[]),
    ("gauge", "check_up", &["service"]),
    ("counter", "member_transitions", &["to"]),
    ("counter", "gossip_packets", &["direction"]),
    ("counter", "gossip_rejected", &["reason"]),
    ("counter", "sync_exchanges", &["result"]),
    ("counter", "source_errors", &["source"]),
    ("counter", "reconcile", &["result"]),
    ("counter", "changes", &["action"]),
    ("counter", "commands", &["result"]),
    ("counter", "reloads", &["result"]),
    ("counter", "data_plane_restarts", &[]),
    ("counter", "drains", &["result"]),
    ("histogram", "gossip_probe_duration_seconds", &[]),
    ("histogram", "reconcile_duration_seconds", &["phase"]),
    ("histogram", "change_to_effect_seconds", &[]),
    ("histogram", "drain_duration_seconds", &[]),
];

/// A family as it was read: its kind, and its samples by what follows its name and by their labels.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads a page by the rules of `OpenMetrics` 1.0 as far as ours uses them. Panics where it breaks one.
fn read(page: &str) -> BTreeMap<String, Family> {
    let body = page.strip_suffix("# EOF\n").expect("it ends with its end");
    let mut families = BTreeMap::<String, Family>::new();
    let mut current = String::new();
    for line in body.lines() {
        if let Some(about) = line.strip_prefix("# ") {
            let (word, rest) = about.split_once(' ').unwrap();
            let (name, said) = rest.split_once(' ').unwrap();
            assert!(name.starts_with("backchat_") && !said.is_empty(), "{line}");
            match word {
                "HELP" => {
                    assert!(families.insert(name.into(), Family::default()).is_none(), "twice: {line}");
                    current = name.to_owned();
                }
                "TYPE" => families.get_mut(name).unwrap().kind = said.to_owned(),
                "UNIT" => assert!(name == current && name.ends_with(&format!("_{said}")), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').map_or((series, ""), |(name, labels)| (name, labels));
        let suffix = name.strip_prefix(&current).unwrap_or_else(|| panic!("not of {current}: {line}"));
        let label = |pair: &str| {
            let (name, value) = pair.split_once("=\"").unwrap();
            (name.to_owned(), value.trim_end_matches('"').to_owned())
        };
        let labels = labels.trim_end_matches('}').split("\",").filter(|pair| !pair.is_empty()).map(label).collect();
        families.get_mut(&current).unwrap().samples.push((suffix.into(), labels, value.parse().unwrap()));
    }
    families
}

fn check_samples(name: &str, family: &Family) {
    let suffixes: BTreeSet<_> = family.samples.iter().map(|(suffix, ..)| suffix.as_str()).collect();
    let expected: &[&str] = match family.kind.as_str() {
        "gauge" => &[""],
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_count", "_sum"],
        other => panic!("{name} is a {other}"),
    };
    assert_eq!(suffixes, expected.iter().copied().collect(), "{name}");
    let mut seen = BTreeSet::new();
    let mut cumulated = BTreeMap::<_, f64>::new();
    for (suffix, labels, value) in &family.samples {
        assert!(seen.insert((suffix, labels)), "{name}{suffix}{labels:?} twice");
        assert!(*value >= 0.0, "{name}{suffix}{labels:?} {value}");
        let mut others = labels.clone();
        if suffix == "_bucket" {
            let bound = others.remove("le").expect("a range has a bound");
            let before = cumulated.insert(others.clone(), *value).unwrap_or(0.0);
            assert!(*value >= before, "{name}: each range takes in those before it");
            let count = family.samples.iter().find(|(s, l, _)| s == "_count" && *l == others).unwrap().2;
            assert!(bound != "+Inf" || value.total_cmp(&count).is_eq(), "{name}");
        }
    }
}

fn everything() -> (Snapshot, Status, Counts) {
    let id = |name: &str| model::EndpointId { service: "web".parse().unwrap(), endpoint: name.parse().unwrap() };
    let services = [("web".parse().unwrap(), backchat_contract::Service::default())];
    let set = Arc::new(backchat_contract::Desired { services: services.into(), ..Default::default() });
    let held = model::Held { id: "h".into(), why: "w".into(), endpoints: vec![id("a")], since: Duration::ZERO };
    let rejection =
        model::Rejection { node: "a\"b".into(), subject: "s".into(), service: None, why: "w".into(), code: "name" };
    let mut status = Status {
        plane: Plane { name: "haproxy", version: "2.6.12".into(), ..Plane::default() },
        plane_up: true,
        observed_at: Some(std::time::UNIX_EPOCH),
        stepped_at: Some(std::time::UNIX_EPOCH),
        sources: vec![model::SourceState::of(&snapshot(true))],
        desired: set.clone(),
        live: set,
        held: vec![held],
        rejections: vec![rejection],
        ..Status::default()
    };
    let mut times = model::Histogram::default();
    (0..20).for_each(|n| times.observe(Duration::from_micros(50 << n)));
    status.tally.phases = model::tally::Phases { observe: times, plan: times, apply: times };
    (status.tally.change_to_effect, status.tally.drain_times) = (times, times);
    let counts = Counts { rejected: vec![("key", 2)], probe_times: times, ..Counts::default() };
    (snapshot(true), status, counts)
}

#[test]
fn the_page_has_all_that_is_promised_and_nothing_else() {
    let (members, status, counts) = everything();
    let families = read(&metrics::encode(&members, Some(&status), &counts, &checks()));
    let mut missing: BTreeSet<_> = families.keys().map(String::as_str).collect();
    for (kind, name, labels) in TABLE {
        let name = format!("backchat_{name}");
        let family = families.get(&name).unwrap_or_else(|| panic!("{name} is missing"));
        missing.remove(name.as_str());
        assert_eq!(family.kind, *kind, "{name}");
        check_samples(&name, family);
        for (_, of_sample, _) in &family.samples {
            let names: Vec<_> = of_sample.keys().filter(|label| *label != "le").collect();
            assert_eq!(names, *labels, "{name}");
        }
    }
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

/// An agent has neither a data plane nor a loop; what it has is on its page.
#[test]
fn an_agents_page_has_what_it_measures() {
    let (members, _, counts) = everything();
    let families = read(&metrics::encode(&members, None, &counts, &checks()));
    for (name, family) in &families {
        check_samples(name, family);
    }
    let names: Vec<_> = families.keys().map(|name| name.trim_start_matches("backchat_")).collect();
    let expected = [
        "build_info",
        "check_up",
        "gossip_health_score",
        "gossip_packets",
        "gossip_probe_duration_seconds",
        "gossip_rejected",
        "member_transitions",
        "members",
        "source_synced",
        "sync_exchanges",
    ];
    assert_eq!(names, expected);
}
