//! OpenResty as it is seen from outside: the table of servers that its Lua serves, as it says it on its own socket. Its
//! processes are nginx's.
//!
//! Every worker looks for a newer table before each request. So one is out when the table has it no more, or has it as
//! one that drains.

use std::{env, ffi::OsString, io, net::SocketAddr, path::Path, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Processes, nginx};

/// Where OpenResty installs itself.
const INSTALLED: &str = "/usr/local/openresty/nginx/sbin/nginx";
/// How long workers of before a reload may take to be told.
const TOLD: Duration = Duration::from_secs(2);

/// What it says of itself, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Which life and which rendering; nothing that counts requests, servers that failed, or workers.
    pub state: Vec<String>,
    /// The table: services, endpoints, routes. Empty before anything was pushed.
    pub table: Vec<String>,
}

impl Said {
    /// Whether new requests may go to this server.
    pub fn takes(&self, server: SocketAddr) -> bool {
        self.endpoints(server).any(|(weight, state)| weight != "0" && state == "ready")
    }

    /// Whether it has this server at all.
    pub fn knows(&self, server: SocketAddr) -> bool {
        self.endpoints(server).next().is_some()
    }

    /// Weight and state of each endpoint at this address.
    fn endpoints(&self, server: SocketAddr) -> impl Iterator<Item = (&str, &str)> {
        self.table.iter().filter_map(move |line| {
            let mut words = line.strip_prefix("endpoint ")?.split(' ').skip(1);
            let (addr, weight, state) = (words.next()?, words.next()?, words.next()?);
            (addr.parse() == Ok(server)).then_some((weight, state))
        })
    }
}

/// Asks it; at most 2 s.
pub async fn table(run_dir: &Path) -> io::Result<Said> {
    let answer = nginx::get(run_dir, "/table").await?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no table: {answer:?}")))
}

/// Nothing, where the answer is cut off or is another one.
fn parse(answer: &str) -> Option<Said> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200 ").then_some(())?;
    let (state, table): (_, Vec<String>) = match body.split_once("\ntable ") {
        Some((state, table)) => (state, table.lines().map(ToOwned::to_owned).collect()),
        None => (body.strip_suffix("\nnone\n")?, Vec::new()),
    };
    let whole = table.last().is_none_or(|last| *last == format!("end {}", table.len()));
    let counts = |line: &&str| ["flight ", "worker ", "down "].iter().any(|word| line.starts_with(word));
    let state = state.lines().filter(|line| !counts(line)).map(ToOwned::to_owned).collect();
    whole.then_some(Said { state, table })
}

/// The master that names this folder, and its workers that take connections: once those of before a reload are told.
pub async fn processes(run_dir: &Path) -> io::Result<Processes> {
    let begun = Instant::now();
    loop {
        let found = nginx::processes(run_dir)?;
        if found.workers.len() <= nginx::processors() {
            return Ok(found);
        }
        if begun.elapsed() > TOLD {
            return Err(io::Error::other(format!("workers of before take connections: {:?}", found.workers)));
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// OpenResty where it is here, else the nginx beside which its module lies.
pub(super) fn program() -> OsString {
    let folders = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&folders).any(|folder| folder.join("openresty").is_file()) {
        return "openresty".into();
    }
    if Path::new(INSTALLED).is_file() { INSTALLED.into() } else { "nginx".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\nbackchat 1\nboot ab\nversion 3\nworker 71\n\
        flight web/web1 4\ndown 10.0.0.8:80\ntable 3\nservice web http\nendpoint web/web1 10.0.0.7:80 100 ready\n\
        endpoint web/web2 10.0.0.8:80 100 drain\nendpoint web/web3 10.0.0.9:80 0 ready\nend 6\n";

    #[test]
    fn who_is_ready_takes_requests() {
        let said = parse(ANSWER).unwrap();
        for (addr, knows, takes) in [
            ("10.0.0.7:80", true, true),
            ("10.0.0.8:80", true, false),
            ("10.0.0.9:80", true, false),
            ("10.0.0.7:8", false, false),
        ] {
            let addr = addr.parse().unwrap();
            assert_eq!((said.knows(addr), said.takes(addr)), (knows, takes), "{addr}");
        }
        assert_eq!(said.state, ["backchat 1", "boot ab", "version 3"]);
    }

    #[test]
    fn what_is_cut_off_is_no_table() {
        let none = ANSWER.split("table 3").next().unwrap().to_owned() + "none\n";
        assert_eq!(parse(&none).unwrap().table, [""; 0]);
        assert_eq!(parse(ANSWER.strip_suffix("end 6\n").unwrap()), None);
        assert_eq!(parse(&ANSWER.replace("200 OK", "404 Not Found")), None);
        assert_eq!(parse(""), None);
    }
}
