//! nginx as it is seen from outside: the file that it was loaded from, what it says of the one that it runs, and its
//! processes by their titles.
//!
//! nginx tells nobody which servers it has. So one is out when the file has it no more, nginx runs that file, and no
//! worker of before takes connections.

use std::{fs, io, net::SocketAddr, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

use super::Processes;
use crate::demo::child::{all, children_of};

/// The file's name in the run folder of the `lb` that wrote it.
pub const CONFIG: &str = "nginx.conf";
/// The socket on which nginx says what it runs.
const CONTROL: &str = "nginx.sock";
/// What a worker is called.
const WORKER: &str = "nginx: worker process";

/// Whether new requests may go to this server.
pub async fn takes(run_dir: &Path, server: SocketAddr) -> io::Result<bool> {
    // The order counts: what is settled now runs a file that had it no more before.
    Ok(serves(&text(run_dir)?, server) || !is_settled(run_dir).await?)
}

/// Whether the file has this server among those that get requests.
fn serves(text: &str, server: SocketAddr) -> bool {
    let (live, last) = (format!("server {server} "), format!("server {server};"));
    text.lines().map(str::trim_start).any(|line| line.starts_with(&live) || line.starts_with(&last))
}

/// Whether all that takes connections runs the file at its place: that is what answers, and there are no more workers
/// than one configuration has. Those of before are told to retire after the new ones are there.
pub async fn is_settled(run_dir: &Path) -> io::Result<bool> {
    let running = running(run_dir).await?;
    let workers = processes(run_dir)?.workers;
    Ok(text(run_dir)?.contains(&format!(" {} $nginx_version ", running.structure)) && workers.len() <= processors())
}

/// What it says that it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Which rendering.
    pub generation: String,
    /// The hash of what matters in it.
    pub structure: String,
}

/// Asks it; at most 2 s, for a stopped one takes the question and says nothing.
pub async fn running(run_dir: &Path) -> io::Result<Running> {
    let answer = get(run_dir, "/generation").await?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no generation: {answer:?}")))
}

/// The whole answer on its socket, head and body; at most 2 s.
pub(super) async fn get(run_dir: &Path, path: &str) -> io::Result<String> {
    let exchange = async {
        let mut stream = UnixStream::connect(run_dir.join(CONTROL)).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: judge\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    timeout(Duration::from_secs(2), exchange).await.map_err(|_| io::ErrorKind::TimedOut)?
}

fn parse(answer: &str) -> Option<Running> {
    let mut words = answer.split_once("\r\n\r\n")?.1.split_whitespace().map(ToOwned::to_owned);
    Some(Running { generation: words.next()?, structure: words.next()? })
}

/// The master that names this folder, and its workers that take connections.
pub fn processes(run_dir: &Path) -> io::Result<Processes> {
    let folder = run_dir.display().to_string();
    // Started by a loader of its own, nginx writes a title behind the loader's: a worker then bears both.
    let is_master = |pid: &u32| {
        let title = title(*pid);
        title.contains("nginx: master process ") && !title.contains(WORKER) && title.contains(&folder)
    };
    // A worker bears its master's title until it has written its own.
    let masters: Vec<_> = all().into_iter().filter(is_master).collect();
    let copies: Vec<_> = masters.iter().flat_map(|pid| children_of(*pid)).collect();
    let master = masters.into_iter().find(|pid| !copies.contains(pid)).ok_or(io::ErrorKind::NotFound)?;
    let takes = |pid: &u32| {
        let title = title(*pid);
        title.contains(WORKER) && !title.ends_with("is shutting down")
    };
    let mut workers: Vec<_> = children_of(master).into_iter().filter(takes).collect();
    workers.sort_unstable();
    if workers.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(Processes { master, workers }) }
}

fn title(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}

/// As many workers as nginx starts of its own accord.
pub(super) fn processors() -> usize {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

fn text(run_dir: &Path) -> io::Result<String> {
    fs::read_to_string(run_dir.join(CONFIG))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_of_an_upstream_serves() {
        let text =
            "    server 10.0.0.7:8080 weight=100;\n  server 10.0.0.8:80;\n#bc endpoint web/web3 10.0.0.9:80 weight 1\n";
        for (addr, expected) in
            [("10.0.0.7:8080", true), ("10.0.0.7:808", false), ("10.0.0.8:80", true), ("10.0.0.9:80", false)]
        {
            assert_eq!(serves(text, addr.parse().unwrap()), expected, "{addr}");
        }
    }

    #[test]
    fn answers() {
        let running = parse("HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n7 ab 1.22.1 14\n").unwrap();
        assert_eq!((running.generation.as_str(), running.structure.as_str()), ("7", "ab"));
        assert_eq!(parse("HTTP/1.1 200 OK\r\n\r\n\n"), None);
        assert_eq!(parse(""), None);
    }
}
