//! What changes when something happens to all keys at once, of which Redis says nothing: a database that is emptied, a
//! replica that takes over all that its primary has.

use redis::aio::MultiplexedConnection;

use super::connect::said;

/// What it is like now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pulse {
    /// Whose data it has, and whether it follows them; what of this is not told is not known.
    replication: Vec<String>,
    /// How many keys its database has.
    keys: u64,
}

/// The lines of `INFO replication` that change then.
const LINES: &[&str] = &["role:", "master_host:", "master_port:", "master_link_status:", "master_replid:"];

impl Pulse {
    /// What it is like now. An account that may not ask is told nothing of it.
    pub(super) async fn of(connection: &mut MultiplexedConnection) -> Result<Self, String> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("INFO").arg("replication").cmd("DBSIZE").ignore_errors();
        let (info, keys): (redis::RedisResult<String>, redis::RedisResult<u64>) =
            pipeline.query_async(connection).await.map_err(|e| said(&e))?;
        Ok(Self { replication: lines(&info.unwrap_or_default()), keys: keys.unwrap_or_default() })
    }

    /// Whether something happened since, of which nothing was said. What is heard explains other numbers of keys.
    pub(super) fn is_another(&self, before: &Self, heard: bool) -> bool {
        self.replication != before.replication || (self.keys != before.keys && !heard)
    }
}

fn lines(info: &str) -> Vec<String> {
    info.lines().filter(|line| LINES.iter().any(|name| line.starts_with(name))).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_is_said_of() {
        let pulse = |info: &str, keys: u64| Pulse { replication: lines(info), keys };
        let before = pulse("# Replication\r\nrole:slave\r\nmaster_link_status:up\r\nmaster_repl_offset:7\r\n", 5);
        let check = |info: &str, keys: u64, heard: bool, expected: bool| {
            assert_eq!(pulse(info, keys).is_another(&before, heard), expected, "{info} {keys} {heard}");
        };
        check("role:slave\r\nmaster_link_status:up\r\nmaster_repl_offset:9", 5, false, false);
        check("role:slave\r\nmaster_link_status:up", 0, false, true);
        check("role:slave\r\nmaster_link_status:up", 6, true, false);
        check("role:slave\r\nmaster_link_status:down", 5, true, true);
        check("role:master", 5, false, true);
    }
}
