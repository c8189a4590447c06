//! `backchat keep`: the process between an agent and the service it runs. Hidden: only an agent starts it.

use std::{ffi::OsString, io, process::ExitCode, time::Duration};

use anyhow::Context as _;
use rustix::process::Signal;

use super::output;
use crate::{
    lifecycle::keeper::{self, Charge},
    model::words::without_errno,
};

/// What a shell answers where there is no such program.
const NOT_FOUND: u8 = 127;
/// And where there is one that does not start.
const NOT_STARTED: u8 = 126;

/// Keep a service that ends with its agent
#[derive(clap::Args)]
pub(super) struct Flags {
    /// Become COMMAND, which is to end with this process, its parent
    #[arg(long, value_name = "PID")]
    under: Option<i32>,

    /// What asks COMMAND to stop, by number
    #[arg(long, default_value_t = 15)]
    stop_signal: i32,

    /// How long it has then, in milliseconds
    #[arg(long, default_value_t = 1000)]
    grace_ms: u64,

    /// The service
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Flags {
    /// Whether this process is to become the service.
    pub(super) fn is_starter(&self) -> bool {
        self.under.is_some()
    }
}

/// Becomes the service; returns where it cannot.
pub(super) fn start(flags: &Flags) -> ExitCode {
    let error = keeper::become_command(flags.under.unwrap_or_default(), &flags.command);
    let program = flags.command.first().cloned().unwrap_or_default();
    output::complain(&format!("agent: cannot start {}: {}", program.display(), without_errno(&error.to_string())));
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED })
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<ExitCode> {
    let Flags { stop_signal, grace_ms, command, .. } = flags;
    let stop_signal = Signal::from_named_raw(stop_signal).context("no such signal")?;
    keeper::keep(&Charge { command, stop_signal, grace: Duration::from_millis(grace_ms) }).await?;
    Ok(ExitCode::SUCCESS)
}
