//! A source as flags name it: `file:PATH`, `redis://HOST:PORT/DATABASE#PREFIX`, `etcd://HOST:PORT#PREFIX`,
//! `docker:SOCKET`.

use std::{fmt, path::PathBuf, str::FromStr};

use super::{
    docker::Engine,
    etcd,
    file::Format,
    redis,
    store::{Shape, Store},
};
use crate::model::{SourceName, words::escaped};

/// A source as flags name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uri {
    /// A file that lists services.
    File(PathBuf, Format),
    /// A Redis with Hipache's keys.
    Redis(Box<Store>),
    /// An etcd with the same keys.
    Etcd(Box<Store>),
    /// The containers of a Docker engine.
    Docker(Engine),
}

/// Why a text names no source. Says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UriError(String);

impl Uri {
    /// The source's name among all: what was written, without what is secret in it.
    pub fn name(&self) -> SourceName {
        self.to_string().into()
    }
}

impl Uri {
    /// Whether the files of password, certificates and key can be read that it names.
    ///
    /// # Errors
    /// Which cannot, and why.
    pub fn secrets(&self) -> Result<(), String> {
        match self {
            Self::File(..) | Self::Docker(_) => Ok(()),
            Self::Redis(store) | Self::Etcd(store) => store.secrets(),
        }
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let wrong = |why: &str| Err(UriError(why.to_owned()));
        let store = |shape: &Shape| Store::parse(text, shape).map(Box::new).map_err(UriError);
        match text.split_once(':').map_or((text, ""), |(scheme, rest)| (scheme, rest)) {
            ("file", "") => wrong("use file:PATH"),
            ("file", path) => {
                let path = PathBuf::from(path);
                let format = Format::of(&path).ok_or_else(|| {
                    UriError("the name says what it is written in: use .toml, .json, .yaml or .yml".into())
                })?;
                Ok(Self::File(path, format))
            }
            ("redis" | "rediss", _) => store(&redis::SHAPE).map(Self::Redis),
            ("etcd" | "etcds", _) => store(&etcd::SHAPE).map(Self::Etcd),
            ("docker", rest) => Engine::parse(rest).map(Self::Docker).map_err(UriError),
            ("serf", _) => wrong("not yet: use file:PATH, redis://HOST, etcd://HOST, docker"),
            _ => wrong("use file:PATH, redis://HOST, etcd://HOST, docker"),
        }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, _) => write!(f, "file:{}", path.display()),
            Self::Redis(store) | Self::Etcd(store) => store.fmt(f),
            Self::Docker(engine) => engine.fmt(f),
        }
    }
}

/// What may be shown of a text that was to be a source: of a store only how it is spoken to. Where a mistake is in it, all
/// that follows may be its password, or a part of that.
pub fn without_secret(text: &str) -> String {
    let is_word = |scheme: &str| scheme.chars().all(|c| c.is_ascii_alphanumeric());
    match text.split_once(':') {
        Some((scheme, rest)) if rest.starts_with("//") && is_word(scheme) => format!("{scheme}://…"),
        Some(("redis" | "rediss" | "etcd" | "etcds", _)) => "…".into(),
        Some(("file" | "docker" | "serf", _)) => escaped(text, 200),
        _ if text.starts_with(['/', '.']) => escaped(text, 200),
        _ => "…".into(),
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
        check("/etc/s.toml", "use file:PATH, redis://HOST, etcd://HOST, docker");
        let usage = "use docker, docker:SOCKET or docker://HOST:PORT";
        check("docker", "docker:/var/run/docker.sock Docker(Socket(\"/var/run/docker.sock\"))");
        check("docker:/run/d.sock", "docker:/run/d.sock Docker(Socket(\"/run/d.sock\"))");
        check("docker://10.0.0.5:2375", "docker://10.0.0.5:2375 Docker(Tcp(\"10.0.0.5:2375\"))");
        check("docker://tcp+tls/10.0.0.5:2376", usage);
        check("docker://10.0.0.5", usage);
        check("docker:d.sock", usage);
    }

    /// Where a text is no source, what is wrong about it is said without its password.
    #[test]
    fn shown() {
        let check = |text: &str, expected: &str| assert_eq!(without_secret(text), expected, "{text}");
        check("redis://:s3cret@r/x", "redis://…");
        check("redi://:s3cret", "redi://…");
        check("redis:s3cret@r", "…");
        check("s3cret@r", "…");
        check("s3cret", "…");
        check("file:a\n@b", "file:a\\n@b");
        check("docker:", "docker:");
        check("/etc/s.toml", "/etc/s.toml");
    }

    /// What a store's URL says; nowhere its password.
    #[test]
    fn stores() {
        let check = |text: &str, expected: &str| {
            let said = text.parse::<Uri>().map_or_else(|e| e.to_string(), |uri| format!("{uri:?}"));
            assert_eq!(said, expected, "{text}");
            assert!(!said.contains("s3cret"), "{said}");
        };
        let plain = "user=None password= file=None others=[] primary=None ca=None cert=None)";
        check("redis://10.0.0.5", &format!("Redis(redis://10.0.0.5:6379 {plain}"));
        check("redis:", &format!("Redis(redis://127.0.0.1:6379 {plain}"));
        check("redis:///1", &format!("Redis(redis://127.0.0.1:6379/1 {plain}"));
        check("redis://[::1]:7000/2#my%20app:", &format!("Redis(redis://[::1]:7000/2#my app: {plain}"));
        check(
            "rediss://me:s3cret@r?primary=p:7001&ca=/ca.pem&cert=/c.pem&key=/k.pem",
            "Redis(rediss://r:6379 user=Some(\"me\") password=*** file=None others=[] primary=Some(Server { host: \"p\", \
             port: 7001 }) ca=Some(\"/ca.pem\") cert=Some((\"/c.pem\", \"/k.pem\")))",
        );
        check("redis://:s3cret@r?password-file=/p", "two passwords: in the URL, and password-file");
        check("redis://r?ca=/p", "ca, cert and key go with TLS: rediss://");
        check("rediss://r?cert=/p", "cert and key go together");
        let alone = "use HOST:PORT alone, for it is asked with the same user, password and TLS";
        for wrong in ["a/b", ":s3cret@p:7001", "me@p", "redis://:s3cret@p", "p:s3cret", ":s3cret@", ""] {
            check(&format!("redis://r?primary={wrong}"), &format!("primary names no server: {alone}"));
        }
        check("etcd://e?also=:s3cret@f", &format!("also names no server: {alone}"));
        let encode = "in a password, write / as %2F, ? as %3F, # as %23; elsewhere, @ as %40";
        for at in ["me:1/s3cret@r", "me:1#s3cret@r", "me:1?s3cret@r", "me:1?s3cret#a@r", "me:1/s3cret?a@r"] {
            check(&format!("redis://{at}"), encode);
        }
        check("redis://r#a%40b", &format!("Redis(redis://r:6379#a@b {plain}"));
        check(
            "redis://u:s3cret@r#a@b",
            "Redis(redis://r:6379#a@b user=Some(\"u\") password=*** file=None others=[] primary=None ca=None cert=None)",
        );
        check(
            "redis://r?pasword=x",
            "unknown option \"pasword\": the options are password-file, primary, ca, cert, key",
        );
        check(
            "etcds://e1?also=e2:3379&also=e3&password-file=/run/secrets/e",
            "Etcd(etcds://e1:2379 user=None password= file=Some(\"/run/secrets/e\") others=[Server { host: \"e2\", port: \
             3379 }, Server { host: \"e3\", port: 2379 }] primary=None ca=None cert=None)",
        );
        check("etcd://e?primary=p", "unknown option \"primary\": the options are password-file, also, ca, cert, key");
        check(
            "etcd://me:s3cret@e#/hipache/",
            "Etcd(etcd://e:2379#/hipache/ user=Some(\"me\") password=*** file=None others=[] primary=None ca=None cert=None)",
        );
        check(
            "etcd://e/1",
            "nothing may stand behind the port: use etcd://[USER:PASSWORD@]HOST[:PORT][?OPTION=VALUE&…][#PREFIX]",
        );
        let usage = "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?OPTION=VALUE&…][#PREFIX]";
        check("redis://r/x", &format!("what stands behind the host is no number of a database: use {usage}"));
        check("redis://r:99999", &format!("invalid port number: use {usage}"));
    }
}
