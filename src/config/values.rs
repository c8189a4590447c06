//! Values as flags and files write them: each is parsed once, here, into a type that needs no second look.

use std::{fmt, net::SocketAddr, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer};
use tracing_subscriber::filter::Targets;

use crate::cluster::Advertise;

/// Why a value was not taken: what it should look like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

impl ValueError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// A value that a file writes as text and `FromStr` reads: the same words in files and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<T>(pub T);

impl<T: FromStr> FromStr for Text<T> {
    type Err = T::Err;
    fn from_str(text: &str) -> Result<Self, T::Err> {
        text.parse().map(Self)
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The values of a list, without their wrapping.
pub(crate) fn plain<T>(list: Option<Vec<Text<T>>>) -> Option<Vec<T>> {
    list.map(|values| values.into_iter().map(|Text(value)| value).collect())
}

/// A time: `300ms`, `5s`, `10m`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |e| ValueError::new(format!("{e}; use a number and a unit, like 300ms, 5s or 10m"));
        humantime::parse_duration(text).map(Self).map_err(wrong)
    }
}

/// Where to listen: an IP address and a port. Names are refused: what they mean may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind(pub SocketAddr);

impl FromStr for Bind {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |_| ValueError::new("use ADDR:PORT, like 0.0.0.0:7946 or [::]:7946");
        text.parse().map(Self).map_err(wrong)
    }
}

/// The address others use: an IP address, and a port where it is not the bound one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reachable(pub Advertise);

impl FromStr for Reachable {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Ok(addr) = text.parse::<SocketAddr>() {
            return Ok(Self(Advertise { ip: addr.ip(), port: Some(addr.port()) }));
        }
        let wrong = |_| ValueError::new("use ADDR or ADDR:PORT, like 10.0.0.7 or [2001:db8::7]:7946");
        text.parse().map(|ip| Self(Advertise { ip, port: None })).map_err(wrong)
    }
}

/// A free tag, `K=V`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The key: 1 to 64 bytes without `=` and control characters.
    pub key: String,
    /// The value: at most 256 bytes without control characters, `=` allowed.
    pub value: String,
}

impl FromStr for Tag {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (key, value) = text.split_once('=').ok_or_else(|| ValueError::new("use KEY=VALUE"))?;
        if !(1..=64).contains(&key.len()) || value.len() > 256 {
            return Err(ValueError::new("a tag's key has 1 to 64 bytes, its value at most 256"));
        }
        if text.chars().any(char::is_control) {
            return Err(ValueError::new("a tag has no control characters"));
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Which log lines are written: `info`, or `tracing`'s directives (`info,backchat::cluster=debug`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The directives as text, which `Targets` takes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |e| ValueError::new(format!("{e}; use error, warn, info, debug or trace"));
        // A word that is no level would be a target, which silences everything else.
        let level_or_pair =
            |part: &str| part.contains('=') || part.parse::<tracing::level_filters::LevelFilter>().is_ok();
        if !text.split(',').all(level_or_pair) {
            return Err(wrong("no such level".to_owned()));
        }
        Targets::from_str(text).map_err(|e| wrong(e.to_string()))?;
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::config) fn check<T: FromStr<Err: fmt::Display> + fmt::Debug>(inputs: &[&str]) -> String {
        let line = |input: &&str| match input.parse::<T>() {
            Ok(value) => format!("{input} => {value:?}\n"),
            Err(e) => format!("{input} !! {e}\n"),
        };
        inputs.iter().map(line).collect()
    }

    #[test]
    fn addresses() {
        insta::assert_snapshot!(check::<Bind>(&["0.0.0.0:80", "[::]:80", "0.0.0.0", "localhost:80"]));
    }

    #[test]
    fn reachable() {
        insta::assert_snapshot!(check::<Reachable>(&[
            "10.0.0.7",
            "10.0.0.7:80",
            "::1",
            "[::1]:80",
            "[::1]",
            "web1",
            ""
        ]));
    }

    #[test]
    fn small_values() {
        insta::assert_snapshot!(check::<Tag>(&["a=b", "a=b=c", "a=", "a", "=b", "a=\n"]));
        insta::assert_snapshot!(check::<Span>(&["300ms", "5s", "10m", "1h 30m", "5", "", "-1s"]));
        insta::assert_snapshot!(check::<LogFilter>(&["info", "info,backchat::cluster=debug", "loud", "a=loud"]));
    }
}
