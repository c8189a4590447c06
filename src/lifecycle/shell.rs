//! How a command of the operator's is given to a shell: as it was written, and never with anything of others' in it.

use std::{ffi::OsStr, io, process::Command};

use super::child;

/// What a command is given to.
const SHELL: &str = "/bin/sh";

/// How the shell is started.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shell {
    /// By way of this program, so that it is killed with us, however we end.
    Bound,
    /// As it is, where this program is another one: under test.
    #[cfg(test)]
    Loose,
}

impl Shell {
    /// The shell with this command.
    pub(super) fn command(self, line: impl AsRef<OsStr>) -> io::Result<Command> {
        let mut shell = match self {
            Self::Bound => child::bound_to_us(SHELL.as_ref())?,
            #[cfg(test)]
            Self::Loose => Command::new(SHELL),
        };
        shell.arg("-c").arg(line);
        Ok(shell)
    }
}
