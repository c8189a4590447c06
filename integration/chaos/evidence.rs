//! What is kept of a failed run beside the logs: what HAProxy and the daemons say of themselves at that moment.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Result;
use backchat::demo::plane::haproxy::ask;

use super::{
    admin,
    op::Host,
    schedule::{BALANCERS, hosts},
    world::World,
};

/// Asked of each HAProxy.
const PLANE: [&str; 5] = ["show info", "show servers state", "show servers conn", "show stat", "show sess"];
/// Asked of each daemon.
const DAEMON: [&str; 4] = ["/v1/status", "/v1/services", "/v1/members", "/v1/plan"];

/// Writes all of it into a folder that is there.
pub(crate) async fn keep(world: &World, into: &Path) -> Result<()> {
    for balancer in 1..=BALANCERS {
        let mut said = String::new();
        for command in PLANE {
            let answer = ask(&world.socket(balancer), command).await.unwrap_or_else(|e| e.to_string());
            writeln!(said, "> {command}\n{answer}")?;
        }
        fs::write(into.join(format!("lb{balancer}.haproxy.says")), said)?;
    }
    for host in hosts() {
        // One whose daemon does not run has nothing to say.
        if world.runs(host) {
            fs::write(into.join(format!("{host}.says")), said(world, host).await?)?;
        }
    }
    Ok(())
}

async fn said(world: &World, host: Host) -> Result<String> {
    let mut said = String::new();
    for path in DAEMON {
        match admin::get(world, host, path).await {
            Ok(answer) => writeln!(said, "> {path}\n{answer:#}")?,
            Err(error) => writeln!(said, "> {path}\n{error:#}")?,
        }
    }
    Ok(said)
}
