//! What a plan costs with 10,000 endpoints, beside serialising the same desired set: `cargo bench --bench plan`; `make
//! bench` runs it too. Compare by ratio, for the figures themselves depend on the machine.
//!
//! The data planes are on paper and the templates ours: what is measured is all that the daemon computes between reading
//! its data plane and writing to it; and beside that what makes it an answer: the diffs of its files, and JSON. A plan
//! that takes longer than the goal is a failure (status 1).

use std::{fs, hint::black_box, path::Path, time::Duration};

use backchat::drivers::{BALANCER, HAPROXY_TEMPLATE, NGINX_TEMPLATE, OPENRESTY_TEMPLATE};
use backchat_contract::{
    Desired, Endpoint, EndpointState, FileChange, Mode, Route, Service, Step, Structure, Weight, paper::OnPaper,
};
use criterion::{BatchSize, BenchmarkId, Criterion};

/// What a plan may take, at most.
const GOAL: Duration = Duration::from_millis(10);
/// As many as the issue asks for.
const ENDPOINTS: u32 = 10_000;
const SERVICES: u32 = 100;

const UNIT: &str = "serialise the desired set";
const CASES: [&str; 3] = ["10000 of 10000 new", "1 of 10000 gone", "nothing to do"];

fn main() {
    // `cargo bench` says --bench; any other runner, `cargo test --benches` say, wants no measurement.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/criterion");
    let criterion = Criterion::default().output_directory(&out).sample_size(20);
    let mut criterion = criterion.measurement_time(Duration::from_secs(3)).configure_from_args();
    let all = desired();
    let mut group = criterion.benchmark_group("plan");
    group.bench_function(UNIT, |b| b.iter(|| serde_json::to_vec(black_box(&all)).expect("it serialises")));
    group.finish();
    plans(&mut criterion, "haproxy", backchat_haproxy::paper::Paper::by(HAPROXY_TEMPLATE), &all);
    plans(&mut criterion, "nginx", backchat_nginx::paper::Paper::by(NGINX_TEMPLATE), &all);
    plans(&mut criterion, "openresty", backchat_openresty::paper::Paper::by(OPENRESTY_TEMPLATE, BALANCER), &all);
    criterion.final_summary();
    if !report(&out.join("plan")) {
        std::process::exit(1);
    }
}

/// Prints the medians and their ratios; whether every plan is within the goal.
fn report(folder: &Path) -> bool {
    let Some(unit) = median(&folder.join(UNIT)) else { return true };
    println!("{UNIT}: {unit:.1?}");
    let mut within = true;
    for driver in ["haproxy", "nginx", "openresty"] {
        for case in CASES {
            let [plan, shown] = ["", "_shown"].map(|part| median(&folder.join(format!("{driver}{part}")).join(case)));
            let (Some(plan), Some(shown)) = (plan, shown) else { continue };
            let ratio = |time: Duration| time.as_secs_f64() / unit.as_secs_f64();
            let verdict = if plan <= GOAL { "" } else { "  MISS: 10 ms at most" };
            println!(
                "{driver}, {case}: {plan:.1?}, {:.1}×; shown {shown:.1?}, {:.1}×{verdict}",
                ratio(plan),
                ratio(shown)
            );
            within &= plan <= GOAL;
        }
    }
    within
}

/// Of what was measured last.
fn median(folder: &Path) -> Option<Duration> {
    let text = fs::read(folder.join("new/estimates.json")).ok()?;
    let estimates: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some(Duration::from_secs_f64(estimates["median"]["point_estimate"].as_f64()? / 1e9))
}

/// The set: so many endpoints in a hundred services, each with a host.
fn desired() -> Desired {
    let mut desired = Desired::default();
    for n in 0..ENDPOINTS {
        let service: backchat_contract::ServiceName = format!("s{:02}", n % SERVICES).parse().expect("a name");
        let addr = std::net::SocketAddr::from((std::net::Ipv4Addr::from_bits(0x0a00_0000 + n), 8080));
        let endpoint = Endpoint {
            addr: addr.try_into().expect("an address"),
            weight: Weight::DEFAULT,
            state: EndpointState::Ready,
        };
        let route = Route {
            host: format!("{service}.example.com").parse().expect("a host"),
            path: "/".parse().expect("a path"),
        };
        desired.routes.insert(route, service.clone());
        let of = desired.services.entry(service).or_insert_with(Service::default);
        of.endpoints.insert(format!("e{n:05}").parse().expect("a name"), endpoint);
    }
    desired
}

/// All that come at once, one of all that leaves, and none.
fn plans<D: OnPaper>(criterion: &mut Criterion, name: &str, mut paper: D, all: &Desired) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let fresh = runtime.block_on(paper.observe()).expect("it is on paper");
    let [new, gone, nothing] = CASES;
    plan(criterion, (name, new), &paper, &fresh, all);
    runtime.block_on(settle(&mut paper, all));
    let settled = runtime.block_on(paper.observe()).expect("it is on paper");
    let mut less = all.clone();
    less.services.values_mut().next().expect("there is one").endpoints.pop_first();
    plan(criterion, (name, gone), &paper, &settled, &less);
    plan(criterion, (name, nothing), &paper, &settled, all);
}

fn plan<D: OnPaper>(
    criterion: &mut Criterion,
    (name, case): (&str, &str),
    paper: &D,
    observed: &D::Observed,
    desired: &Desired,
) {
    let step = || paper.plan(black_box(desired), observed, Mode { structure: Structure::Allowed });
    let mut group = criterion.benchmark_group("plan");
    group.bench_function(BenchmarkId::new(name, case), |b| b.iter(step));
    let shown = |step| {
        let Step::Change(plan) = step else { return String::new() };
        let view = paper.view(&plan);
        let diffs: String = view.files.iter().map(FileChange::diff).collect();
        diffs + &serde_json::to_string(&(&view.changes, &view.commands)).expect("it serialises")
    };
    group.bench_function(BenchmarkId::new(format!("{name}_shown"), case), |b| {
        b.iter_batched(step, shown, BatchSize::PerIteration);
    });
    group.finish();
}

async fn settle<D: OnPaper>(paper: &mut D, desired: &Desired) {
    for _ in 0..20 {
        let observed = paper.observe().await.expect("it is on paper");
        match paper.plan(desired, &observed, Mode::default()) {
            Step::Change(plan) => drop(paper.apply(plan).await.expect("it is on paper")),
            Step::Converged => return,
            Step::Waiting { .. } => {}
        }
        paper.pass(Duration::from_secs(1));
    }
    unreachable!("a data plane on paper gets there");
}
