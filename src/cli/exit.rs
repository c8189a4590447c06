//! How the program ends: the statuses, and which error has which. In one place, so that scripts can rely on it.

use std::process::ExitCode;

use backchat_contract::DriverError;

use super::{apply::BadPlan, client::ClientError, output};
use crate::{
    app, cluster::keyring::KeyFileError, config::FileError, model::words::without_errno, settings, source::Unread,
};

/// The statuses; INTERFACE of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; nothing to change.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// There are changes (`plan` alone).
    Changes = 2,
    /// Wrong usage.
    Usage = 64,
    /// The daemon or the data plane cannot be reached.
    Unreachable = 69,
    /// Held back, or not synced.
    Held = 75,
    /// Bad configuration.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What is wrong with a file of the operator's, where only that was asked: `my.jinja:41: 'servce' is undefined`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Mistake(pub(super) String);

impl Mistake {
    /// What a driver has against it, without what it tried.
    pub(super) fn of(error: DriverError) -> Self {
        match error {
            DriverError::Check { file, message } => Self(format!("{file}: {message}")),
            DriverError::Unsupported(why) => Self(why),
            other => Self(format!("failed to {other}")),
        }
    }
}

/// Says on one line of standard error what failed, and which status that is. A closed standard output is nobody's
/// failure: `backchat members | head -1` is well.
pub(super) fn failed(command: &str, error: &anyhow::Error) -> Exit {
    if output::is_closed_pipe(error) {
        return Exit::Done;
    }
    output::complain(&format!("{command}: {}", words(error)));
    status(error)
}

/// The error and its causes, each said once: many name their cause themselves. An errno's number helps nobody.
fn words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if words.is_empty() {
            words = cause;
        } else if !words.contains(&cause) {
            words = words + ": " + &cause;
        }
    }
    without_errno(&words)
}

fn status(error: &anyhow::Error) -> Exit {
    error.chain().find_map(of).unwrap_or(Exit::Failed)
}

/// The status of an error that has one of its own.
fn of(error: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(error) = error.downcast_ref::<settings::Error>() {
        let not_yet = matches!(error, settings::Error::NotYet(..) | settings::Error::Flags(_));
        return Some(if not_yet { Exit::Usage } else { Exit::Config });
    }
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return Some(error.exit());
    }
    if let Some(error) = error.downcast_ref::<app::Error>() {
        return match error {
            app::Error::Held(_) => Some(Exit::Held),
            app::Error::Key(_)
            | app::Error::Token(_)
            | app::Error::Source(Unread::File(_))
            | app::Error::Certificate(_)
            | app::Error::NotReached { config: true, .. } => Some(Exit::Config),
            app::Error::NotReached { config: false, .. }
            | app::Error::Unheard(_)
            | app::Error::Source(Unread::Store(_)) => Some(Exit::Unreachable),
            app::Error::Driver(error) => driver(error),
            _ => None,
        };
    }
    if let Some(FileError::Write { .. }) = error.downcast_ref() {
        return None;
    }
    let files = error.is::<FileError>() || error.is::<KeyFileError>();
    (files || error.is::<BadPlan>() || error.is::<Mistake>()).then_some(Exit::Config)
}

fn driver(error: &DriverError) -> Option<Exit> {
    match error {
        DriverError::Unreachable { .. } | DriverError::Deadline { .. } => Some(Exit::Unreachable),
        DriverError::Check { .. } | DriverError::Unsupported(_) => Some(Exit::Config),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster;

    fn check(error: impl Into<anyhow::Error>, expected: Exit) {
        let error = error.into();
        let text = format!("{error:#}");
        assert_eq!(status(&error), expected, "{text}");
        assert_eq!(status(&error.context("behind something")), expected, "{text}");
    }

    #[test]
    fn each_error_has_its_status() {
        check(settings::Error::NoRunDir, Exit::Config);
        check(settings::Error::NotYet("--driver", "haproxy is the only one"), Exit::Usage);
        check(settings::Error::Flags("a and b".into()), Exit::Usage);
        check(FileError::Line { path: "f".into(), line: 1, column: 1, message: "m".into() }, Exit::Config);
        let driver = |error| app::Error::Driver(error);
        check(driver(DriverError::Unreachable { plane: "p".into(), cause: "c".into() }), Exit::Unreachable);
        check(driver(DriverError::Check { file: "f".into(), message: "m".into() }), Exit::Config);
        check(driver(DriverError::Unsupported("find an openresty: none is here".into())), Exit::Config);
        check(driver(DriverError::Reload { message: "m".into() }), Exit::Failed);
        check(app::Error::Held("h".into()), Exit::Held);
        check(app::Error::NotReached { why: "n".into(), config: false }, Exit::Unreachable);
        check(app::Error::NotReached { why: "n".into(), config: true }, Exit::Config);
        check(FileError::NoProgram { program: "p".into(), name: "HAProxy", flag: "--haproxy" }, Exit::Config);
        check(app::Error::Cluster(cluster::Error::Ended), Exit::Failed);
        check(anyhow::anyhow!("anything else"), Exit::Failed);
    }

    #[test]
    fn each_cause_is_said_once_and_in_words() {
        let check = |error: anyhow::Error, expected: &str| assert_eq!(words(&error), expected);
        let io = || std::io::Error::from_raw_os_error(2);
        let file = FileError::Read { path: "/f".into(), source: io() };
        check(file.into(), "read /f: No such file or directory");
        check(anyhow::Error::from(io()).context("cannot do it"), "cannot do it: No such file or directory");
        check(anyhow::anyhow!("a (os error 2): b (os error 13), c"), "a: b, c");
    }
}
