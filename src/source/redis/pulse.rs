//! What changes when something happens to all keys at once, of which Redis says nothing: a database that is emptied, a
//! replica that takes over all that its primary has.

use redis::aio::MultiplexedConnection;

use super::connect::said;

/// What it is like now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pulse {
    /// Whose data it has, and whether it follows them; what of this is not told is not known.
    replication: Vec<String>,
    /// How many keys its database has, those of others among them; where it does not say, nothing is.
    keys: Option<u64>,
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
        Ok(Self { replication: lines(&info.unwrap_or_default()), keys: keys.ok() })
    }

    /// Whether something happened since, of which nothing was said: there are fewer keys than are known alone, or they
    /// come from elsewhere. More or fewer keys than before mean nothing: others may have theirs there too.
    pub(super) fn is_another(&self, before: &Self, known: usize) -> bool {
        let is_less = |keys: u64| usize::try_from(keys).is_ok_and(|keys| keys < known);
        self.replication != before.replication || self.keys.is_some_and(is_less)
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
        let pulse = |info: &str, keys: Option<u64>| Pulse { replication: lines(info), keys };
        let before = pulse("# Replication\r\nrole:slave\r\nmaster_link_status:up\r\nmaster_repl_offset:7\r\n", Some(5));
        let check = |info: &str, keys: Option<u64>, known: usize, expected: bool| {
            assert_eq!(pulse(info, keys).is_another(&before, known), expected, "{info} {keys:?} {known}");
        };
        check("role:slave\r\nmaster_link_status:up\r\nmaster_repl_offset:9", Some(5), 5, false);
        check("role:slave\r\nmaster_link_status:up", Some(0), 0, false);
        check("role:slave\r\nmaster_link_status:up", Some(0), 1, true);
        check("role:slave\r\nmaster_link_status:up", Some(4), 5, true);
        check("role:slave\r\nmaster_link_status:up", Some(9000), 5, false);
        check("role:slave\r\nmaster_link_status:up", None, 5, false);
        check("role:slave\r\nmaster_link_status:down", Some(5), 5, true);
        check("role:master", Some(5), 5, true);
    }
}
