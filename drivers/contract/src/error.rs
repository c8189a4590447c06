//! What a data plane's driver fails with: each variant names the object and carries the other side's answer.

use std::{io, path::PathBuf, time::Duration};

use serde::Serialize;

/// A command that the data plane refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// What was asked, as sent.
    pub command: String,
    /// What came back, trimmed.
    pub reply: String,
}

/// What is said of a refused configuration, once.
const SERVES_ON: &str = "; the last good configuration serves on";

/// Why a driver failed. Reads behind "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// Nobody answers at the other side. Nothing was changed.
    #[error("reach {plane}: {cause}")]
    Unreachable {
        /// The data plane and where it was looked for.
        plane: String,
        /// What the connect said.
        cause: String,
    },
    /// A command got an answer that means no.
    #[error("run '{command}': the answer was \"{reply}\"")]
    Refused {
        /// What was asked.
        command: String,
        /// What came back.
        reply: String,
    },
    /// Some commands of a plan got an answer that means no; the others were done.
    #[error("apply everything: {plane} refused '{command}': \"{reply}\"{more}; {applied} others applied")]
    Partly {
        /// The data plane.
        plane: &'static str,
        /// The first that was refused, cut where it is long.
        command: String,
        /// What came back.
        reply: String,
        /// How many more were refused, in words; empty where none.
        more: String,
        /// How many were done.
        applied: usize,
    },
    /// No answer in time. What was sent may have been done: observe again.
    #[error("{what} within {limit:?}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// A template that does not render, or what it renders does not pass the engine's own check. Nothing was changed.
    #[error("check {file}: {message}")]
    Check {
        /// The template or the staged file.
        file: String,
        /// Line and reason, as the engine said them.
        message: String,
    },
    /// The reload was refused or not confirmed; the last good file is back on disk.
    #[error("reload: {message}")]
    Reload {
        /// What the data plane said.
        message: String,
    },
    /// The process did not start or did not stay.
    #[error("start {program}: {message}")]
    Start {
        /// What was started.
        program: String,
        /// What it said.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// `read`, `write`, `rename`…
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The data plane is too old, or lacks what is needed.
    #[error("{0}")]
    Unsupported(String),
}

impl DriverError {
    /// Says of a configuration that was refused that the one before still serves. Only for a driver to say, and only
    /// where its data plane runs.
    #[must_use]
    pub fn serves_on(self) -> Self {
        let serving = |message: String| {
            if message.ends_with(SERVES_ON) { message } else { message + SERVES_ON }
        };
        match self {
            Self::Check { file, message } => Self::Check { file, message: serving(message) },
            Self::Reload { message } => Self::Reload { message: serving(message) },
            other => other,
        }
    }

    /// A closure for `map_err` on file operations.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
