//! What `show proc` says. Pure.

/// The master and its workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processes {
    /// The master's pid; it stays the same over reloads.
    pub master: u32,
    /// How often the master was told to reload.
    pub reloads: u64,
    /// More than 0 where the newest reload failed.
    pub failed: u64,
    /// The worker of the newest good reload; 3.2 shows none after a failed one, though one serves.
    pub current: Option<Worker>,
    /// The workers of before, the newest first.
    pub old: Vec<Worker>,
}

/// One worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Its pid.
    pub pid: u32,
    /// How many reloads ago it was started.
    pub reloads: u64,
}

impl Processes {
    /// Reads the reply; `None` where it is no such reply.
    pub fn parse(reply: &str) -> Option<Self> {
        let (head, rest) = reply.split_once("# workers").unwrap_or((reply, ""));
        let (current, old) = rest.split_once("# old workers").unwrap_or((rest, ""));
        let (master, reloads, failed) = head.lines().find_map(master)?;
        let mut old: Vec<Worker> = old.lines().filter_map(worker).collect();
        old.sort_by_key(|w| w.reloads);
        Some(Self { master, reloads, failed, current: current.lines().find_map(worker), old })
    }

    /// The worker that takes new connections.
    pub fn serving(&self) -> Option<Worker> {
        self.current.or_else(|| self.old.first().copied())
    }

    /// How many workers only finish what they have.
    pub fn retiring(&self) -> usize {
        self.old.len() - usize::from(self.current.is_none() && !self.old.is_empty())
    }
}

/// `4143  master  1 [failed: 0]  0d00h00m01s  3.0.11`: pid, reloads, failed.
fn master(line: &str) -> Option<(u32, u64, u64)> {
    let mut words = line.split_whitespace();
    let pid = words.next()?.parse().ok()?;
    let (kind, reloads, _, failed) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let failed = failed.strip_suffix(']')?.parse().ok()?;
    (kind == "master").then_some((pid, reloads.parse().ok()?, failed))
}

/// `4160  worker  0  0d00h00m01s  3.0.11`.
fn worker(line: &str) -> Option<Worker> {
    let mut words = line.split_whitespace();
    let (pid, kind, reloads) = (words.next()?, words.next()?, words.next()?);
    (kind == "worker").then_some(Worker { pid: pid.parse().ok()?, reloads: reloads.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reply: &str, expected: Option<(u64, u64, Option<u32>, usize)>) {
        let read = Processes::parse(reply);
        let short = read.map(|p| (p.reloads, p.failed, p.serving().map(|w| w.pid), p.retiring()));
        assert_eq!(short, expected, "{reply}");
    }

    const HEAD: &str = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n";

    #[test]
    fn recorded_replies() {
        let good = "4143  master  1 [failed: 0]  0d00h00m01s  3.0.11-1+deb13u3\n# workers\n4160  worker  0  0d00h00m01s  3.0.11\n# programs\n\n";
        check(&format!("{HEAD}{good}"), Some((1, 0, Some(4160), 0)));
        let old = "1  master  2 [failed: 0]  0d00h00m01s  2.6.12\n# workers\n9  worker  0  0d  2.6.12\n# old workers\n5  worker  2  0d  2.6.12\n7  worker  1  0d  2.6.12\n# programs\n\n";
        check(&format!("{HEAD}{old}"), Some((2, 0, Some(9), 2)));
        let failed = "5580  master  2 [failed: 1]  0d00h00m04s  3.2.26-1\n# workers\n# old workers\n5583  worker  2  0d00h00m04s  3.2.26-1\n\n";
        check(&format!("{HEAD}{failed}"), Some((2, 1, Some(5583), 0)));
    }

    #[test]
    fn what_is_no_such_reply() {
        check("", None);
        check("Unknown command\n", None);
        check("x master 1 [failed: 0]\n", None);
    }
}
