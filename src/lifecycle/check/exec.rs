//! A command of the operator's: its own process group, a time limit, killed whole, and with its agent; status 0 passes.

use std::{io, time::Duration};

use backchat_template::CommandError;
use tokio::process::Command;

use crate::lifecycle::child;

/// The longest line that is shown, in characters.
const LINE: usize = 200;

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

pub(super) async fn look(shell: Shell, command: &str, limit: Duration) -> Result<(), String> {
    let mut shell = shell.command().map_err(|error| format!("cannot start '{command}': {error}"))?;
    shell.args(["-c", command]);
    let output = match backchat_template::run(shell, limit).await {
        Ok(output) => output,
        Err(CommandError::Deadline { .. }) => return Err(format!("'{command}' did not end within {limit:?}")),
        Err(error) => return Err(error.to_string()),
    };
    if output.status.success() {
        return Ok(());
    }
    let last = last_line(&output.stderr).or_else(|| last_line(&output.stdout));
    let last = last.map(|line| format!(": {line}")).unwrap_or_default();
    Err(format!("'{command}' ended with {}{last}", output.status))
}

impl Shell {
    fn command(self) -> io::Result<Command> {
        Ok(match self {
            Self::Bound => child::bound_to_us(SHELL.as_ref())?.into(),
            #[cfg(test)]
            Self::Loose => Command::new(SHELL),
        })
    }
}

fn last_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(LINE).collect())
}
