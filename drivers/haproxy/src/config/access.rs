//! The access log in HAProxy's words: what the frontend must remember of a request, and the line at its end. Pure.
//!
//! HAProxy opens no files: it writes to its standard output, which is the file (`process/start.rs`). Much of a request
//! is forgotten by the time its line is written, so rules put it into variables first.

use backchat_contract::{LogField, LogFormat, LogPart};
use serde::Serialize;

use crate::paths::Paths;

/// What a template sees of the access log.
#[derive(Serialize)]
pub(super) struct Access {
    /// Rules that keep what the line needs, each a whole line.
    keep: Vec<String>,
    /// What stands between the single quotes of `log-format`.
    format: String,
}

impl Access {
    pub(super) fn new(format: &LogFormat, paths: &Paths) -> Self {
        let mut kept: Vec<String> = Vec::new();
        for rule in format.fields().into_iter().flat_map(keep) {
            if !kept.contains(&rule) {
                kept.push(rule);
            }
        }
        let format = format.parts().iter().map(|part| match part {
            LogPart::Text(text) => apart(text),
            LogPart::Field(field) => said(field, paths),
        });
        Self { keep: kept, format: format.collect() }
    }
}

/// A text that may stand behind a field: the letters that it begins with would be read as more of the field's name.
fn apart(text: &str) -> String {
    let rest = text.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric());
    let word = &text[..text.len() - rest.len()];
    let word = if word.is_empty() { String::new() } else { format!("%[str({word})]") };
    word + &rest.replace('%', "%%")
}

/// The rules that keep a field; none where HAProxy knows it at the end by itself.
fn keep(field: &LogField) -> Vec<String> {
    match field {
        LogField::Seconds | LogField::Total => vec![BEGAN.into()],
        LogField::Backend => {
            let waited = "http-response set-var(txn.log_waited) date(0,ms),sub(txn.log_began)";
            let text = format!("http-response set-var-fmt(txn.log_backend) {}", seconds("var(txn.log_waited)"));
            vec![BEGAN.into(), waited.into(), text]
        }
        _ => kept(field).into_iter().collect(),
    }
}

/// When the request came in.
const BEGAN: &str = "http-request set-var(txn.log_began) date(0,ms)";

/// Milliseconds as seconds, with all of the three digits behind the dot.
fn seconds(sample: &str) -> String {
    format!("%[{sample},div(1000)].%[{sample},mod(1000),add(1000),regsub(^1,)]")
}

fn kept(field: &LogField) -> Option<String> {
    let sample = match field {
        LogField::Line => {
            return Some(r#"http-request set-var-fmt(txn.log_line) "%[method] %[url] HTTP/%[req.ver]""#.into());
        }
        LogField::Protocol => return Some(r#"http-request set-var-fmt(txn.log_protocol) "HTTP/%[req.ver]""#.into()),
        // After the response: those of HAProxy's own answers too.
        LogField::ResponseHeader(name) => {
            return Some(format!("http-after-response set-var({}) res.fhdr({})", variable(field)?, name.as_str()));
        }
        LogField::RequestHeader(name) => format!("req.fhdr({})", name.as_str()),
        LogField::User => "http_auth_user".into(),
        LogField::Method => "method".into(),
        LogField::Path => "path".into(),
        LogField::Query => r#"url,regsub("^[^?]*","")"#.into(),
        LogField::Host => "req.fhdr(host),host_only,lower,rtrim(.)".into(),
        _ => return None,
    };
    Some(format!("http-request set-var({}) {sample}", variable(field)?))
}

/// Where a field is kept.
fn variable(field: &LogField) -> Option<String> {
    let name = match field {
        LogField::RequestHeader(name) => format!("in_{}", name.as_str().replace('-', "_")),
        LogField::ResponseHeader(name) => format!("out_{}", name.as_str().replace('-', "_")),
        LogField::User => "user".into(),
        LogField::Line => "line".into(),
        LogField::Method => "method".into(),
        LogField::Path => "path".into(),
        LogField::Query => "query".into(),
        LogField::Host => "host".into(),
        LogField::Protocol => "protocol".into(),
        _ => return None,
    };
    Some(format!("txn.log_{name}"))
}

/// A field in a `log-format`. What HAProxy does not have it writes as `-`.
fn said(field: &LogField, paths: &Paths) -> String {
    match field {
        LogField::Client => "%ci".into(),
        LogField::Time => "[%trl]".into(),
        LogField::TimeIso => "%[date,utime(%Y-%m-%dT%H:%M:%S+00:00)]".into(),
        LogField::Status => "%ST".into(),
        LogField::Bytes | LogField::BytesOrDash => "%B".into(),
        // Its own clock of a request counts from the first byte.
        LogField::Micros => "%Ta%[str(000)]".into(),
        LogField::Millis => "%Ta".into(),
        LogField::Seconds => "%[date(0,ms),sub(txn.log_began),div(1000)]".into(),
        LogField::Total => seconds("date(0,ms),sub(txn.log_began)"),
        LogField::Backend => "%[var(txn.log_backend)]".into(),
        LogField::Port => "%fp".into(),
        LogField::Service => format!("%[var(txn.be),map_str({})]", paths.services.display()),
        LogField::Endpoint => "%[srv_name]".into(),
        // A method and a version hold nothing that would need it.
        LogField::Method | LogField::Protocol => variable(field).map(|v| format!("%[var({v})]")).unwrap_or_default(),
        // Beside what it must, HAProxy escapes slashes; a reader of Apache's format would not know them.
        _ => variable(field).map(|v| format!(r"%[var({v}),json(utf8s),regsub(\\\\/,/,g)]")).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, keep: &[&str], said: &str) {
        let paths = Paths::new(std::path::Path::new("/run/b")).unwrap();
        let access = Access::new(&format.parse().unwrap(), &paths);
        assert_eq!(
            (access.keep.iter().map(String::as_str).collect::<Vec<_>>(), access.format.as_str()),
            (keep.to_vec(), said)
        );
    }

    #[test]
    fn fields_are_kept_once_and_said() {
        check("%h 100%% %s %b", &[], "%ci 100%% %ST %B");
        check(
            r#""%{X-Id}i" %{x-id}i"#,
            &["http-request set-var(txn.log_in_x_id) req.fhdr(x-id)"],
            r#""%[var(txn.log_in_x_id),json(utf8s),regsub(\\\\/,/,g)]" %[var(txn.log_in_x_id),json(utf8s),regsub(\\\\/,/,g)]"#,
        );
        check(
            "%T %{total}x %{backend}x",
            &[
                BEGAN,
                "http-response set-var(txn.log_waited) date(0,ms),sub(txn.log_began)",
                "http-response set-var-fmt(txn.log_backend) %[var(txn.log_waited),div(1000)].%[var(txn.log_waited),mod(1000),add(1000),regsub(^1,)]",
            ],
            "%[date(0,ms),sub(txn.log_began),div(1000)] %[date(0,ms),sub(txn.log_began),div(1000)].%[date(0,ms),sub(txn.log_began),mod(1000),add(1000),regsub(^1,)] %[var(txn.log_backend)]",
        );
        check("took %{ms}Tms", &[], "%[str(took)] %Ta%[str(ms)]");
        check("%{service}x/%{endpoint}x", &[], "%[var(txn.be),map_str(/run/b/services.map)]/%[srv_name]");
    }
}
