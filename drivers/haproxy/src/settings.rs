//! What the composition root hands the driver, once.

use std::{path::PathBuf, time::Duration};

use crate::{config::ConfigSettings, files::Limits, options::ServerOptions};

/// A HAProxy of our own.
#[derive(Clone, Debug)]
pub struct ManagedSettings {
    /// The configuration: template, listeners, folder.
    pub config: ConfigSettings,
    /// Where the template was read from, if it is the operator's: it is read again whenever it changes.
    pub template_file: Option<PathBuf>,
    /// The `haproxy` binary: a path, or a name looked up in PATH.
    pub program: String,
    /// How many spare backends a structure has: so many services may come without a reload.
    pub spares: usize,
    /// How long a server that left may take to end what runs on it; then it is cut.
    pub drain_limit: Duration,
    /// How long a start may take until HAProxy answers.
    pub start_limit: Duration,
    /// How long a check of the file and a reload may take.
    pub limits: Limits,
}

impl ManagedSettings {
    /// The defaults beside what has none.
    pub fn new(config: ConfigSettings) -> Self {
        Self {
            config,
            template_file: None,
            program: "haproxy".into(),
            spares: 32,
            drain_limit: Duration::from_secs(30),
            start_limit: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }
}

/// A HAProxy of somebody else's.
#[derive(Clone, Debug)]
pub struct AttachedSettings {
    /// Its runtime socket, admin level.
    pub socket: PathBuf,
    /// What every server of ours is told.
    pub server_options: ServerOptions,
    /// How long a server that left may take to end what runs on it; then it is cut.
    pub drain_limit: Duration,
}

impl AttachedSettings {
    /// The defaults beside what has none.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, server_options: ServerOptions::default(), drain_limit: Duration::from_secs(30) }
    }
}
