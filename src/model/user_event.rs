//! A user event: a word of an operator's that every node of the cluster hears once, as Serf has it. Pure.
//!
//! Names and payloads come from the network too, and go to programs: what is none is refused here.

use std::{fmt, str::FromStr, sync::Arc};

use super::NodeName;

/// The longest name, in bytes.
pub const MAX_NAME: usize = 64;
/// The longest payload, in bytes: Serf's limit, too.
pub const MAX_PAYLOAD: usize = 512;

/// What one node told all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserEvent {
    /// Who told it.
    pub origin: NodeName,
    /// In which of its lives.
    pub epoch: u64,
    /// Its Lamport time: higher than that of every event that its node had heard of.
    pub ltime: u64,
    /// What happened.
    pub name: EventName,
    /// What more there is to say.
    pub payload: Payload,
}

/// The name of a user event: 1 to 64 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventName(String);

/// The payload of a user event: any bytes, 512 at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload(Arc<[u8]>);

/// Why a name or a payload is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEvent {
    /// Too long, too short, or not for a terminal.
    #[error("an event's name has 1 to {MAX_NAME} bytes, without control characters")]
    Name,
    /// Too long.
    #[error("a payload has at most {MAX_PAYLOAD} bytes, this one has {0}: send a name or a path, and fetch the rest")]
    Payload(usize),
}

impl EventName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventName {
    type Err = BadEvent;
    fn from_str(text: &str) -> Result<Self, BadEvent> {
        let is_name = (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control);
        is_name.then(|| Self(text.to_owned())).ok_or(BadEvent::Name)
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Payload {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Payload {
    type Error = BadEvent;
    fn try_from(bytes: &[u8]) -> Result<Self, BadEvent> {
        if bytes.len() > MAX_PAYLOAD {
            return Err(BadEvent::Payload(bytes.len()));
        }
        Ok(Self(bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_payloads_are_bounded() {
        for name in ["deploy", "a b", "ä", "a,b=c", &"x".repeat(64)] {
            assert_eq!(name.parse::<EventName>().unwrap().as_str(), name);
        }
        for name in ["", "a\nb", "a\0", "\u{1b}[31m", &"x".repeat(65)] {
            assert_eq!(name.parse::<EventName>(), Err(BadEvent::Name), "{name:?}");
        }
        let of = |length: usize| Payload::try_from(vec![0; length].as_slice()).map(|payload| payload.as_bytes().len());
        assert_eq!((of(0), of(512), of(513)), (Ok(0), Ok(512), Err(BadEvent::Payload(513))));
    }
}
