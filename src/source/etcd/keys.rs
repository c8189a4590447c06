//! The keys and what they hold: Hipache's way for etcd. A list is a JSON list of texts, marks are one of numbers. Pure.

use std::collections::BTreeSet;

use crate::{
    model::words::escaped,
    source::{
        frontends::{Holds, Read},
        store::Store,
    },
};

/// The most backends that a list may hold.
const LIST_MAX: usize = 1000;

/// How the keys of one source are called.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    /// Those of this store.
    pub(super) fn of(store: &Store) -> Self {
        Self { prefix: store.prefix.clone() }
    }

    /// What the key of every list begins with, and that of all marks.
    pub(super) fn beginnings(&self) -> [String; 2] {
        [format!("{}frontend:", self.prefix), self.dead("")]
    }

    /// The key of a host's marks.
    pub(super) fn dead(&self, host: &str) -> String {
        format!("{}dead:{host}", self.prefix)
    }

    /// Adds what a key holds; nothing where it is gone. A key of others is passed over.
    pub(super) fn read(&self, key: &[u8], value: Option<&[u8]>, into: &mut Read) {
        let key = String::from_utf8_lossy(key);
        let Some(key) = key.strip_prefix(&self.prefix) else { return };
        if let Some(host) = key.strip_prefix("frontend:") {
            into.lists.push((host.to_owned(), value.map_or(Holds::Nothing, list)));
        } else if let Some(host) = key.strip_prefix("dead:") {
            // What is no list of numbers marks nothing.
            into.dead.push((host.to_owned(), value.and_then(marks).unwrap_or_default()));
        }
    }
}

/// What stands behind every key that begins so: the first one that does not.
pub(super) fn end_of(beginning: &str) -> Vec<u8> {
    let mut end = beginning.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        // No byte of UTF-8 is 0xff.
        *last += 1;
    }
    end
}

fn list(value: &[u8]) -> Holds {
    match serde_json::from_slice::<Vec<String>>(value) {
        Ok(list) if list.len() > LIST_MAX + 1 => Holds::Unfit(format!("it lists more than {LIST_MAX} backends")),
        Ok(list) => Holds::List(list),
        Err(why) => {
            let why = escaped(&why.to_string(), 120);
            Holds::Unfit(format!("it holds no JSON list of texts, [\"NAME\", \"http://IP:PORT\", …]: {why}"))
        }
    }
}

/// The places that are marked; `None` where it is no list of numbers.
pub(super) fn marks(value: &[u8]) -> Option<BTreeSet<usize>> {
    serde_json::from_slice(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, value: Option<&str>, expected: &str) {
        let mut read = Read::default();
        Keys { prefix: "/h/".into() }.read(key.as_bytes(), value.map(str::as_bytes), &mut read);
        let said = format!("{:?} {:?}", read.lists, read.dead);
        assert_eq!(said, expected, "{key} {value:?}");
    }

    #[test]
    fn keys_and_what_they_hold() {
        let list = r#"["a", "http://10.0.0.7:80"]"#;
        check("/h/frontend:a.io", Some(list), r#"[("a.io", List(["a", "http://10.0.0.7:80"]))] []"#);
        check("/h/frontend:a.io", Some("[]"), r#"[("a.io", List([]))] []"#);
        check("/h/frontend:a.io", None, r#"[("a.io", Nothing)] []"#);
        check("/h/dead:a.io", Some("[0, 2, 0]"), r#"[] [("a.io", {0, 2})]"#);
        check("/h/dead:a.io", Some("[-1]"), r#"[] [("a.io", {})]"#);
        check("/h/dead:a.io", None, r#"[] [("a.io", {})]"#);
        check("/h/other", Some("x"), "[] []");
        check("frontend:a.io", Some(list), "[] []");
    }

    #[test]
    fn what_is_no_list_is_said() {
        let no_list = r#"it holds no JSON list of texts, [\"NAME\", \"http://IP:PORT\", …]: "#;
        let unfit = |value: &str, why: &str| {
            check("/h/frontend:a", Some(value), &format!(r#"[("a", Unfit("{why}"))] []"#));
        };
        unfit("", &format!("{no_list}EOF while parsing a value at line 1 column 0"));
        unfit("[1]", &format!("{no_list}invalid type: integer `1`, expected a string at line 1 column 2"));
        let list = |backends: usize| serde_json::to_string(&vec!["x"; backends + 1]).unwrap();
        unfit(&list(LIST_MAX + 1), "it lists more than 1000 backends");
        assert!(matches!(super::list(list(LIST_MAX).as_bytes()), Holds::List(_)));
    }

    #[test]
    fn a_range_holds_all_that_begins_so() {
        assert_eq!(end_of("/h/dead:"), b"/h/dead;");
        assert!(end_of("ä").as_slice() > "ä\u{10ffff}".as_bytes());
    }
}
