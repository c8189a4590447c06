//! The data planes with Hipache's manners.

use std::{path::PathBuf, time::Duration};

use backchat_contract::{AccessLog, Driver, Policies, ServicePolicy};

use super::server::Seen;
use crate::conformance::{Bench, Rig, Wanted};

/// One that takes on Hipache's manners.
pub(crate) trait Hipache: Rig {
    /// Its column in the table.
    const COLUMN: &'static str;

    /// The driver, with these manners and policies, and a log.
    fn hipache(&self, policies: Policies, access: Option<AccessLog>) -> Self::Driver;

    /// The folder in which a log may be written.
    fn room(&self) -> PathBuf;
}

/// A data plane that holds this.
pub(super) async fn with<R: Hipache>(wanted: &Wanted) -> Bench<R> {
    ruled(wanted, Policies::default()).await
}

/// The same, by these policies.
pub(super) async fn ruled<R: Hipache>(wanted: &Wanted, policies: Policies) -> Bench<R> {
    started(R::new(), wanted, policies, None).await
}

/// The same on this rig, with a log.
pub(super) async fn started<R: Hipache>(
    rig: R,
    wanted: &Wanted,
    policies: Policies,
    access: Option<AccessLog>,
) -> Bench<R> {
    let mut driver = rig.hipache(policies, access);
    driver.ensure().await.unwrap();
    let mut bench = Bench { rig, driver };
    bench.converge(wanted).await;
    bench
}

/// One service of these servers behind `a.example`.
pub(super) fn one_service(servers: &[&Seen]) -> Wanted {
    let wanted = Wanted::default().route("a.example", "/", "web");
    servers.iter().enumerate().fold(wanted, |wanted, (n, server)| wanted.ready("web", &format!("w{n}"), server.addr))
}

/// Policies by which `web` is waited for no longer than that.
pub(super) fn hurried() -> Policies {
    let mut policy = ServicePolicy::default();
    policy.timeouts.response = Some(Duration::from_millis(300));
    [("web".parse().unwrap(), policy)].into_iter().collect()
}
