//! Signals as people write them: `TERM`, `SIGTERM` or 15.

use std::{fmt, str::FromStr};

use rustix::process::Signal;

/// Those that a service may be asked to stop by, or end of.
const NAMES: &[(&str, Signal)] = &[
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("ILL", Signal::ILL),
    ("TRAP", Signal::TRAP),
    ("ABRT", Signal::ABORT),
    ("BUS", Signal::BUS),
    ("FPE", Signal::FPE),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("SEGV", Signal::SEGV),
    ("USR2", Signal::USR2),
    ("PIPE", Signal::PIPE),
    ("ALRM", Signal::ALARM),
    ("TERM", Signal::TERM),
    ("WINCH", Signal::WINCH),
];

/// A signal by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalName(Signal);

/// No signal has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no signal '{0}'; use a name like TERM, QUIT or INT, or its number")]
pub struct NoSuchSignal(String);

impl SignalName {
    /// The polite word.
    pub const TERM: Self = Self(Signal::TERM);

    /// The signal.
    pub fn signal(self) -> Signal {
        self.0
    }

    /// Its number.
    pub fn number(self) -> i32 {
        self.0.as_raw()
    }
}

impl FromStr for SignalName {
    type Err = NoSuchSignal;
    fn from_str(text: &str) -> Result<Self, NoSuchSignal> {
        let plain = text.to_ascii_uppercase();
        let plain = plain.strip_prefix("SIG").unwrap_or(&plain);
        let named = NAMES.iter().find(|(name, signal)| *name == plain || signal.as_raw().to_string() == plain);
        named.map(|(_, signal)| Self(*signal)).ok_or_else(|| NoSuchSignal(text.to_owned()))
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name(self.number()))
    }
}

/// `SIGTERM`; of signals without a name here, `signal 42`.
pub(super) fn name(number: i32) -> String {
    let named = NAMES.iter().find(|(_, signal)| signal.as_raw() == number);
    named.map_or_else(|| format!("signal {number}"), |(name, _)| format!("SIG{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_a_name_and_a_number() {
        for text in ["TERM", "term", "SIGTERM", "15"] {
            assert_eq!(text.parse(), Ok(SignalName::TERM), "{text}");
        }
        assert_eq!("QUIT".parse::<SignalName>().unwrap().to_string(), "SIGQUIT");
        for text in ["", "SIG", "0", "TERMINATE", "SIGSIGTERM"] {
            let error = text.parse::<SignalName>().unwrap_err();
            assert_eq!(error, NoSuchSignal(text.into()));
        }
    }
}
