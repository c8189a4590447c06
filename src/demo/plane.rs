//! A running load balancer as the world sees it: who gets new requests, and by which processes. The judge of "in" and
//! "out" in the demo, the tests and the benchmark.
//!
//! Read-only. It shares nothing with the drivers on purpose: a mistake in a driver must not hide itself from those who
//! watch it.

pub mod haproxy;
pub mod nginx;
pub mod openresty;

use std::{
    ffi::OsString,
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::child::parent_of;

/// Which load balancer it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// HAProxy, by its runtime socket.
    #[default]
    Haproxy,
    /// nginx, by its file and reloads.
    Nginx,
    /// OpenResty, or an nginx with its Lua module: by the table that it serves.
    Openresty,
}

impl Driver {
    /// As `lb --driver` is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Openresty => "openresty",
        }
    }

    /// Whether each change of its servers is a reload, which closes the idle connections of its clients.
    pub fn reloads(self) -> bool {
        match self {
            Self::Haproxy | Self::Openresty => false,
            Self::Nginx => true,
        }
    }

    /// Whether its own reload closes the idle connections of its clients: workers of before end, and take these along.
    pub fn reload_closes_idle(self) -> bool {
        self != Self::Haproxy
    }

    /// The variable that names its program, to `lb` and to the tests.
    fn variable(self) -> &'static str {
        match self {
            Self::Haproxy => "BACKCHAT_HAPROXY",
            Self::Nginx => "BACKCHAT_NGINX",
            Self::Openresty => "BACKCHAT_OPENRESTY",
        }
    }

    /// Its program, for whoever starts it without an `lb`: the one that the environment names, else the usual one.
    pub fn program(self) -> OsString {
        std::env::var_os(self.variable()).unwrap_or_else(|| match self {
            Self::Haproxy | Self::Nginx => self.name().into(),
            Self::Openresty => openresty::program(),
        })
    }

    /// What tells an `lb` to drive it, and which program that is where the environment names one.
    pub fn flags(self) -> Vec<OsString> {
        let program = std::env::var_os(self.variable()).map(|program| [format!("--{}", self.name()).into(), program]);
        let driver: [OsString; 2] = ["--driver".into(), self.name().into()];
        driver.into_iter().chain(program.into_iter().flatten()).collect()
    }
}

/// As people call it.
impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
            Self::Openresty => "OpenResty",
        })
    }
}

/// The processes of one that serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processes {
    /// The one that the others are children of.
    pub master: u32,
    /// Those that take new requests, sorted: others after a reload.
    pub workers: Vec<u32>,
}

/// The load balancer that an `lb` with this run folder runs.
#[derive(Clone, Debug)]
pub struct Plane {
    driver: Driver,
    run_dir: PathBuf,
}

impl Plane {
    /// The one of this folder, whether it runs or not.
    pub fn new(driver: Driver, run_dir: PathBuf) -> Self {
        Self { driver, run_dir }
    }

    /// Which it is.
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// The run folder of its `lb`.
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// A file or socket in the run folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.run_dir.join(name)
    }

    /// Whether new requests go to this server; an error where nobody answers.
    pub async fn takes(&self, server: SocketAddr) -> io::Result<bool> {
        match self.driver {
            Driver::Haproxy => Ok(haproxy::takes(&haproxy::servers(&self.path(haproxy::SOCKET)).await?, server)),
            Driver::Nginx => nginx::takes(&self.run_dir, server).await,
            Driver::Openresty => Ok(openresty::table(&self.run_dir).await?.takes(server)),
        }
    }

    /// Waits, looking every millisecond, until this server gets no new request; how long that took, or `None` after
    /// `limit`. One that does not answer is asked again: it may be starting or reloading.
    pub async fn out(&self, server: SocketAddr, limit: Duration) -> Option<Duration> {
        let begun = Instant::now();
        while !self.takes(server).await.is_ok_and(|takes| !takes) {
            if begun.elapsed() > limit {
                return None;
            }
            sleep(Duration::from_millis(1)).await;
        }
        Some(begun.elapsed())
    }

    /// The processes that serve now; an error where none does.
    pub async fn processes(&self) -> io::Result<Processes> {
        match self.driver {
            Driver::Haproxy => {
                let worker = haproxy::worker(&self.path(haproxy::SOCKET)).await?;
                let master = parent_of(worker).ok_or_else(|| io::Error::other("a worker without a master"))?;
                Ok(Processes { master, workers: vec![worker] })
            }
            Driver::Nginx => nginx::processes(&self.run_dir),
            Driver::Openresty => openresty::processes(&self.run_dir).await,
        }
    }
}
