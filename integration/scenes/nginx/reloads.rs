//! What must not reload nginx: each reload closes its clients' idle connections.

use std::collections::BTreeSet;

use backchat::demo::{Driver, Plane};
use tokio::time::Instant;

use crate::scenes::namespaces::{Hosts, PATIENCE};

async fn until(hosts: &Hosts, what: &str, condition: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", hosts.last_words());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Reloads so far, once all is done that is to be done.
async fn reloads(hosts: &Hosts) -> u64 {
    until(hosts, "it converges", async || hosts.json("proxy", &["status"]).await["converged"] == true).await;
    hosts.json("proxy", &["status"]).await["reloads"].as_u64().expect("status answers")
}

/// web3 falls silent: to the others, and to the balancer that asks it. That may pass. Whoever drives a data plane that
/// need not reload drains it meanwhile; here it is out by the verdict.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspicion_does_not_reload_and_the_verdict_does_once() {
    let Some(mut hosts) = Hosts::new("r") else { return };
    hosts.start_lb_driving(Driver::Nginx);
    for (host, nth) in [(0, 1), (0, 2), (1, 3)] {
        hosts.start_web(host, nth);
    }
    let all: BTreeSet<_> = ["web1", "web2", "web3"].map(String::from).into();
    until(&hosts, "all are served", async || hosts.served(12) == all).await;
    let before = reloads(&hosts).await;
    hosts.cut(true);
    hosts.sees("proxy", &[("web1", "alive"), ("web2", "alive"), ("web3", "failed")]).await;
    let (plane, web3) = (Plane::new(Driver::Nginx, hosts.run_dir("proxy")), "10.77.0.2:8003".parse().unwrap());
    until(&hosts, "web3 is out", async || plane.takes(web3).await.is_ok_and(|takes| !takes)).await;
    assert_eq!(reloads(&hosts).await, before + 1, "{}", hosts.last_words());
    let words = hosts.words("proxy");
    assert!(words.contains(": Remove kind=Endpoint id=web/web3"), "{words}");
    assert!(!words.contains(": Drain "), "{words}");
    assert_eq!(hosts.served(12), ["web1", "web2"].map(String::from).into());
}
