//! A command of the operator's: its own process group, a time limit, killed whole, and with its agent; status 0 passes.

use std::time::Duration;

use backchat_template::CommandError;

use crate::lifecycle::shell::Shell;

/// The longest line that is shown, in characters.
const LINE: usize = 200;

pub(super) async fn look(shell: Shell, command: &str, limit: Duration) -> Result<(), String> {
    let shell = shell.command(command).map_err(|error| format!("cannot start '{command}': {error}"))?;
    let output = match backchat_template::run(shell.into(), limit).await {
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

fn last_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(LINE).collect())
}
