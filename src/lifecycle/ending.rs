//! How a process ended: as its keeper reports it, as a shell counts it, and in words.

use std::fmt;

use rustix::process::{WaitIdStatus, WaitStatus};

use super::signal_name;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this status.
    Exited(u8),
    /// By this signal.
    Killed(u8),
}

impl Ending {
    /// As a shell counts it: the status, or 128 and the signal's number.
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(status) => status,
            Self::Killed(signal) => 128_u8.saturating_add(signal),
        }
    }

    /// Whether it ended well by its own account.
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    /// Reads the line by which a keeper reports it.
    pub(super) fn read(line: &str) -> Option<Self> {
        let (how, number) = line.split_once(' ')?;
        let number = number.parse().ok()?;
        match how {
            "exited" => Some(Self::Exited(number)),
            "killed" => Some(Self::Killed(number)),
            _ => None,
        }
    }

    /// The line by which a keeper reports it.
    pub(super) fn line(self) -> String {
        match self {
            Self::Exited(status) => format!("exited {status}\n"),
            Self::Killed(signal) => format!("killed {signal}\n"),
        }
    }
}

impl From<WaitStatus> for Ending {
    fn from(status: WaitStatus) -> Self {
        of(status.exit_status(), status.terminating_signal())
    }
}

impl From<WaitIdStatus> for Ending {
    fn from(status: WaitIdStatus) -> Self {
        of(status.exit_status(), status.terminating_signal())
    }
}

fn of(status: Option<i32>, signal: Option<i32>) -> Ending {
    let byte = |number: i32| u8::try_from(number).unwrap_or(1);
    match (status, signal) {
        (None, Some(signal)) => Ending::Killed(byte(signal)),
        (status, _) => Ending::Exited(status.map_or(1, byte)),
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Killed(signal) => write!(f, "was ended by {}", signal_name::name((*signal).into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_survives_its_line_and_counts_as_in_a_shell() {
        let check = |ending: Ending, code: u8, words: &str| {
            assert_eq!(Ending::read(ending.line().trim_end()), Some(ending));
            assert_eq!((ending.code(), ending.to_string().as_str()), (code, words));
        };
        check(Ending::Exited(0), 0, "exited with status 0");
        check(Ending::Exited(78), 78, "exited with status 78");
        check(Ending::Killed(9), 137, "was ended by SIGKILL");
        check(Ending::Killed(15), 143, "was ended by SIGTERM");
        check(Ending::Killed(34), 162, "was ended by signal 34");
        for line in ["", "exited", "exited x", "exited 256", "left 1"] {
            assert_eq!(Ending::read(line), None, "{line}");
        }
    }
}
