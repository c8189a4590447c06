//! What a script reads: Serf's variables, and Serf's lines on standard input. Nothing of it is ever part of a command.

use std::collections::BTreeMap;

use super::{Call, Seen};
use crate::model::NodeName;

/// The tag that Serf gives a place of its own.
const ROLE: &str = "role";

/// The variables beside those of the daemon: who calls, with its own tags, and what for.
pub fn environment(me: &NodeName, tags: &BTreeMap<String, String>, call: &Call) -> Vec<(String, String)> {
    let mut all = vec![
        ("SERF_EVENT".to_owned(), call.event().to_owned()),
        ("SERF_SELF_NAME".to_owned(), me.to_string()),
        ("SERF_SELF_ROLE".to_owned(), tags.get(ROLE).cloned().unwrap_or_default()),
    ];
    all.extend(tags.iter().map(|(key, value)| (variable(key), value.clone())));
    if let Call::User(event) = call {
        all.push(("SERF_USER_EVENT".to_owned(), event.name.to_string()));
        all.push(("SERF_USER_LTIME".to_owned(), event.ltime.to_string()));
    }
    // The kernel takes none with a NUL in it.
    all.retain(|(_, value)| !value.contains('\0'));
    all
}

/// Standard input: the member's line, or the payload, which ends a line as shells need it.
pub fn input(call: &Call) -> Vec<u8> {
    match call {
        Call::Member(change) => line(&change.member).into_bytes(),
        Call::User(event) => {
            let mut payload = event.payload.as_bytes().to_vec();
            if payload.last().is_some_and(|last| *last != b'\n') {
                payload.push(b'\n');
            }
            payload
        }
    }
}

/// Name, address, role and tags, with a tab between and a newline at the end: there is no other in it.
fn line(member: &Seen) -> String {
    let role = member.tags.get(ROLE).map_or("", String::as_str);
    let tags: Vec<_> = member.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{}\t{}\t{}\t{}\n", member.name, member.ip.to_canonical(), clean(role), clean(&tags.join(",")))
}

fn clean(text: &str) -> String {
    text.replace('\t', "\\t").replace('\n', "\\n")
}

/// `SERF_TAG_` and the key in capitals, with `_` for what has no place in a variable's name.
fn variable(key: &str) -> String {
    let has_place = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let key: String = key.to_uppercase().chars().map(|c| if has_place(c) { c } else { '_' }).collect();
    format!("SERF_TAG_{key}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{
        UserEvent,
        handlers::{Change, MemberEvent, changes::tests::seen},
    };

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn join(pairs: &[(&str, &str)]) -> Call {
        let mut member = seen("web1");
        member.tags = tags(pairs);
        Call::Member(Change { event: MemberEvent::Join, member })
    }

    fn user(payload: &[u8]) -> Call {
        Call::User(Arc::new(UserEvent {
            origin: "web1".parse().unwrap(),
            epoch: 1,
            ltime: 5,
            name: "deploy".parse().unwrap(),
            payload: payload.try_into().unwrap(),
        }))
    }

    #[test]
    fn standard_input_is_serfs() {
        let check = |call: Call, expected: &str| assert_eq!(String::from_utf8(input(&call)).unwrap(), expected);
        check(join(&[("role", "web"), ("port", "80")]), "web1\t10.0.0.7\tweb\tport=80,role=web\n");
        check(join(&[]), "web1\t10.0.0.7\t\t\n");
        let hostile = [("role", "a\tb\nweb9\t10.0.0.9\tweb\t"), ("x\n", "$(reboot) `reboot` '\"; reboot\n")];
        check(
            join(&hostile),
            "web1\t10.0.0.7\ta\\tb\\nweb9\\t10.0.0.9\\tweb\\t\t\
             role=a\\tb\\nweb9\\t10.0.0.9\\tweb\\t,x\\n=$(reboot) `reboot` '\"; reboot\\n\n",
        );
        check(user(b"v2"), "v2\n");
        check(user(b"v2\n"), "v2\n");
        check(user(b""), "");
    }

    #[test]
    fn the_environment_is_serfs() {
        let check = |own: &[(&str, &str)], call: &Call, expected: &[&str]| {
            let all = environment(&"proxy".parse().unwrap(), &tags(own), call);
            let all: Vec<_> = all.iter().map(|(key, value)| format!("{key}={value}")).collect();
            assert_eq!(all, expected);
        };
        let first = ["SERF_EVENT=member-join", "SERF_SELF_NAME=proxy", "SERF_SELF_ROLE="];
        check(&[], &join(&[("role", "web")]), &first);
        check(
            &[("role", "lb"), ("data-centre.ä", "a=b $(reboot)"), ("nul", "a\0b")],
            &user(b"v2"),
            &[
                "SERF_EVENT=user",
                "SERF_SELF_NAME=proxy",
                "SERF_SELF_ROLE=lb",
                "SERF_TAG_DATA_CENTRE__=a=b $(reboot)",
                "SERF_TAG_ROLE=lb",
                "SERF_USER_EVENT=deploy",
                "SERF_USER_LTIME=5",
            ],
        );
    }
}
