//! nginx's own word on a file, before it is put in place.

use std::{path::Path, time::Duration};

use backchat_contract::DriverError;
use backchat_template::{CommandError, run};
use tokio::process::Command;

use crate::log;

/// How nginx is called, whatever for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The `nginx` binary: a path, or a name looked up in PATH.
    pub program: String,
    /// What is given beside the configuration: `-p`, `-e` and the like.
    pub flags: Vec<String>,
}

impl Call {
    /// The command on a configuration.
    pub fn on(&self, config: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.flags).arg("-c").arg(config);
        // Sockets of our service manager's are no listeners of nginx's.
        command.env_remove("NGINX").env_remove("NOTIFY_SOCKET");
        command
    }
}

/// Runs `nginx -t`. The error carries reason, file and line, the file by the name that it will have.
pub async fn check(call: &Call, staged: &Path, named: &Path, limit: Duration) -> Result<(), DriverError> {
    let mut command = call.on(staged);
    command.arg("-t").arg("-q");
    let refused = |message: String| DriverError::Check {
        file: named.display().to_string(),
        message: message.replace(&*staged.to_string_lossy(), &named.to_string_lossy()),
    };
    match run(command, limit).await {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = log::emergencies(&output.stderr);
            let message = if said.is_empty() { format!("{}: {}", output.status, output.stderr.trim()) } else { said };
            Err(refused(message))
        }
        Err(CommandError::Start { program, source }) => {
            Err(DriverError::Start { program, message: source.to_string() })
        }
        Err(error @ CommandError::Deadline { .. }) => Err(refused(error.to_string())),
    }
}
