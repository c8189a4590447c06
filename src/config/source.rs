//! A source as it is written, or what is wrong about it. clap and serde show what they do not take, and what is written
//! here may hold a password: so both take it, and the mistake is told without.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

use crate::source::{self, Uri};

/// A source, or what is wrong about it, in words that keep the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source(pub Result<Uri, String>);

impl FromStr for Source {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let told = |why: source::UriError| format!("{}: {why}", source::without_secret(text));
        Ok(Self(text.parse().map_err(told)))
    }
}

/// In a file a mistake is one of its line.
impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let Ok(Self(source)) = String::deserialize(d)?.parse();
        source.map(|uri| Self(Ok(uri))).map_err(Error::custom)
    }
}

/// A list of sources. A text in its place is not shown.
pub(super) fn list<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<Source>>, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<Source>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of sources")
        }
        fn visit_str<E: Error>(self, _secret: &str) -> Result<Self::Value, E> {
            Err(E::custom("use a list: source = [\"URI\"]"))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(source) = seq.next_element()? {
                list.push(source);
            }
            Ok(list)
        }
    }
    d.deserialize_any(List).map(Some)
}
