//! Whether requests go to a server: the demo's eyes on HAProxy and nginx, and OpenResty's own word.
//!
//! Read-only, and it shares nothing with the drivers: a mistake in a driver must not hide itself from what measures it.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use backchat::demo::{
    Plane,
    plane::{self, Driver},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

/// A load balancer that an `lb` with this run folder runs.
#[derive(Clone, Debug)]
pub(crate) enum Judge {
    /// One that the demo knows.
    Of(Plane),
    /// An OpenResty.
    Openresty(PathBuf),
}

impl Judge {
    /// The run folder of its `lb`.
    pub(crate) fn run_dir(&self) -> &Path {
        match self {
            Self::Of(plane) => plane.run_dir(),
            Self::Openresty(run_dir) => run_dir,
        }
    }

    /// Whether it answers; an error where not.
    pub(crate) async fn answers(&self) -> io::Result<()> {
        match self {
            Self::Of(plane) => plane.processes().await.map(drop),
            Self::Openresty(run_dir) => table(run_dir).await.map(drop),
        }
    }

    /// Whether requests go to this server for certain, or for certain not, as is asked for.
    pub(crate) async fn shows(&self, server: SocketAddr, takes: bool) -> io::Result<bool> {
        match self {
            Self::Of(plane) if plane.driver() == Driver::Nginx && takes => {
                Ok(plane.takes(server).await? && plane::nginx::is_settled(plane.run_dir()).await?)
            }
            Self::Of(plane) => Ok(plane.takes(server).await? == takes),
            Self::Openresty(run_dir) => Ok(serves(&table(run_dir).await?, server) == takes),
        }
    }
}

/// As people call it.
impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(plane) => plane.driver().fmt(f),
            Self::Openresty(_) => f.write_str("OpenResty"),
        }
    }
}

/// `endpoint web/web1 10.0.0.7:8080 100 ready`; one of weight 0 gets nothing.
fn serves(table: &str, server: SocketAddr) -> bool {
    let server = server.to_string();
    table.lines().any(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        ["endpoint", _, addr, weight, "ready"] => addr == server && weight != "0",
        _ => false,
    })
}

/// What it serves; at most 2 s, for a stopped one takes the question and says nothing.
async fn table(run_dir: &Path) -> io::Result<String> {
    let exchange = async {
        let mut stream = UnixStream::connect(run_dir.join(crate::lua::SOCKET)).await?;
        stream.write_all(b"GET /table HTTP/1.0\r\nHost: judge\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(Duration::from_secs(2), exchange).await.map_err(|_| io::ErrorKind::TimedOut)??;
    if answer.starts_with("HTTP/1.1 200 ") { Ok(answer) } else { Err(io::Error::other(answer)) }
}
