//! The access log: which file, and what a line of it says. Apache's notation (`mod_log_config`), for it is the one that
//! people and their tools know, read once into typed parts; each driver says them in its own data plane's words.
//!
//! One notation, one escaping on every data plane, that of JSON strings: `"` is `\"`, `\` is `\\`, control bytes are
//! `\n` or `\u001b`. So no header forges a line, and a format that looks like JSON is JSON. What is not there is `-`.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{Manners, policy::HeaderName};

mod parse;

/// Where a line a request goes, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// The file.
    pub file: LogFile,
    /// The line.
    pub format: LogFormat,
}

/// The file of an access log: an absolute path that every parser reads as one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile(PathBuf);

impl LogFile {
    /// The path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl TryFrom<PathBuf> for LogFile {
    type Error = String;

    fn try_from(path: PathBuf) -> Result<Self, String> {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._-+@".contains(b);
        let refuse = |rule: &str| Err(format!("write the access log {}: {rule}", path.display()));
        if !path.is_absolute() || !path.as_os_str().as_encoded_bytes().iter().all(plain) {
            return refuse("use an absolute path of letters, digits and / . _ - + @");
        }
        if path.starts_with("/dev") || path.starts_with("/proc") {
            // nginx would open it as its own; what a program's standard output is differs from start to start.
            return refuse("use a file that stays; 'tail -F FILE' brings it to a container's output");
        }
        Ok(Self(path))
    }
}

/// One line of an access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFormat(Vec<LogPart>);

/// What a line is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPart {
    /// As it stands: printable ASCII without `'`, `\` and `$`, which parsers mind, and tabs. A `%` is one that is meant.
    Text(String),
    /// What the request says.
    Field(LogField),
}

/// What a request says, by its directive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogField {
    /// `%h`: the client's address.
    Client,
    /// `%u`: the name of basic authentication.
    User,
    /// `%t`: `[28/Nov/2026:21:04:52 +0000]`.
    Time,
    /// `%{iso8601}t`: `2026-11-28T21:04:52+00:00`.
    TimeIso,
    /// `%r`: the request's first line.
    Line,
    /// `%m`: its method.
    Method,
    /// `%U`: its path, as it came.
    Path,
    /// `%q`: its query, with the `?`.
    Query,
    /// `%H`: its protocol.
    Protocol,
    /// `%s`, `%>s`: the answer's status; below 1 where there was none.
    Status,
    /// `%B`: the answer's bytes, 0 where there were none. HAProxy counts its headers too.
    Bytes,
    /// `%b`: the same, `-` where there were none.
    BytesOrDash,
    /// `%D`, `%{us}T`: how long it took, in microseconds; no data plane knows better than a millisecond.
    Micros,
    /// `%{ms}T`: the same in milliseconds.
    Millis,
    /// `%T`, `%{s}T`: the same in whole seconds.
    Seconds,
    /// `%{total}x`: the same in seconds, with three digits behind the dot.
    Total,
    /// `%{backend}x`: how long the server took that answered until its answer began, as `%{total}x`.
    Backend,
    /// `%v`: the host that was asked for, without its port.
    Host,
    /// `%p`: the port that it came in by.
    Port,
    /// `%{Name}i`: a header of the request.
    RequestHeader(HeaderName),
    /// `%{Name}o`: a header of the answer.
    ResponseHeader(HeaderName),
    /// `%{service}x`: the service that it went to.
    Service,
    /// `%{endpoint}x`: who answered: a name at HAProxy, elsewhere an address.
    Endpoint,
}

/// Why a format is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogFormatError {
    /// A directive that is none of ours.
    #[error("'{0}' is no directive; known are {KNOWN}, and the formats combined, common, json and hipache")]
    Unknown(String),
    /// A character that some parser would take as its own.
    #[error("{0:?} cannot be written; use printable ASCII without ' \\ $, \\t for a tab, %% for a percent sign")]
    Letter(char),
    /// A name within braces that is no header's.
    #[error("'{0}' is no header's name; use 1 to 64 of A-Z a-z 0-9 -")]
    Header(String),
    /// Nothing to say.
    #[error("a format without a directive; use combined, common, json, hipache, or one like '%h %t \"%r\" %>s'")]
    Empty,
    /// More than a line of a configuration holds.
    #[error("a format of {0} bytes; at most {MAX}")]
    Long(usize),
}

/// What every format may say.
const KNOWN: &str = "%h %l %u %t %{iso8601}t %r %m %U %q %H %s %>s %b %B %D %T %{ms}T %v %p %{Header}i %{Header}o \
                     %{service}x %{endpoint}x %{total}x %{backend}x %%";

/// The longest format, in bytes.
const MAX: usize = 1024;

/// Apache's `common`, NCSA's before it.
const COMMON: &str = r#"%h %l %u %t "%r" %>s %b"#;

/// Apache's `combined`.
const COMBINED: &str = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#;

/// Hipache's: `combined`, the service, and how long all of it and its server took.
const HIPACHE: &str = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" "%{service}x" %{total}x %{backend}x"#;

/// One object a line. Times in milliseconds.
const JSON: &str = concat!(
    r#"{"time":"%{iso8601}t","client":"%h","user":"%u","method":"%m","host":"%v","path":"%U","query":"%q","#,
    r#""protocol":"%H","status":%s,"bytes":%B,"ms":%{ms}T,"service":"%{service}x","endpoint":"%{endpoint}x","#,
    r#""referer":"%{Referer}i","user_agent":"%{User-Agent}i"}"#,
);

impl Default for LogFormat {
    fn default() -> Self {
        Self(parse::parts(COMBINED).unwrap_or_default())
    }
}

impl LogFormat {
    /// The one that goes with these manners.
    pub fn of(manners: Manners) -> Self {
        if manners.is_hipache() { Self(parse::parts(HIPACHE).unwrap_or_default()) } else { Self::default() }
    }

    /// The line, from left to right.
    pub fn parts(&self) -> &[LogPart] {
        &self.0
    }

    /// What it says of a request, each once, in the order in which it is said first.
    pub fn fields(&self) -> Vec<&LogField> {
        let mut fields: Vec<&LogField> = Vec::new();
        for part in &self.0 {
            if let LogPart::Field(field) = part
                && !fields.contains(&field)
            {
                fields.push(field);
            }
        }
        fields
    }
}

impl FromStr for LogFormat {
    type Err = LogFormatError;

    /// Takes `combined`, `common`, `json`, `hipache`, or a format.
    fn from_str(text: &str) -> Result<Self, LogFormatError> {
        let text = match text {
            "combined" => COMBINED,
            "common" => COMMON,
            "json" => JSON,
            "hipache" => HIPACHE,
            other => other,
        };
        parse::parts(text).map(Self)
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            LogPart::Text(text) => f.write_str(&text.replace('%', "%%").replace('\t', "\\t")),
            LogPart::Field(field) => field.fmt(f),
        })
    }
}

impl fmt::Display for LogField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "%h",
            Self::User => "%u",
            Self::Time => "%t",
            Self::TimeIso => "%{iso8601}t",
            Self::Line => "%r",
            Self::Method => "%m",
            Self::Path => "%U",
            Self::Query => "%q",
            Self::Protocol => "%H",
            Self::Status => "%s",
            Self::Bytes => "%B",
            Self::BytesOrDash => "%b",
            Self::Micros => "%D",
            Self::Millis => "%{ms}T",
            Self::Seconds => "%T",
            Self::Total => "%{total}x",
            Self::Backend => "%{backend}x",
            Self::Host => "%v",
            Self::Port => "%p",
            Self::Service => "%{service}x",
            Self::Endpoint => "%{endpoint}x",
            Self::RequestHeader(name) => return write!(f, "%{{{}}}i", name.as_str()),
            Self::ResponseHeader(name) => return write!(f, "%{{{}}}o", name.as_str()),
        })
    }
}
