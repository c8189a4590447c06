//! Reading keys, a few hundred at a time: no command takes Redis long, however many keys there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use redis::{RedisError, RedisResult, aio::MultiplexedConnection};

use super::{
    connect::said,
    keys::{Key, Keys},
};
use crate::source::frontends::{Holds, Read};

/// Keys that are looked at by one SCAN.
const SCAN: usize = 1000;
/// Commands in one pipeline.
const PIPELINE: usize = 500;
/// The most that a list may hold.
const LIST_MAX: usize = 1000;
/// The longest text of a list that is kept, and what is of a longer one, in bytes.
const TEXT_MAX: usize = 2048;
const TEXT_BEGINNING: usize = 60;
/// What PTTL says of a key that is not there.
const GONE: i64 = -2;

/// What keys hold.
#[derive(Debug, Default)]
pub(super) struct Found {
    lists: Vec<(String, Holds)>,
    /// The marks, key by key.
    pub(super) dead: Vec<Dead>,
}

/// What a key `dead:HOST` holds.
#[derive(Debug)]
pub(super) struct Dead {
    /// The host as it stands in the key.
    pub(super) host: String,
    /// The places; none where the key is gone.
    pub(super) ids: BTreeSet<usize>,
    /// How long they are still to be there, where that has an end.
    pub(super) left: Option<Duration>,
}

impl Found {
    /// The same by what it is about: the marks of a host are those of all keys that name it.
    pub(super) fn read(self) -> Read {
        let mut dead: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for Dead { host, ids, .. } in self.dead {
            dead.entry(host.to_ascii_lowercase()).or_default().extend(ids);
        }
        Read { lists: self.lists, dead: dead.into_iter().collect() }
    }
}

/// What all keys hold.
pub(super) async fn all(connection: &mut MultiplexedConnection, keys: &Keys) -> Result<Found, String> {
    let mut there = BTreeSet::new();
    for pattern in [keys.frontends(), keys.deads()] {
        scan(connection, &pattern, keys, &mut there).await.map_err(|e| said(&e))?;
    }
    these(connection, keys, &there).await
}

/// What these keys hold.
pub(super) async fn these(
    connection: &mut MultiplexedConnection,
    keys: &Keys,
    wanted: &BTreeSet<Key>,
) -> Result<Found, String> {
    let mut found = Found::default();
    let (mut lists, mut dead) = (Vec::new(), Vec::new());
    for key in wanted {
        match key {
            Key::Frontend(host) => lists.push(host.as_str()),
            Key::Dead(host) => dead.push(host.as_str()),
        }
    }
    for hosts in lists.chunks(PIPELINE) {
        found.lists.extend(read_lists(connection, keys, hosts).await.map_err(|e| said(&e))?);
    }
    for hosts in dead.chunks(PIPELINE) {
        found.dead.extend(read_marks(connection, keys, hosts).await.map_err(|e| said(&e))?);
    }
    Ok(found)
}

/// Collects the keys that match. One that is there all the while is found, perhaps twice; of one that comes or goes
/// meanwhile Redis says nothing here.
async fn scan(
    connection: &mut MultiplexedConnection,
    pattern: &str,
    keys: &Keys,
    there: &mut BTreeSet<Key>,
) -> RedisResult<()> {
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(SCAN);
        let (next, found): (u64, Vec<Vec<u8>>) = scan.query_async(connection).await?;
        there.extend(found.iter().filter_map(|key| keys.parse(&String::from_utf8_lossy(key))));
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}

async fn read_lists(
    connection: &mut MultiplexedConnection,
    keys: &Keys,
    hosts: &[&str],
) -> RedisResult<Vec<(String, Holds)>> {
    let mut pipeline = redis::pipe();
    for host in hosts {
        pipeline.cmd("LRANGE").arg(keys.frontend(host)).arg(0).arg(LIST_MAX);
    }
    let answers: Vec<RedisResult<Vec<Vec<u8>>>> = pipeline.ignore_errors().query_async(connection).await?;
    hosts.iter().zip(answers).map(|(host, answer)| Ok(((*host).to_owned(), holds(answer)?))).collect()
}

/// What a key holds by this answer; an error that is not about what it holds is nobody's to guess at.
fn holds(answer: RedisResult<Vec<Vec<u8>>>) -> RedisResult<Holds> {
    match answer {
        Ok(list) if list.is_empty() => Ok(Holds::Nothing),
        Ok(list) if list.len() > LIST_MAX => Ok(Holds::Unfit(format!("it lists more than {LIST_MAX} backends"))),
        Ok(list) => Ok(Holds::List(list.iter().map(|text| kept(text)).collect())),
        Err(error) if is_another_kind(&error) => Ok(Holds::Unfit("it holds no list".into())),
        Err(error) => Err(error),
    }
}

/// A text of a list; of one that is too long its beginning and how long it is, which is no backend.
fn kept(text: &[u8]) -> String {
    if text.len() <= TEXT_MAX {
        return String::from_utf8_lossy(text).into_owned();
    }
    let beginning: Vec<u8> = text.iter().take(TEXT_BEGINNING).copied().collect();
    format!("{}… ({} bytes)", String::from_utf8_lossy(&beginning), text.len())
}

async fn read_marks(connection: &mut MultiplexedConnection, keys: &Keys, hosts: &[&str]) -> RedisResult<Vec<Dead>> {
    let mut pipeline = redis::pipe();
    for host in hosts {
        pipeline.cmd("SMEMBERS").arg(keys.dead(host));
    }
    let members: Vec<RedisResult<Vec<Vec<u8>>>> = pipeline.ignore_errors().query_async(connection).await?;
    let mut pipeline = redis::pipe();
    for host in hosts {
        pipeline.cmd("PTTL").arg(keys.dead(host));
    }
    let left: Vec<i64> = pipeline.query_async(connection).await?;
    let answers = hosts.iter().zip(members).zip(left);
    answers.map(|((host, members), left)| dead(host, members, left)).collect()
}

/// What such a key holds by these answers.
fn dead(host: &str, members: RedisResult<Vec<Vec<u8>>>, left: i64) -> RedisResult<Dead> {
    let members = match members {
        Err(error) if !is_another_kind(&error) => return Err(error),
        // It has gone since.
        Ok(_) if left == GONE => Vec::new(),
        members => members.unwrap_or_default(),
    };
    // What is no number names no place.
    let ids = members.iter().filter_map(|id| std::str::from_utf8(id).ok()?.parse().ok()).collect();
    // Without a limit of time it is negative.
    Ok(Dead { host: host.to_owned(), ids, left: u64::try_from(left).ok().map(Duration::from_millis) })
}

fn is_another_kind(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_a_host() {
        let key = |host: &str, members: &[&str], left: i64| {
            dead(host, Ok(members.iter().map(|id| id.as_bytes().to_vec()).collect()), left).unwrap()
        };
        let found = Found {
            dead: vec![key("Foo.io", &["0", "x", "-1"], 9), key("b.io", &["3"], GONE), key("foo.io", &["2"], -1)],
            ..Found::default()
        };
        assert_eq!(found.dead.iter().map(|dead| dead.left.is_some()).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(found.read().dead, [("b.io".into(), [].into()), ("foo.io".into(), [0, 2].into())]);
    }

    #[test]
    fn the_longest_texts() {
        let check = |text: String, expected: &str| {
            let held = holds(Ok(vec![b"name".to_vec(), text.into_bytes()])).unwrap();
            assert_eq!(held, Holds::List(vec!["name".into(), expected.into()]));
        };
        check("a".repeat(TEXT_MAX), &"a".repeat(TEXT_MAX));
        let beginning = format!("http://10.0.0.1:80/{}", "a".repeat(41));
        check(beginning.clone() + &"a".repeat(TEXT_MAX), &format!("{beginning}… (2108 bytes)"));
    }
}
