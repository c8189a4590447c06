//! What the composition root hands the driver, once.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use backchat_contract::DriverError;

use crate::{config::ConfigSettings, process::Launch, runner::Attached, user};

/// An nginx of our own.
#[derive(Clone, Debug)]
pub struct ManagedSettings {
    /// The configuration: template, listeners, folder.
    pub config: ConfigSettings,
    /// Where the template was read from, if it is the operator's: it is read again whenever it changes.
    pub template_file: Option<PathBuf>,
    /// The `nginx` binary: a path, or a name looked up in PATH.
    pub program: String,
    /// How long a start may take until nginx answers.
    pub start_limit: Duration,
    /// How long a check of the file and a reload may take.
    pub limits: Limits,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `nginx -t`: some 150 ms for 30,000 servers.
    pub check: Duration,
    /// A reload until the workers of before take nothing new; where a port is in use nginx takes 2.5 s to say so.
    pub reload: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { check: Duration::from_secs(10), reload: Duration::from_secs(10) }
    }
}

impl ManagedSettings {
    /// The defaults beside what has none, for the user and the limits that we run with.
    pub fn new(config: ConfigSettings) -> Self {
        let (temp, max_descriptors) = (user::temp(&config.paths.folder), user::max_descriptors());
        Self {
            config: ConfigSettings { temp, max_descriptors, ..config },
            template_file: None,
            program: "nginx".into(),
            start_limit: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }

    /// The first of the listeners that somebody else has.
    pub fn taken(&self) -> Option<SocketAddr> {
        self.launch().taken(&self.config.listen)
    }

    /// How its process is run.
    pub(crate) fn launch(&self) -> Launch {
        Launch::new(&self.program, &self.config.paths, self.start_limit)
    }
}

/// An nginx of somebody else's.
#[derive(Clone, Debug)]
pub struct AttachedSettings {
    /// The configuration: template, folder, listeners if it has any of ours.
    pub config: ConfigSettings,
    /// Where the template was read from, if it is the operator's: it is read again whenever it changes.
    pub template_file: Option<PathBuf>,
    /// Where it is.
    pub attached: Attached,
    /// How long a check of the file and a reload may take.
    pub limits: Limits,
}

impl AttachedSettings {
    /// The defaults beside what has none. Refused: names that nginx would not read as one word.
    pub fn new(
        config: ConfigSettings,
        program: String,
        include: PathBuf,
        conf: PathBuf,
        pid_file: PathBuf,
    ) -> Result<Self, DriverError> {
        let attached = Attached::new(program, include, conf, pid_file, &config.paths)?;
        Ok(Self {
            config: ConfigSettings { is_include: true, ..config },
            template_file: None,
            attached,
            limits: Limits::default(),
        })
    }
}
