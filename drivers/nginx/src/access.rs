//! The access log in nginx's words, for OpenResty too: the line, and the maps that make what it says plain. Pure.
//!
//! nginx escapes as JSON does (`escape=json`), but lets bytes through that are no UTF-8: what a client says is taken up
//! to the first of these. And it writes nothing where there is nothing, where everybody else writes `-`.

use std::path::Path;

use backchat_contract::{AccessLog, LogField, LogPart};
use serde::Serialize;

/// What a template sees of the access log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Access<'a> {
    /// The file.
    file: &'a Path,
    /// The maps that the line needs.
    maps: Vec<Map>,
    /// What stands between the single quotes of `log_format`.
    format: String,
}

/// One map: a variable out of nginx's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Map {
    from: String,
    /// With its `$`.
    variable: String,
    /// Regular expressions with what they name, the first that matches counts.
    cases: Vec<Case>,
    /// Where none does.
    otherwise: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Case {
    regex: String,
    to: String,
}

/// Characters of UTF-8 (RFC 3629, section 4) with more than one byte.
const WIDE: &str = r"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}";

impl<'a> Access<'a> {
    /// The log in nginx's words.
    pub fn new(log: &'a AccessLog) -> Self {
        let fields = log.format.fields();
        let maps = fields.iter().enumerate().filter_map(|(at, field)| map(field, at)).collect();
        let said = |part: &LogPart| match part {
            LogPart::Text(text) => text.clone(),
            LogPart::Field(field) => said(field, fields.iter().position(|other| *other == field).unwrap_or_default()),
        };
        Self { file: log.file.path(), maps, format: log.format.parts().iter().map(said).collect() }
    }
}

/// The map that a field needs, where it needs one. Variables are known all over the configuration: each has a number.
fn map(field: &LogField, at: usize) -> Option<Map> {
    let (variable, word) = (format!("$bc_log_{at}"), format!("bc_log_word_{at}"));
    let text = |from: String, before: &str, plain: &str| {
        let regex = format!("^{before}(?<{word}>{plain})", plain = plain.replace("{WIDE}", WIDE));
        let cases = vec![Case { regex, to: format!("${word}") }];
        Some(Map { from, variable: variable.clone(), cases, otherwise: "-" })
    };
    let number = |from: &str, cases: &[(&str, &str)], otherwise| {
        let case = |(regex, to): &(&str, &str)| Case { regex: regex.replace('@', &word), to: to.replace('@', &word) };
        let cases = cases.iter().map(case).collect();
        Some(Map { from: from.into(), variable: variable.clone(), cases, otherwise })
    };
    let any = r"(?>[\x00-\x7f]++|{WIDE})+";
    let whole = |from: &str| text(from.into(), "", any);
    match field {
        LogField::User => whole("$remote_user"),
        LogField::Line => whole("$request"),
        LogField::Method => whole("$request_method"),
        LogField::Protocol => whole("$server_protocol"),
        LogField::Host => whole("$host"),
        LogField::RequestHeader(name) => whole(&format!("$http_{}", name.as_str().replace('-', "_"))),
        LogField::ResponseHeader(name) => whole(&format!("$sent_http_{}", name.as_str().replace('-', "_"))),
        LogField::Path => text("$request_uri".into(), "", r"(?>[\x00-\x3e\x40-\x7f]++|{WIDE})+"),
        LogField::Query => text("$request_uri".into(), r"[^?]*", r"\?(?>[\x00-\x7f]++|{WIDE})*"),
        // `000` where there was none is no number to JSON.
        LogField::Status => number("$status", &[("^0*(?<@>[1-9][0-9]*)$", "$@")], "0"),
        LogField::BytesOrDash => number("$body_bytes_sent", &[("^(?<@>[1-9][0-9]*)$", "$@")], "-"),
        // Seconds and three digits behind the dot; a nought in front is no number to JSON.
        LogField::Millis => number("$request_time", MILLIS, "0"),
        LogField::Micros => number("$request_time", MICROS, "0"),
        LogField::Seconds => number("$request_time", &[(r"^(?<@>[0-9]+)\.", "$@")], "0"),
        LogField::Backend => number("$upstream_header_time", &[("(?<@>[0-9.]+)$", "$@")], "-"),
        // The last that was asked is the one that answered.
        LogField::Endpoint => number("$upstream_addr", &[("(?<@>[^, ]+)$", "$@")], "-"),
        // The location of the service sets it; a request that is none comes into no location.
        LogField::Service => number("$bc_log_service", &[("^(?<@>.+)$", "$@")], "-"),
        LogField::Client | LogField::Time | LogField::TimeIso | LogField::Bytes | LogField::Total | LogField::Port => {
            None
        }
    }
}

const MILLIS: &[(&str, &str)] =
    &[(r"^0*\.0*(?<@a>[1-9][0-9]*)$", "$@a"), (r"^(?<@b>[1-9][0-9]*)\.(?<@c>[0-9]+)$", "$@b$@c")];
const MICROS: &[(&str, &str)] =
    &[(r"^0*\.0*(?<@a>[1-9][0-9]*)$", "${@a}000"), (r"^(?<@b>[1-9][0-9]*)\.(?<@c>[0-9]+)$", "$@b${@c}000")];

/// A field in a `log_format`.
fn said(field: &LogField, at: usize) -> String {
    match field {
        LogField::Client => "$remote_addr".into(),
        LogField::Time => "[$time_local]".into(),
        LogField::TimeIso => "$time_iso8601".into(),
        LogField::Bytes => "$body_bytes_sent".into(),
        LogField::Total => "$request_time".into(),
        LogField::Port => "$server_port".into(),
        _ => format!("${{bc_log_{at}}}"),
    }
}

#[cfg(test)]
mod tests {
    use backchat_contract::LogFile;

    use super::*;

    fn check(format: &str, maps: &[&str], said: &str) {
        let file = LogFile::try_from(std::path::PathBuf::from("/var/log/access.log")).unwrap();
        let log = AccessLog { file, format: format.parse().unwrap() };
        let access = Access::new(&log);
        let lines: Vec<_> = access.maps.iter().map(|map| format!("{} {}", map.from, map.variable)).collect();
        assert_eq!(
            (lines.iter().map(String::as_str).collect::<Vec<_>>(), access.format.as_str()),
            (maps.to_vec(), said)
        );
    }

    #[test]
    fn fields_have_a_map_each() {
        check("%h 100%% %B", &[], "$remote_addr 100% $body_bytes_sent");
        check(
            r#"%h "%{X-Id}i" %{x-id}i%{X-Id}o"#,
            &["$http_x_id $bc_log_1", "$sent_http_x_id $bc_log_2"],
            r#"$remote_addr "${bc_log_1}" ${bc_log_1}${bc_log_2}"#,
        );
    }
}
