//! The program: arguments, tracing, exit code; nothing else.

use std::{io::IsTerminal, process::ExitCode};

use backchat::cli;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

fn main() -> ExitCode {
    let job = match cli::job(std::env::args_os()) {
        Ok(job) => job,
        Err(exit) => return exit.into(),
    };
    if let Some(log) = job.log() {
        trace(log.filter.as_str(), log.is_json());
    }
    job.run()
}

/// Log lines go to standard error: standard output is for what was asked.
fn trace(filter: &str, json: bool) {
    // Checked when the settings were read.
    let filter: Targets = filter.parse().unwrap_or_default();
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(std::io::stderr);
    if json {
        lines.json().flatten_event(true).finish().with(filter).init();
    } else {
        let colour =
            std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        lines.with_ansi(colour).finish().with(filter).init();
    }
}
