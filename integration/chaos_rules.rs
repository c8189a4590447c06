//! Tests what decides in `make chaos`: what happens, whose fault a failure is, what has grown. The chaos itself has a
//! main function of its own, and no test runner.

#[path = "chaos/blame.rs"]
mod blame;
#[path = "chaos/folders.rs"]
mod folders;
#[path = "chaos/growth.rs"]
mod growth;
#[path = "chaos/op.rs"]
mod op;
#[path = "chaos/schedule.rs"]
mod schedule;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use blame::{Excuse, Failed, judge};
use folders::holdings;
use growth::{Growth, Usage};
use op::{Host, Part, What};
use schedule::{Round, Schedule, hosts};

fn rounds(seed: u64, count: usize) -> Vec<Round> {
    Schedule::new(seed).take(count).collect()
}

#[test]
fn a_seed_repeats_and_another_differs() {
    assert_eq!(rounds(7, 100), rounds(7, 100));
    assert_ne!(rounds(7, 3), rounds(8, 3));
}

#[test]
fn only_what_can_happen_does() {
    for seed in 0..50 {
        let mut number = 0;
        let mut running = rounds(seed, 1)[0].before.clone();
        for round in rounds(seed, 100) {
            assert_eq!(round.before, running, "seed {seed}: rounds follow one another");
            let touched: BTreeSet<_> = round.ops.iter().map(|planned| planned.op.on).collect();
            assert_eq!(touched.len(), round.ops.len(), "seed {seed}: no host twice: {round:?}");
            assert!(round.steady().len() >= 3, "seed {seed}: some are left alone: {round:?}");
            for planned in &round.ops {
                number += 1;
                assert_eq!(planned.number, number);
                let Host::Web(web) = planned.op.on else { continue };
                match planned.op.what {
                    What::Join => assert!(running.insert(web), "{round:?}"),
                    What::Leave | What::Crash => assert!(running.remove(&web), "{round:?}"),
                    _ => assert!(running.contains(&web), "{round:?}"),
                }
            }
            assert_eq!(round.after, running, "{round:?}");
        }
    }
}

#[test]
fn all_kinds_come_and_the_elders_are_spared() {
    let all: Vec<_> = rounds(1, 500).into_iter().flat_map(|round| round.ops).map(|planned| planned.op).collect();
    let kinds: BTreeSet<_> = all.iter().map(|op| op.what.kind()).collect();
    assert_eq!(kinds.len(), 14, "{kinds:?}");
    let touched: BTreeSet<_> = all.iter().map(|op| op.on).collect();
    assert_eq!(touched, hosts().collect());
    let spared = |on: Host, what: fn(&What) -> bool| assert!(!all.iter().any(|op| op.on == on && what(&op.what)));
    spared(Host::Web(1), |what| matches!(what, What::Join | What::Leave | What::Crash | What::CrashAgent { .. }));
    spared(Host::Balancer(1), |what| matches!(what, What::KillLb { .. } | What::RestartLb { .. }));
    spared(Host::Balancer(2), |what| matches!(what, What::KillHaproxy(Part::Master | Part::Worker)));
}

#[test]
fn a_failure_has_an_excuse_or_is_lost() {
    let seconds = Duration::from_secs;
    let get = Failed {
        balancer: 1,
        fresh: false,
        replayable: true,
        began: seconds(10),
        ended: seconds(12),
        how: "status 503".into(),
    };
    let post = Failed { replayable: false, ..get.clone() };
    let whole = Excuse { balancer: None, only_once: false, from: seconds(9), until: seconds(20), by: 3 };
    let check = |failed: &Failed, excuse: Excuse, excused: bool| {
        let (by, lost) = judge(vec![failed.clone()], &[excuse]);
        assert_eq!((by == BTreeMap::from([(3, 1)]), lost.is_empty()), (excused, excused), "{failed}: {excuse:?}");
    };
    check(&get, whole, true);
    check(&get, Excuse { balancer: Some(1), ..whole }, true);
    check(&get, Excuse { balancer: Some(2), ..whole }, false);
    check(&get, Excuse { only_once: true, ..whole }, false);
    check(&post, Excuse { only_once: true, ..whole }, true);
    check(&get, Excuse { from: seconds(12), ..whole }, true);
    check(&get, Excuse { from: seconds(13), ..whole }, false);
    check(&get, Excuse { from: seconds(1), until: seconds(10), ..whole }, true);
    check(&get, Excuse { from: seconds(1), until: seconds(9), ..whole }, false);
    assert_eq!(judge(vec![get.clone(), post.clone()], &[]), (BTreeMap::new(), vec![get, post]));
}

#[test]
fn what_stays_above_its_warm_self_has_grown() {
    const WARM: Usage = Usage { rss_kib: 10_000, descriptors: 20, threads: 4, files: 6, bytes: 9_000 };
    let check = |later: &[Usage], grown: bool| {
        let mut growth = Growth::default();
        let cold = Usage { rss_kib: 1, ..Usage::default() };
        growth.read("lb1 lb", Duration::ZERO, cold).unwrap();
        growth.read("lb1 lb", Duration::from_secs(60), WARM).unwrap();
        let at = (70..).step_by(10).map(Duration::from_secs);
        let failed = later.iter().zip(at).any(|(usage, at)| growth.read("lb1 lb", at, *usage).is_err());
        assert_eq!(failed, grown, "{later:?}");
        let gained = later.last().unwrap().rss_kib - WARM.rss_kib;
        assert_eq!(growth.most(), Some((gained, "lb1 lb")));
    };
    let more = Usage { rss_kib: 30_000, ..WARM };
    check(&[WARM; 5], false);
    check(&[more, more, WARM, more, more], false);
    check(&[more, more, more], true);
    check(&[Usage { descriptors: 40, ..WARM }; 3], true);
    check(&[Usage { threads: 20, ..WARM }; 3], true);
    check(&[Usage { files: 20, ..WARM }; 3], true);
    check(&[Usage { bytes: 100_000, ..WARM }; 3], true);
    check(&[Usage { rss_kib: 18_000, descriptors: 30, threads: 12, files: 10, bytes: 16_000 }; 5], false);
}

#[test]
fn what_lies_deep_in_a_folder_counts_and_a_log_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(holdings(&dir.path().join("none")), Usage::default());
    std::fs::create_dir_all(dir.path().join("files/7")).unwrap();
    for (path, bytes) in [("files/7/haproxy.cfg", 30), ("haproxy.log", 500), (".tmpa", 4)] {
        std::fs::write(dir.path().join(path), vec![b'x'; bytes]).unwrap();
    }
    // What a link leads to lies elsewhere, or is counted there.
    std::os::unix::fs::symlink("7", dir.path().join("files/8")).unwrap();
    assert_eq!(holdings(dir.path()), Usage { files: 6, bytes: 34 + "7".len() as u64, ..Usage::default() });
}
