//! Where the data plane writes a line a request, and what such a line says.

use std::path::PathBuf;

use backchat_contract::Manners;

use super::Error;
use crate::{
    config::{self, DriverName, Text},
    model::LogFormat,
};

/// The access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The file.
    pub file: PathBuf,
    /// What a line says.
    pub format: LogFormat,
}

impl Access {
    /// Only a listener of ours has lines of ours.
    pub(super) fn new(own: &config::LbOwn, manners: Manners) -> Result<Option<Self>, Error> {
        let refuse = |text: &str| Err(Error::Flags(text.into()));
        let Some(file) = own.access_log.clone() else {
            return if own.access_log_format.is_some() {
                refuse("--access-log-format goes with --access-log FILE")
            } else {
                Ok(None)
            };
        };
        if own.attach.unwrap_or(false) {
            if own.driver.unwrap_or_default() == DriverName::Haproxy {
                return refuse(
                    "--access-log: an attached HAProxy has a log of its own, which its own configuration says",
                );
            }
            if own.listen.is_none() {
                return refuse(
                    "--access-log needs --listen here: without a listener of ours, the log is that of your own server",
                );
            }
        }
        let format = own.access_log_format.clone().map_or_else(|| LogFormat::of(manners), |Text(format)| format);
        Ok(Some(Self { file, format }))
    }
}
