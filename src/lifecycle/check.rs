//! What a service's check is: where it looks, how often, and what it takes to change its mind.
//!
//! The words of flags and files are read here; `watch` runs a check beside the service.

mod exec;
mod http;
mod names;
mod streak;
mod target;
mod tcp;
#[cfg(test)]
mod tests;
mod watch;

use std::{net::IpAddr, time::Duration};

use names::Names;
pub use target::{Place, Target, TargetError};
pub use watch::{Outcome, watch};

use super::shell::Shell;

/// A check of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The service, for the log.
    pub service: String,
    /// Where it looks.
    pub target: Target,
    /// The service's port, for a target that names none.
    pub port: u16,
    /// What an HTTP check asks for where its target names no host.
    pub host: Option<String>,
    /// How often.
    pub pace: Pace,
    /// Whether it only waits for the first pass of each run, and then rests.
    pub first_only: bool,
}

/// How often a check looks, and what it takes to change its mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From one look to the next.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Passes in a row that make it up, at least 1.
    pub rise: u32,
    /// Failures in a row that make it down, at least 1.
    pub fall: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), timeout: Duration::from_secs(2), rise: 1, fall: 2 }
    }
}

/// Says this node's address, for a target that names none: asked at each look, for a host may get another.
pub type Own = Box<dyn Fn() -> IpAddr + Send + Sync>;

/// What a check looks with: made once, used for each look.
struct Probe {
    check: Check,
    own: Own,
    names: Names,
    client: Option<reqwest::Client>,
    shell: Shell,
}

impl Probe {
    fn new(check: Check, own: Own, shell: Shell) -> Self {
        let names = Names::new();
        let client = matches!(check.target, Target::Http(..)).then(|| http::client(&names)).flatten();
        Self { check, own, names, client, shell }
    }

    /// One look; why it did not pass.
    async fn look(&self) -> Result<(), String> {
        let limit = self.check.pace.timeout;
        match &self.check.target {
            // It has a time limit of its own, to kill by.
            Target::Exec(command) => exec::look(self.shell, command, limit).await,
            Target::Tcp(place) => {
                let place = place.or((self.own)(), self.check.port);
                let look = self.in_time(tcp::look(&self.names, &place)).await;
                look.map_err(|why| format!("tcp {place}: {why}"))
            }
            Target::Http(place, path) => {
                let host = place.host().is_none().then_some(self.check.host.as_deref()).flatten();
                let place = place.or((self.own)(), self.check.port);
                let look = self.in_time(http::look(self.client.as_ref(), &place, path, host)).await;
                look.map_err(|why| format!("http {place}{path}: {why}"))
            }
        }
    }

    async fn in_time(&self, look: impl Future<Output = Result<(), String>>) -> Result<(), String> {
        let limit = self.check.pace.timeout;
        let seen = match tokio::time::timeout(limit, look).await {
            Ok(seen) => seen,
            Err(_) if self.names.is_asked().await => Err(format!("the name is not resolved within {limit:?}")),
            Err(_) => Err(format!("no answer within {limit:?}")),
        };
        if seen.is_err() {
            self.names.forget().await;
        }
        seen
    }
}
