//! wrk, which counts what breaks as an outsider: keep-alive clients that always have a request under way.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use backchat::demo::{Child, child::Folder};
use rustix::process::{Pid, Signal, kill_process};

/// Clients, each with one connection.
const CLIENTS: usize = 16;

/// What each asks for: an answer after 4 ms. With instant answers two cores do nothing but wrk, and no side gets its
/// work done; with a pause in wrk instead, it counts the close of an idle connection as an error, which it is not.
const PATH: &str = "/slow?ms=4";

/// wrk at work.
pub(crate) struct Wrk {
    process: Child,
    folder: Folder,
}

/// What wrk saw.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) broken: u64,
}

/// Sets wrk upon a balancer, until [`Wrk::finish`].
pub(crate) fn start(front: SocketAddr) -> Result<Wrk> {
    run(vec![format!("http://{front}{PATH}")])
}

/// The same for one host, whose answers come at once.
pub(crate) fn start_for(front: SocketAddr, host: &str) -> Result<Wrk> {
    run(vec![format!("--header=Host: {host}"), format!("http://{front}/")])
}

fn run(what: Vec<String>) -> Result<Wrk> {
    let folder = Folder::new("backchat-wrk-")?;
    let connections = format!("--connections={CLIENTS}");
    let how = ["--threads=1", &connections, "--duration=1h", "--timeout=5s"].map(str::to_owned);
    let args = how.into_iter().chain(what);
    let process = Child::start(Path::new("wrk"), args, &folder.path().join("out"))?;
    Ok(Wrk { process, folder })
}

impl Wrk {
    /// SIGINT makes wrk stop and report.
    pub(crate) async fn finish(mut self) -> Result<Report> {
        let pid = i32::try_from(self.process.pid()).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, Signal::INT)?;
        self.process.ended(Duration::from_secs(10)).await?.context("wrk did not stop")?;
        let text = fs::read_to_string(self.folder.path().join("out"))?;
        parse(&text).with_context(|| format!("wrk said: {text}"))
    }
}

/// Reads the lines `N requests in …`, `Socket errors: connect 0, read 1, write 0, timeout 0` and
/// `Non-2xx or 3xx responses: N`; wrk leaves out the latter two where they count nothing.
pub(crate) fn parse(text: &str) -> Result<Report> {
    let requests = text.lines().find_map(|line| line.split_once(" requests in")).context("no count of requests")?;
    let mut broken = 0;
    for line in text.lines().map(str::trim) {
        let counts = line.strip_prefix("Socket errors:").or_else(|| line.strip_prefix("Non-2xx or 3xx responses:"));
        for word in counts.into_iter().flat_map(|counts| counts.split([' ', ','])) {
            broken += word.parse::<u64>().unwrap_or(0);
        }
    }
    Ok(Report { requests: requests.0.trim().parse()?, broken })
}
