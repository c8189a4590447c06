//! A source as flags name it: `file:PATH`.

use std::{fmt, path::PathBuf, str::FromStr};

use super::file::Format;
use crate::model::SourceName;

/// A source as flags name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uri {
    /// A file that lists services.
    File(PathBuf, Format),
}

/// Why a text names no source. Says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UriError(String);

impl Uri {
    /// The source's name among all: what was written.
    pub fn name(&self) -> SourceName {
        self.to_string().into()
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let wrong = |why: &str| Err(UriError(why.to_owned()));
        match text.split_once(':').map_or((text, ""), |(scheme, rest)| (scheme, rest)) {
            ("file", "") => wrong("use file:PATH"),
            ("file", path) => {
                let path = PathBuf::from(path);
                let format = Format::of(&path).ok_or_else(|| {
                    UriError("the name says what it is written in: use .toml, .json, .yaml or .yml".into())
                })?;
                Ok(Self::File(path, format))
            }
            ("redis" | "rediss" | "docker" | "serf", _) => wrong("not yet: only file:PATH"),
            _ => wrong("use file:PATH"),
        }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::File(path, _) = self;
        write!(f, "file:{}", path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let check = |text: &str, expected: &str| {
            let said = text.parse::<Uri>().map_or_else(|e| e.to_string(), |uri| format!("{uri} {uri:?}"));
            assert_eq!(said, expected, "{text}");
        };
        check("file:/etc/s.toml", "file:/etc/s.toml File(\"/etc/s.toml\", Toml)");
        check("file:s.YML", "file:s.YML File(\"s.YML\", Yaml)");
        check("file:a:b.json", "file:a:b.json File(\"a:b.json\", Json)");
        check("file:s.conf", "the name says what it is written in: use .toml, .json, .yaml or .yml");
        check("file:", "use file:PATH");
        check("/etc/s.toml", "use file:PATH");
        check("redis://localhost", "not yet: only file:PATH");
    }
}
