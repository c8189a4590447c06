//! What HAProxy alone does of a service's policy: it asks servers itself, and lets new ones begin gently.

use std::time::Duration;

use backchat_contract::{Mode, ServicePolicy, Step, policy::Check};

use super::HaproxyRig;
use crate::conformance::{bench::Bench, echo::Echo, policies::policies, tcp::Parrot, words::Wanted};

fn asks(path: &str) -> ServicePolicy {
    let check =
        Check { path: Some(path.parse().unwrap()), interval: Some(Duration::from_millis(50)), ..Check::default() };
    ServicePolicy { check: Some(check), slow_start: Some(Duration::from_millis(100)), ..ServicePolicy::DEFAULT }
}

/// A server that takes connections and speaks no HTTP passes a plain check, and not one of a path.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_of_a_path_wants_an_answer() {
    let (web, mute) = (Echo::start("one").await, Parrot::start("mute").await);
    let mut bench = Bench::<HaproxyRig>::ruled(policies([("web", asks("/up")), ("other", asks("/up"))])).await;
    let wanted = Wanted::default().ready("web", "one", web.addr).route("a.example", "/", "web");
    let wanted = wanted.ready("web", "mute", mute.addr).ready("other", "mute", mute.addr);
    let wanted = wanted.route("b.example", "/", "other");
    // Who fails his check is waited for.
    bench.until(&wanted, Mode::default(), |step| matches!(step, Step::Waiting { .. })).await;
    bench.eventually("who answers is asked", async || bench.get("a.example", "/").await.0 == 200).await;
    for _ in 0..20 {
        assert_eq!(bench.get("a.example", "/").await.0, 200, "who does not is never");
    }
    assert_eq!(bench.get("b.example", "/").await.0, 503);
}
