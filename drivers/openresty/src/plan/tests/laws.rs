//! What holds for every plan.

use backchat_contract::{EndpointState, Structure};
use proptest::{collection::vec, prelude::*, sample::select};

use super::{super::*, ALLOWED, FORCED, HELD, desired};
use crate::{config, paper::Paper};

/// More steps than any change here takes.
const STEPS: usize = 6;

fn sets() -> impl Strategy<Value = Desired> {
    let id = select(vec!["web/a", "web/b", "api/a", "bc-x/a"]);
    let state = select(vec![EndpointState::Ready, EndpointState::Drain]);
    let route = (select(vec!["a.example", "*"]), select(vec!["web", "api", "none"]));
    (vec((id, state), 0..4), vec(route, 0..3)).prop_map(|(endpoints, routes)| {
        let mut set = desired(&endpoints);
        for (host, service) in routes {
            let route = backchat_contract::Route { host: host.parse().unwrap(), path: "/".parse().unwrap() };
            set.routes.insert(route, service.parse().unwrap());
        }
        set
    })
}

/// What happens behind our back.
#[derive(Clone, Debug)]
enum Tampering {
    Settings,
    Restart,
    OlderFile,
    NeverRan,
    Foreign,
    Push,
    Lost,
    Small,
}

fn tamperings() -> impl Strategy<Value = Vec<Tampering>> {
    use Tampering::{Foreign, Lost, NeverRan, OlderFile, Push, Restart, Settings, Small};
    vec(select(vec![Settings, Restart, OlderFile, NeverRan, Foreign, Push, Lost, Small]), 0..4)
}

fn tamper(sim: &mut Paper, tampering: &Tampering) {
    match tampering {
        Tampering::Settings => sim.settings += 1,
        Tampering::Restart => sim.restart(true),
        Tampering::OlderFile => {
            let older = Paper::with(&desired(&[("old/a", EndpointState::Ready)]));
            if sim.ran == older.ran && sim.capacity == older.capacity {
                sim.disk = older.disk;
            }
        }
        // A daemon crashed between the placing of the file and the reload.
        Tampering::NeverRan => {
            let mut next = sim.clone();
            next.settings += 1;
            if let Step::Change(Plan { reload: Some(reload), .. }) = next.step(&next.look().live(), FORCED) {
                sim.last_good = std::mem::replace(&mut sim.disk, reload.text);
            }
        }
        Tampering::Foreign => sim.is_ours = false,
        Tampering::Push => {
            let version = sim.table.as_ref().map_or(1, |table| table.version + 1);
            let set = desired(&[("theirs/x", EndpointState::Ready)]);
            (sim.table, sim.patches) = (Some(Arc::new(Table { version, set })), 0);
        }
        Tampering::Lost => sim.table = None,
        Tampering::Small => {
            sim.capacity = 64;
            if sim.table.is_some() {
                sim.forget_file();
            }
        }
    }
}

/// Steps until nothing changes any more: the last step, and how many reloads it took.
fn settle(sim: &mut Paper, wanted: &Desired, mode: Mode) -> (Step<Plan>, usize) {
    let mut reloads = 0;
    for _ in 0..STEPS {
        match sim.step(wanted, mode) {
            Step::Change(plan) => {
                reloads += usize::from(plan.reload.is_some());
                sim.take(plan);
            }
            other => return (other, reloads),
        }
    }
    panic!("no end: {:?}", sim.step(wanted, mode));
}

proptest! {
    /// Whatever was there, and whatever happened to it: the desired set is reached, by one reload at most, the file
    /// says what runs, and then there is nothing left to do.
    #[test]
    fn every_set_is_reached(before in sets(), tampered in tamperings(), wanted in sets()) {
        let mut sim = Paper::with(&super::super::part(&before));
        for tampering in &tampered {
            tamper(&mut sim, tampering);
        }
        let (step, reloads) = settle(&mut sim, &wanted, ALLOWED);
        prop_assert_eq!(step, Step::Converged);
        prop_assert!(reloads <= 1);
        prop_assert_eq!(sim.look().live(), super::super::part(&wanted));
        let kept = config::parse(&sim.disk).unwrap();
        prop_assert_eq!((kept.generation, Some(&kept.table)), (sim.generation, sim.table.as_deref()));
        // Started alone, it serves the same.
        let table = sim.table.clone();
        sim.restart(true);
        prop_assert_eq!(&sim.table, &table);
    }

    /// Held structure keeps nothing from being pushed where our Lua runs.
    #[test]
    fn held_structure_holds_no_endpoint(before in sets(), wanted in sets(), settings in any::<bool>()) {
        let mut sim = Paper::with(&super::super::part(&before));
        sim.settings += u64::from(settings);
        let (step, _) = settle(&mut sim, &wanted, HELD);
        prop_assert_eq!(matches!(step, Step::Waiting { .. }), settings);
        prop_assert_eq!((sim.look().live(), sim.generation), (super::super::part(&wanted), 1));
    }

    /// The same again is the same plan; and one that has been reached is none.
    #[test]
    fn plans_are_pure(before in sets(), wanted in sets()) {
        let sim = Paper::with(&super::super::part(&before));
        prop_assert_eq!(sim.step(&wanted, ALLOWED), sim.step(&wanted, ALLOWED));
        prop_assert_eq!(sim.step(&before, Mode { structure: Structure::Allowed }), Step::Converged);
    }
}
