//! The keys: how those of a host are called, and which host one is of. Pure.

use crate::source::store::Store;

/// Which of its keys Redis has something to say about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The list of this host.
    Frontend(String),
    /// The marks of this host.
    Dead(String),
}

/// How the keys of one source are called.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    database: u32,
}

impl Keys {
    /// Those of this store.
    pub(super) fn of(store: &Store) -> Self {
        Self { prefix: store.prefix.clone(), database: store.database }
    }

    /// The key of a host's list.
    pub(super) fn frontend(&self, host: &str) -> String {
        format!("{}frontend:{host}", self.prefix)
    }

    /// The key of a host's marks.
    pub(super) fn dead(&self, host: &str) -> String {
        format!("{}dead:{host}", self.prefix)
    }

    /// What matches the key of every list.
    pub(super) fn frontends(&self) -> String {
        format!("{}frontend:*", quoted(&self.prefix))
    }

    /// What matches the key of all marks.
    pub(super) fn deads(&self) -> String {
        format!("{}dead:*", quoted(&self.prefix))
    }

    /// The channels on which Redis says what happens to the keys.
    pub(super) fn channels(&self) -> [String; 2] {
        let channel = |pattern: String| format!("__keyspace@{}__:{pattern}", self.database);
        [channel(self.frontends()), channel(self.deads())]
    }

    /// The key that a channel is about.
    pub(super) fn of_channel(&self, channel: &str) -> Option<Key> {
        self.parse(channel.split_once("__:")?.1)
    }

    /// Whose key it is.
    pub(super) fn parse(&self, key: &str) -> Option<Key> {
        let key = key.strip_prefix(&self.prefix)?;
        let frontend = key.strip_prefix("frontend:").map(|host| Key::Frontend(host.to_owned()));
        frontend.or_else(|| key.strip_prefix("dead:").map(|host| Key::Dead(host.to_owned())))
    }
}

/// A text that stands for itself in a pattern of Redis.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let keys = Keys { prefix: "a*[b]:".into(), database: 3 };
        assert_eq!(keys.frontend("x.io"), "a*[b]:frontend:x.io");
        assert_eq!(keys.channels()[1], "__keyspace@3__:a\\*\\[b\\]:dead:*");
        let check = |channel: &str, expected: Option<Key>| assert_eq!(keys.of_channel(channel), expected, "{channel}");
        check("__keyspace@3__:a*[b]:frontend:x__:y", Some(Key::Frontend("x__:y".into())));
        check("__keyspace@3__:a*[b]:dead:x.io", Some(Key::Dead("x.io".into())));
        check("__keyspace@3__:other", None);
    }
}
