//! Whether Redis says what happens to keys: a setting of the server's, `notify-keyspace-events`, off as it comes.

use redis::aio::MultiplexedConnection;

use super::connect::said;

/// What is needed of it: the channels named after keys, and what happens to keys of any kind, to texts (a list that SET
/// overwrites becomes one), to lists and sets, to keys that expire and to those that memory is taken from.
const NEEDED: &str = "Kg$lsxe";
/// What stands for all kinds of events.
const ALL: char = 'A';

/// Whether all is said that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notices {
    /// It is.
    On,
    /// It is not: what is set there.
    Off(String),
    /// It is not, and could not be switched on: what is set there, and why.
    Refused(String, String),
    /// The server does not say: by its words.
    Unknown(String),
    /// Whatever is set, who asks may not be told: by its words.
    Deaf(String),
}

/// How it is now; where `switch` says so it is switched on first, beside what is set there already.
pub(super) async fn notices(connection: &mut MultiplexedConnection, switch: bool) -> Notices {
    let set: Vec<String> =
        match redis::cmd("CONFIG").arg("GET").arg("notify-keyspace-events").query_async(connection).await {
            Ok(answer) => answer,
            Err(error) => return Notices::Unknown(said(&error)),
        };
    let flags = set.into_iter().nth(1).unwrap_or_default();
    let missing = missing(&flags);
    if missing.is_empty() {
        return Notices::On;
    }
    if !switch {
        return Notices::Off(flags);
    }
    let (mut set, all) = (redis::cmd("CONFIG"), format!("{flags}{missing}"));
    set.arg("SET").arg("notify-keyspace-events").arg(&all);
    match set.exec_async(connection).await {
        Ok(()) => {
            tracing::info!(before = flags, now = all, "keyspace notifications are switched on");
            Notices::On
        }
        Err(error) => Notices::Refused(flags, said(&error)),
    }
}

/// What is needed and not set.
fn missing(flags: &str) -> String {
    let is_set = |flag: char| flags.contains(flag) || flag != 'K' && flags.contains(ALL);
    NEEDED.chars().filter(|flag| !is_set(*flag)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing() {
        let check = |flags: &str, expected: &str| assert_eq!(missing(flags), expected, "{flags}");
        check("", "Kg$lsxe");
        check("AKE", "");
        check("EA", "K");
        check("Kglsxe", "$");
        check("Kgxl", "$se");
    }
}
