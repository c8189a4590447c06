//! What the composition root hands the driver, once.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use backchat_contract::DriverError;
use backchat_nginx::{Limits, paths::Paths, process::Launch, runner::Attached, user};

use crate::{config::ConfigSettings, program::Program};

/// An OpenResty of our own.
#[derive(Clone, Debug)]
pub struct ManagedSettings {
    /// The configuration: template, Lua, listeners, folder.
    pub config: ConfigSettings,
    /// Where the template was read from, if it is the operator's: it is read again whenever it changes.
    pub template_file: Option<PathBuf>,
    /// The binary: a path, or a name looked up in PATH.
    pub program: String,
    /// How long a start may take until it answers.
    pub start_limit: Duration,
    /// How long a check of the file and a reload may take.
    pub limits: Limits,
}

impl ManagedSettings {
    /// The defaults beside what has none, for the user and the limits that we run with.
    pub fn new(config: ConfigSettings, program: Program) -> Self {
        let (temp, max_descriptors) = (user::temp(&config.paths.folder), user::max_descriptors());
        Self {
            config: ConfigSettings { temp, max_descriptors, modules: program.modules, ..config },
            template_file: None,
            program: program.program,
            start_limit: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }

    /// The first of the listeners that somebody else has.
    pub fn taken(&self) -> Option<SocketAddr> {
        self.launch().taken(&self.config.listen)
    }

    /// How its process is run.
    pub fn launch(&self) -> Launch {
        Launch::new(&self.program, &self.config.paths, self.start_limit)
    }
}

/// An OpenResty of somebody else's, or his nginx with the Lua module.
#[derive(Clone, Debug)]
pub struct AttachedSettings {
    /// The configuration: template, Lua, folder, listeners if it has any of ours.
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
        // Out of its own file the Lua reads what it begins with.
        let paths = Paths { config: include.clone(), ..config.paths };
        let attached = Attached::new(program, include, conf, pid_file, &paths)?;
        let config = ConfigSettings { is_include: true, paths, ..config };
        Ok(Self { config, template_file: None, attached, limits: Limits::default() })
    }
}
