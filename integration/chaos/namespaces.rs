//! The network: a namespace a host, all on one bridge in a namespace of their own, the hub, where the clients are.
//!
//! Made and unmade by a process that stays outside of it, so that nothing is left however the run inside ends. What it
//! deletes are the names it made itself.

use std::{
    fmt, io,
    net::Ipv4Addr,
    process::{Command, Output, Stdio},
};

use backchat::demo::child::kill_pid;

use super::{op::Host, schedule::hosts};

/// Where the clients are.
const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);
/// The table of ours in each namespace: there is nobody else's.
const TABLE: &str = "inet chaos";

/// The names of one run's namespaces.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    tag: String,
}

impl Names {
    /// Those of the run with this tag.
    pub(crate) fn new(tag: &str) -> Self {
        Self { tag: tag.into() }
    }

    /// What their names begin with, and those of no other run.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// That of the bridge and the clients.
    pub(crate) fn hub(&self) -> String {
        format!("{}-hub", self.tag)
    }

    /// That of a host.
    pub(crate) fn of(&self, host: Host) -> String {
        format!("{}-{host}", self.tag)
    }

    /// No packet passes between a host and the others; a balancer's clients still reach it.
    pub(crate) fn cut(&self, host: Host) -> io::Result<()> {
        let but = match host {
            Host::Balancer(_) => format!("!= {HUB}"),
            Host::Web(_) => "!= 127.0.0.1".into(),
        };
        self.filter(host, &format!("ip saddr {but} drop"), &format!("ip daddr {but} drop"))
    }

    /// A share of a host's packets is lost.
    pub(crate) fn lose(&self, host: Host, percent: u8) -> io::Result<()> {
        let rule = format!("numgen random mod 100 < {percent} drop");
        self.filter(host, &rule, &rule)
    }

    /// All packets of a host pass again.
    pub(crate) fn heal(&self, host: Host) -> io::Result<()> {
        run(&["ip", "netns", "exec", &self.of(host), "nft", "delete", "table", "inet", "chaos"])
    }

    fn filter(&self, host: Host, incoming: &str, outgoing: &str) -> io::Result<()> {
        let rules = format!(
            "add table {TABLE}
             add chain {TABLE} in {{ type filter hook input priority 0; }}
             add chain {TABLE} out {{ type filter hook output priority 0; }}
             add rule {TABLE} in iifname eth0 {incoming}
             add rule {TABLE} out oifname eth0 {outgoing}"
        );
        run(&["ip", "netns", "exec", &self.of(host), "nft", &rules])
    }
}

/// The address of a host.
pub(crate) fn address(host: Host) -> Ipv4Addr {
    match host {
        Host::Balancer(number) => Ipv4Addr::new(10, 77, 0, number),
        Host::Web(number) => Ipv4Addr::new(10, 77, 0, 100 + number),
    }
}

/// The namespaces themselves. Dropped, they and every process in them are gone.
#[derive(Debug)]
pub(crate) struct Namespaces {
    names: Names,
    made: Vec<String>,
}

/// Why there is no network.
#[derive(Debug)]
pub(crate) struct Denied(String);

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Namespaces {
    /// Makes them.
    pub(crate) fn new(names: Names) -> Result<Self, Denied> {
        if !rustix::process::geteuid().is_root() {
            return Err(Denied("network namespaces need root".into()));
        }
        for program in ["ip", "nft"] {
            let found = Command::new(program).arg("-V").stdin(Stdio::null()).output();
            found.map_err(|e| Denied(format!("{program}: {e} (packaging/install-deps.sh chaos)")))?;
        }
        let mut made = Self { names, made: Vec::new() };
        made.build().map_err(|e| Denied(format!("network namespaces cannot be made here: {e}")))?;
        Ok(made)
    }

    fn build(&mut self) -> io::Result<()> {
        let hub = self.add(self.names.hub())?;
        run(&["ip", "-n", &hub, "link", "add", "br0", "type", "bridge"])?;
        run(&["ip", "-n", &hub, "addr", "add", &format!("{HUB}/24"), "dev", "br0"])?;
        run(&["ip", "-n", &hub, "link", "set", "br0", "up"])?;
        for host in hosts() {
            let (own, port) = (self.add(self.names.of(host))?, host.to_string());
            run(&["ip", "link", "add", &port, "netns", &hub, "type", "veth", "peer", "name", "eth0", "netns", &own])?;
            run(&["ip", "-n", &hub, "link", "set", &port, "master", "br0", "up"])?;
            run(&["ip", "-n", &own, "addr", "add", &format!("{}/24", address(host)), "dev", "eth0"])?;
            run(&["ip", "-n", &own, "link", "set", "eth0", "up"])?;
        }
        Ok(())
    }

    fn add(&mut self, name: String) -> io::Result<String> {
        run(&["ip", "netns", "add", &name])?;
        self.made.push(name.clone());
        run(&["ip", "-n", &name, "link", "set", "lo", "up"])?;
        Ok(name)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.made {
            let inside = output(&["ip", "netns", "pids", name]).map(|o| o.stdout).unwrap_or_default();
            for pid in String::from_utf8_lossy(&inside).lines().filter_map(|pid| pid.parse().ok()) {
                // One that has ended meanwhile is what was wanted.
                let _ = kill_pid(pid);
            }
            if let Err(error) = run(&["ip", "netns", "del", name]) {
                eprintln!("chaos: left behind: {error}");
            }
        }
    }
}

fn run(command: &[&str]) -> io::Result<()> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("{}: {said}", command.join(" "))))
}

fn output(command: &[&str]) -> io::Result<Output> {
    Command::new(command[0]).args(&command[1..]).stdin(Stdio::null()).output()
}
