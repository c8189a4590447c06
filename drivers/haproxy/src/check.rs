//! HAProxy's own word on a file, before it is put in place.

use std::{path::Path, time::Duration};

use backchat_contract::DriverError;
use backchat_template::{CommandError, run};
use tokio::process::Command;

use crate::log;

/// Runs `haproxy -c -f FILE`. The error carries line and reason: `parsing [FILE:104] : unknown keyword…`.
pub async fn check(program: &str, file: &Path, limit: Duration) -> Result<(), DriverError> {
    let mut command = Command::new(program);
    command.arg("-c").arg("-f").arg(file).env_remove("NOTIFY_SOCKET");
    let refused = |message| DriverError::Check { file: file.display().to_string(), message };
    match run(command, limit).await {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let alerts = log::alerts(&output.stderr);
            let message =
                if alerts.is_empty() { format!("{}: {}", output.status, output.stderr.trim()) } else { alerts };
            Err(refused(message))
        }
        Err(CommandError::Start { program, source }) => {
            Err(DriverError::Start { program, message: source.to_string() })
        }
        Err(error @ CommandError::Deadline { .. }) => Err(refused(error.to_string())),
    }
}
