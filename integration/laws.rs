//! What holds for every plan, whichever the data plane: one harness over all drivers, each with its data plane on paper.
//! What only one of them promises stands beside its own plan.

use std::time::Duration;

use backchat::drivers::{BALANCER, HAPROXY_TEMPLATE, NGINX_TEMPLATE, OPENRESTY_TEMPLATE};
use backchat_contract::{
    Action, Change, ChangeKind, ChangeStatus, Desired, Endpoint, EndpointAddr, EndpointState, Mode, Protocol, Route,
    Service, Step, Structure, Weight, diff, paper::OnPaper, waiting,
};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::select,
};

/// More steps than any change here takes.
const STEPS: usize = 60;

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: impl AsRef<str>) -> T {
    text.as_ref().parse().unwrap()
}

fn endpoints() -> impl Strategy<Value = Service> {
    let state = select(vec![EndpointState::Ready, EndpointState::Ready, EndpointState::Drain]);
    let endpoint = (1u8..5, select(vec![0u32, 50, 100]), state).prop_map(|(host, weight, state)| Endpoint {
        addr: EndpointAddr::try_from(std::net::SocketAddr::from(([10, 0, 0, host], 80))).unwrap(),
        weight: Weight::try_from(weight).unwrap(),
        state,
    });
    let protocol = prop_oneof![6 => Just(Protocol::Http), 1 => Just(Protocol::Tcp)];
    let endpoints = btree_map((0u8..4).prop_map(|n| parsed(format!("e{n}"))), endpoint, 0..4);
    (protocol, endpoints).prop_map(|(protocol, endpoints)| Service { protocol, endpoints })
}

/// Up to five services, one of a name that is not theirs to have, and routes, some onto what is not there.
fn desired() -> impl Strategy<Value = Desired> {
    let name = || select(vec!["s0", "s1", "s2", "s3", "bc-x"]).prop_map(parsed);
    let host = select(vec!["a.example", "*.example", "*"]).prop_map(parsed);
    let route = (host, select(vec!["/", "/x"]).prop_map(parsed)).prop_map(|(host, path)| Route { host, path });
    (btree_map(name(), endpoints(), 0..5), btree_map(route, name(), 0..4)).prop_map(|(services, mut routes)| {
        // A route onto a service that speaks TCP is none that the model makes.
        routes.retain(|_, name| services.get(name).is_none_or(|service: &Service| service.protocol == Protocol::Http));
        Desired { services, routes, ..Desired::default() }
    })
}

/// What happens behind our back, or by the operator.
#[derive(Clone, Copy, Debug)]
enum Tampering {
    Weigh,
    Edit,
    Alter,
}

fn tampering() -> impl Strategy<Value = Vec<Tampering>> {
    vec(select(vec![Tampering::Weigh, Tampering::Edit, Tampering::Alter]), 0..3)
}

/// Two sets, and what happens between them.
#[derive(Clone, Debug)]
struct Case {
    before: Desired,
    tampering: Vec<Tampering>,
    after: Desired,
    mode: Mode,
}

fn case() -> impl Strategy<Value = Case> {
    let mode = select(vec![Structure::Allowed, Structure::Forced, Structure::Held]);
    (desired(), tampering(), desired(), mode).prop_map(|(before, tampering, after, structure)| Case {
        before,
        tampering,
        after,
        mode: Mode { structure },
    })
}

fn tamper<D: OnPaper>(paper: &mut D, how: Tampering, live: &Desired) {
    match how {
        Tampering::Edit => paper.edit(),
        Tampering::Alter => paper.alter(),
        Tampering::Weigh => {
            let first = live.endpoints().next().map(|(id, _)| id);
            // Where that takes a reload it is not done.
            let _done = first.is_some_and(|id| paper.weigh(&id, 7));
        }
    }
}

/// Steps until nothing is left but to wait for the operator; every plan's commands on the way.
async fn settle<D: OnPaper>(paper: &mut D, wanted: &Desired, mode: Mode) -> Result<Step<()>, TestCaseError> {
    let mut idle = 0;
    for _ in 0..STEPS {
        let observed = paper.observe().await.unwrap();
        match paper.plan(wanted, &observed, mode) {
            Step::Converged => return Ok(Step::Converged),
            Step::Waiting { why, recheck } if idle == 5 => return Ok(Step::Waiting { why, recheck }),
            Step::Waiting { .. } => idle += 1,
            Step::Change(plan) => {
                idle = 0;
                let said = paper.view(&plan).generation;
                let before = paper.plane(&observed).generation;
                paper.apply(plan).await.unwrap();
                let after = paper.observe().await.unwrap();
                // It is at the generation that it was told to lead to.
                prop_assert_eq!(paper.plane(&after).generation, said.unwrap_or(before));
            }
        }
        paper.pass(Duration::from_secs(1));
    }
    Err(TestCaseError::fail(format!("no end on the way to {wanted:#?}")))
}

/// What a plan shows: the first step's, before anything of it is done.
async fn first<D: OnPaper>(paper: &mut D, wanted: &Desired, mode: Mode) -> (Desired, Vec<Change>, bool) {
    let observed = paper.observe().await.unwrap();
    let live = paper.live(&observed);
    let (shown, does) = match paper.plan(wanted, &observed, mode) {
        Step::Change(plan) => (paper.view(&plan).changes, true),
        Step::Waiting { .. } => (waiting(&live, &paper.part(wanted)), false),
        Step::Converged => (Vec::new(), false),
    };
    (live, shown, does)
}

async fn live<D: OnPaper>(paper: &mut D) -> Desired {
    let observed = paper.observe().await.unwrap();
    paper.live(&observed)
}

/// What is counted: kind, action and id of the changes of this status.
fn of(changes: &[Change], status: ChangeStatus) -> Vec<Effect<'_>> {
    let of = changes.iter().filter(|change| change.status == status);
    of.map(|change| (change.kind, change.action, change.id.as_str())).collect()
}

type Effect<'a> = (ChangeKind, Action, &'a str);

/// What is planned, and what waits, as it comes out in the end: what goes now and comes back with what waited for room has
/// changed, then, or drains, or is what it was.
fn as_one<'a>(shown: &'a [Change], effects: &[Effect<'a>]) -> (Vec<Effect<'a>>, Vec<Effect<'a>>) {
    let (planned, waits) = (of(shown, ChangeStatus::Planned), of(shown, ChangeStatus::Waiting));
    let halves = |(kind, _, id): Effect<'a>| [(kind, Action::Remove, id), (kind, Action::Add, id)];
    let is_back = |effect: &Effect<'a>| {
        let [goes, comes] = halves(*effect);
        let is_both = planned.contains(&goes) && waits.contains(&comes);
        is_both && !effects.contains(&goes) && !effects.contains(&comes)
    };
    let whole = |half: Effect<'a>| effects.iter().find(move |effect| (effect.0, effect.2) == (half.0, half.2)).copied();
    let stays = planned.iter().filter(|effect| !is_back(effect)).copied().collect();
    let waits = waits.iter().filter_map(|effect| if is_back(effect) { whole(*effect) } else { Some(*effect) });
    (stays, waits.collect())
}

async fn check<D: OnPaper>(mut paper: D, case: &Case) -> Result<(), TestCaseError> {
    settle(&mut paper, &case.before, Mode::default()).await?;
    let settled = live(&mut paper).await;
    prop_assert_eq!(&settled, &paper.part(&case.before), "repeated steps give the desired");
    for how in &case.tampering {
        tamper(&mut paper, *how, &settled);
    }
    let (was, shown, changes) = first(&mut paper, &case.after, case.mode).await;
    let step = settle(&mut paper, &case.after, case.mode).await?;
    let now = live(&mut paper).await;
    if step == Step::Converged {
        prop_assert_eq!(&now, &paper.part(&case.after), "repeated steps give the desired");
    }
    if changes {
        let effects = diff(&was, &now);
        let (planned, waits) = as_one(&shown, &of(&effects, ChangeStatus::Planned));
        // What waits may come after all, where what goes makes room for it.
        let (told, more): (Vec<_>, Vec<_>) =
            of(&effects, ChangeStatus::Planned).into_iter().partition(|effect| planned.contains(effect));
        prop_assert_eq!(told, planned, "what is told to change is what changes");
        prop_assert!(more.iter().all(|effect| waits.contains(effect)), "{more:?} came untold");
        let left = waiting(&now, &paper.part(&case.after));
        let left = of(&left, ChangeStatus::Waiting);
        prop_assert!(left.iter().all(|change| waits.contains(change)), "{left:?} is left untold");
        prop_assert_eq!(left.len() + more.len(), waits.len());
    }
    // The plan of what was just applied is empty.
    let (_, again, changes) = first(&mut paper, &case.after, case.mode).await;
    prop_assert!(!changes && (step != Step::Converged || again.is_empty()), "{again:?}");
    Ok(())
}

fn over_all(case: &Case, papers: impl AsyncFnOnce(&Case) -> Result<(), TestCaseError>) -> Result<(), TestCaseError> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(papers(case))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// By files rendered in short.
    #[test]
    fn plans_do_what_they_show(case in case()) {
        over_all(&case, async |case| {
            check(backchat_haproxy::paper::Paper::managed(), case).await?;
            check(backchat_nginx::paper::Paper::new(), case).await?;
            check(backchat_openresty::paper::Paper::with(&Desired::default()), case).await
        })?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// By our own templates.
    #[test]
    fn plans_by_our_templates_do_what_they_show(case in case()) {
        over_all(&case, async |case| {
            check(backchat_haproxy::paper::Paper::by(HAPROXY_TEMPLATE), case).await?;
            check(backchat_nginx::paper::Paper::by(NGINX_TEMPLATE), case).await?;
            check(backchat_openresty::paper::Paper::by(OPENRESTY_TEMPLATE, BALANCER), case).await
        })?;
    }

    /// The same as one file of somebody else's nginx.
    #[test]
    fn plans_for_an_include_do_what_they_show(case in case()) {
        over_all(&case, async |case| {
            check(backchat_nginx::paper::Paper::attached(NGINX_TEMPLATE), case).await?;
            check(backchat_openresty::paper::Paper::attached(OPENRESTY_TEMPLATE, BALANCER), case).await
        })?;
    }

    /// In somebody else's HAProxy.
    #[test]
    fn attached_plans_do_what_they_show(case in case()) {
        let paper = || backchat_haproxy::paper::Paper::attached(&["s0", "s1", "theirs"]);
        over_all(&case, async |case| {
            let mut here = case.clone();
            here.before.services.retain(|name, _| ["s0", "s1"].contains(&name.as_str()));
            here.tampering.clear();
            check(paper(), &here).await
        })?;
    }
}
