//! The words of the chaos: what may happen to which host. Plain data, no randomness, no IO. More kinds will come.

use std::{fmt, time::Duration};

/// A host of the world. Each has an address of its own and a cable to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Host {
    /// A balancer with its HAProxy, from 1.
    Balancer(u8),
    /// A web server with an agent beside it, from 1.
    Web(u8),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balancer(number) => write!(f, "lb{number}"),
            Self::Web(number) => write!(f, "web{number}"),
        }
    }
}

/// One thing that happens to one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    /// To which host.
    pub(crate) on: Host,
    /// What.
    pub(crate) what: What,
}

/// What happens. Each has its name once, in [`What::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A web server starts, then its agent.
    Join,
    /// SIGTERM at the agent; when it has ended, SIGKILL at the web server.
    Leave,
    /// SIGKILL at agent and web server together.
    Crash,
    /// SIGKILL at the web server alone; another takes its place.
    CrashWeb { back: Duration },
    /// SIGKILL at the agent alone; another takes its place.
    CrashAgent { back: Duration },
    /// SIGSTOP at the daemon, agent or `lb`, then SIGCONT.
    Stop { lasts: Duration },
    /// No packet passes between this host and the others; clients still reach a balancer.
    Cut { lasts: Duration },
    /// This share of its packets is lost in each direction, those of clients too.
    Lose { percent: u8, lasts: Duration },
    /// SIGKILL at `lb`; another takes its place.
    KillLb { back: Duration },
    /// SIGTERM at `lb`, told to keep HAProxy; another takes its place.
    RestartLb { back: Duration },
    /// SIGSTOP at HAProxy's worker, then SIGCONT.
    StopHaproxy { lasts: Duration },
    /// SIGKILL at one of HAProxy's processes.
    KillHaproxy(Part),
    /// SIGUSR2 at HAProxy's master: somebody reloads it by hand.
    ReloadHaproxy,
}

/// A process of HAProxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The one that the others are children of.
    Master,
    /// The one that serves.
    Worker,
}

impl What {
    /// Its name, for counts and reports.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Crash => "crash",
            Self::CrashWeb { .. } => "crash the web server",
            Self::CrashAgent { .. } => "crash the agent",
            Self::Stop { .. } => "stop",
            Self::Cut { .. } => "cut",
            Self::Lose { .. } => "lose",
            Self::KillLb { .. } => "kill lb",
            Self::RestartLb { .. } => "restart lb",
            Self::StopHaproxy { .. } => "stop haproxy",
            Self::KillHaproxy(Part::Master) => "kill haproxy's master",
            Self::KillHaproxy(Part::Worker) => "kill haproxy's worker",
            Self::ReloadHaproxy => "reload haproxy",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.on, self.what.kind())?;
        match self.what {
            What::CrashWeb { back } | What::CrashAgent { back } | What::KillLb { back } | What::RestartLb { back } => {
                write!(f, ", back after {back:.1?}")
            }
            What::Stop { lasts } | What::Cut { lasts } | What::StopHaproxy { lasts } => {
                write!(f, " for {lasts:.1?}")
            }
            What::Lose { percent, lasts } => write!(f, " {percent} % for {lasts:.1?}"),
            What::Join | What::Leave | What::Crash | What::KillHaproxy(_) | What::ReloadHaproxy => Ok(()),
        }
    }
}
