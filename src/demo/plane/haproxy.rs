//! HAProxy's own word on which servers it has, asked over its runtime socket: one command a connection.

use std::{io, net::SocketAddr, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::{Instant, sleep, timeout},
};

/// The runtime socket's name in the run folder of the `lb` that made it.
pub const SOCKET: &str = "haproxy.sock";

/// A server as HAProxy shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its backend.
    pub backend: String,
    /// Its name within the backend.
    pub name: String,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Whether new requests go to it: up, not draining, not in maintenance.
    pub takes_requests: bool,
}

/// The servers of the HAProxy behind this socket.
pub async fn servers(socket: &Path) -> io::Result<Vec<Server>> {
    parse(&ask(socket, "show servers state").await?)
}

/// Waits, looking every millisecond, until what HAProxy shows satisfies `seen`; how long that took, or `None` after
/// `limit`. A socket that does not answer is looked at again: HAProxy may be starting or reloading.
pub async fn wait(socket: &Path, limit: Duration, mut seen: impl FnMut(&[Server]) -> bool) -> Option<Duration> {
    let begun = Instant::now();
    loop {
        if servers(socket).await.is_ok_and(|shown| seen(&shown)) {
            return Some(begun.elapsed());
        }
        if begun.elapsed() > limit {
            return None;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Whether new requests go to `addr`.
pub fn takes(servers: &[Server], addr: SocketAddr) -> bool {
    servers.iter().any(|server| server.addr == addr && server.takes_requests)
}

/// The process that answers on this socket: another one after a restart or a reload.
pub async fn worker(socket: &Path) -> io::Result<u32> {
    let info = ask(socket, "show info").await?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid: ")?.trim().parse().ok());
    pid.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("show info tells no pid: {info:?}")))
}

/// Sends one command and returns the whole answer; at most 2 s, for a stopped HAProxy takes all and says nothing.
pub async fn ask(socket: &Path, command: &str) -> io::Result<String> {
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    timeout(Duration::from_secs(2), exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Reads `show servers state`, columns by name. A server without an IP is left out.
fn parse(text: &str) -> io::Result<Vec<Server>> {
    let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("show servers state: {why}: {text:?}"));
    let header = text.lines().find_map(|line| line.strip_prefix("# ")).ok_or_else(|| bad("no header"))?;
    let column = |name| header.split_whitespace().position(|column| column == name).ok_or_else(|| bad(name));
    let (backend, name, addr, port) =
        (column("be_name")?, column("srv_name")?, column("srv_addr")?, column("srv_port")?);
    let (operational, admin) = (column("srv_op_state")?, column("srv_admin_state")?);
    let rows = text.lines().skip_while(|line| !line.starts_with("# ")).skip(1).filter(|line| !line.trim().is_empty());
    rows.filter_map(|row| {
        let fields: Vec<_> = row.split_whitespace().collect();
        let ip = fields.get(addr)?.parse().ok()?;
        Some(Server {
            backend: (*fields.get(backend)?).to_owned(),
            name: (*fields.get(name)?).to_owned(),
            addr: SocketAddr::new(ip, fields.get(port)?.parse().ok()?),
            // 2: running; 1: starting, which slowstart alone shows. Admin 0: neither maintenance nor drain.
            takes_requests: matches!(*fields.get(operational)?, "1" | "2") && *fields.get(admin)? == "0",
        })
    })
    .map(Ok)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n\
        3 web 11 web1 10.0.0.7 2 0 100 100 12 6 3 4 6 0 0 1 - 8080 - 0 0 - - 0\n\
        3 web 12 web2 10.0.0.8 2 8 100 100 12 6 3 4 6 0 0 1 - 8080 - 0 0 - - 0\n\
        3 web 13 web3 2001:db8::1 0 0 100 100 12 6 3 4 6 0 0 1 - 8080 - 0 0 - - 0\n\
        3 web 14 web4 10.0.0.9 0 1 100 100 12 6 3 4 6 0 0 1 - 8080 - 0 0 - - 0\n\n";

    #[test]
    fn only_a_ready_server_that_is_up_takes_requests() {
        let shown = parse(SHOWN).unwrap();
        let states: Vec<_> = shown.iter().map(|s| (s.name.as_str(), s.takes_requests)).collect();
        assert_eq!(states, [("web1", true), ("web2", false), ("web3", false), ("web4", false)]);
        assert!(takes(&shown, "10.0.0.7:8080".parse().unwrap()));
        assert!(!takes(&shown, "10.0.0.8:8080".parse().unwrap()));
        assert!(!takes(&shown, "10.0.0.7:80".parse().unwrap()));
    }

    #[test]
    fn what_is_no_table_is_an_error() {
        for text in ["", "Unknown command", "# be_id srv_id"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
