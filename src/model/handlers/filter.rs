//! A handler as it is written: `EVENT[,EVENT…]=COMMAND`, or a command for all events. Read as Serf reads it: what stands
//! before the first `=` are events.

use std::str::FromStr;

use super::{Call, MemberEvent};
use crate::model::{EventName, words::quoted};

/// A command, and the events that it is run for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    wanted: Vec<Wanted>,
    /// The operator's command, for a shell.
    pub command: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Member(MemberEvent),
    User(Option<EventName>),
}

/// Why a handler is none: what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHandler {
    /// What stands before `=` names something else.
    #[error(
        "no event is called {0}; use member-join, member-leave, member-failed, member-update, member-reap, user, \
         user:NAME or *, with commas between, and '*=COMMAND' for a COMMAND with '=' in it"
    )]
    Event(String),
    /// Serf has queries.
    #[error("{0}: backchat has no queries; use user or user:NAME")]
    Query(String),
    /// The name behind `user:`.
    #[error("{0}")]
    Name(#[from] crate::model::BadEvent),
    /// There is nothing to run.
    #[error("no command; use COMMAND or EVENT=COMMAND, like member-join=/etc/backchat/join.sh")]
    Command,
}

impl Handler {
    /// Whether it is run for this.
    pub fn wants(&self, call: &Call) -> bool {
        self.wanted.iter().any(|wanted| match (wanted, call) {
            (Wanted::All, _) | (Wanted::User(None), Call::User(_)) => true,
            (Wanted::Member(event), Call::Member(change)) => *event == change.event,
            (Wanted::User(Some(name)), Call::User(event)) => *name == event.name,
            _ => false,
        })
    }
}

impl FromStr for Handler {
    type Err = BadHandler;
    fn from_str(text: &str) -> Result<Self, BadHandler> {
        let (events, command) = text.split_once('=').unwrap_or(("*", text));
        if command.trim().is_empty() {
            return Err(BadHandler::Command);
        }
        // Nothing before the `=` is everything, to Serf.
        let events = if events.is_empty() { "*" } else { events };
        let wanted = events.split(',').map(wanted).collect::<Result<_, _>>()?;
        Ok(Self { wanted, command: command.to_owned() })
    }
}

fn wanted(word: &str) -> Result<Wanted, BadHandler> {
    if let Some(event) = MemberEvent::ALL.into_iter().find(|event| event.as_str() == word) {
        return Ok(Wanted::Member(event));
    }
    match (word, word.split_once(':')) {
        ("*", _) => Ok(Wanted::All),
        ("user", _) | (_, Some(("user", ""))) => Ok(Wanted::User(None)),
        (_, Some(("user", name))) => Ok(Wanted::User(Some(name.parse()?))),
        ("query", _) | (_, Some(("query", _))) => Err(BadHandler::Query(quoted(word, 80))),
        _ => Err(BadHandler::Event(quoted(word, 80))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{
        UserEvent,
        handlers::changes::{Change, tests::seen},
    };

    fn user(name: &str) -> Call {
        let origin = "web1".parse().unwrap();
        let name = name.parse().unwrap();
        Call::User(Arc::new(UserEvent { origin, epoch: 1, ltime: 1, name, payload: Default::default() }))
    }

    /// The calls that it wants, of every kind of event and two user events, and its command.
    fn check(text: &str) -> String {
        let handler: Handler = match text.parse() {
            Ok(handler) => handler,
            Err(error) => return format!("{text} !! {error}"),
        };
        let members = MemberEvent::ALL.map(|event| Call::Member(Change { event, member: seen("web1") }));
        let calls = members.into_iter().chain([user("deploy"), user("other")]);
        let wanted: Vec<_> = calls.filter(|call| handler.wants(call)).map(|call| call.to_string()).collect();
        format!("{text} => {} | {}", wanted.join(", "), handler.command)
    }

    #[test]
    fn filters_are_serfs() {
        let texts = [
            "handler.sh",
            "*=handler.sh",
            "=handler.sh",
            "member-join,member-leave=handler.sh",
            "user=handler.sh",
            "user:=handler.sh",
            "user:deploy=handler.sh",
            "user:deploy,member-reap,member-failed,member-update=A=1 b.sh --c=d | awk '{print $2}'",
            "A=1 b.sh",
            "member-jion=handler.sh",
            "member-join, member-leave=handler.sh",
            "query:uptime=handler.sh",
            "user:a\tb=handler.sh",
            "member-join=",
            " ",
        ];
        insta::assert_snapshot!(texts.map(check).join("\n"));
    }
}
