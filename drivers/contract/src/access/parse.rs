//! A format's text as its parts. Pure.

use super::{LogField, LogFormatError, LogPart, MAX};
use crate::policy::HeaderName;

/// The parts of a text; text beside text is one part.
pub(super) fn parts(text: &str) -> Result<Vec<LogPart>, LogFormatError> {
    if text.len() > MAX {
        return Err(LogFormatError::Long(text.len()));
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if letter == '%' {
            let (directive, behind) = directive(rest);
            rest = behind;
            match meant(directive)? {
                Meant::Field(field) => parts.push(LogPart::Field(field)),
                Meant::Text(text) => push(&mut parts, text),
            }
        } else if let Some((text, behind)) = escape(rest) {
            rest = behind;
            push(&mut parts, text);
        } else {
            if !(' '..='~').contains(&letter) && letter != '\t' || "'\\$".contains(letter) {
                return Err(LogFormatError::Letter(letter));
            }
            push(&mut parts, letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    let says = parts.iter().any(|part| matches!(part, LogPart::Field(_)));
    if says { Ok(parts) } else { Err(LogFormatError::Empty) }
}

/// What Apache's own configuration needs to write these two, people paste from there.
fn escape(text: &str) -> Option<(char, &str)> {
    let quote = text.strip_prefix("\\\"").map(|rest| ('"', rest));
    quote.or_else(|| text.strip_prefix("\\t").map(|rest| ('\t', rest)))
}

fn push(parts: &mut Vec<LogPart>, letter: char) {
    if let Some(LogPart::Text(text)) = parts.last_mut() {
        text.push(letter);
    } else {
        parts.push(LogPart::Text(letter.into()));
    }
}

/// The directive that a text begins with, and what is behind: `%`, perhaps `>` or a name in braces, one letter.
fn directive(text: &str) -> (&str, &str) {
    let after = |at: usize| text[at..].chars().next().map_or(text.len(), |letter| at + letter.len_utf8());
    let end = match text[1..].chars().next() {
        Some('>') => after(2),
        Some('{') => text.find('}').map_or(text.len(), |brace| after(brace + 1)),
        _ => after(1),
    };
    text.split_at(end)
}

enum Meant {
    Field(LogField),
    Text(char),
}

fn meant(directive: &str) -> Result<Meant, LogFormatError> {
    let unknown = || LogFormatError::Unknown(directive.chars().take(80).collect());
    if let Some((name, kind)) = directive.strip_prefix("%{").and_then(|rest| rest.split_once('}')) {
        return named(name, kind).unwrap_or_else(|| Err(unknown())).map(Meant::Field);
    }
    Ok(Meant::Field(match directive {
        "%%" => return Ok(Meant::Text('%')),
        // Nobody answers to RFC 1413 any more.
        "%l" => return Ok(Meant::Text('-')),
        "%h" => LogField::Client,
        "%u" => LogField::User,
        "%t" => LogField::Time,
        "%r" => LogField::Line,
        "%m" => LogField::Method,
        "%U" => LogField::Path,
        "%q" => LogField::Query,
        "%H" => LogField::Protocol,
        "%s" | "%>s" => LogField::Status,
        "%b" => LogField::BytesOrDash,
        "%B" => LogField::Bytes,
        "%D" => LogField::Micros,
        "%T" => LogField::Seconds,
        "%v" => LogField::Host,
        "%p" => LogField::Port,
        _ => return Err(unknown()),
    }))
}

/// What a name in braces with this letter behind means; `None` where nothing.
fn named(name: &str, kind: &str) -> Option<Result<LogField, LogFormatError>> {
    Some(match (name, kind) {
        (_, "i") => header(name).map(LogField::RequestHeader),
        (_, "o") => header(name).map(LogField::ResponseHeader),
        ("service", "x") => Ok(LogField::Service),
        ("endpoint", "x") => Ok(LogField::Endpoint),
        ("total", "x") => Ok(LogField::Total),
        ("backend", "x") => Ok(LogField::Backend),
        ("iso8601", "t") => Ok(LogField::TimeIso),
        ("us", "T") => Ok(LogField::Micros),
        ("ms", "T") => Ok(LogField::Millis),
        ("s", "T") => Ok(LogField::Seconds),
        _ => return None,
    })
}

fn header(name: &str) -> Result<HeaderName, LogFormatError> {
    name.parse().map_err(|_| LogFormatError::Header(name.chars().take(80).collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::LogFormat;

    /// What a format is read as, printed again.
    fn check(text: &str, expected: &str) {
        match text.parse::<LogFormat>() {
            Ok(format) => assert_eq!(format.to_string(), expected),
            Err(error) => assert_eq!(error.to_string().split(';').next(), Some(expected), "{error}"),
        }
    }

    #[test]
    fn directives() {
        check("common", r#"%h - %u %t "%r" %s %b"#);
        check(r#"%h \"%r\" %>s"#, r#"%h "%r" %s"#);
        check("%{X-Forwarded-For}i\\t%{Server}o", "%{x-forwarded-for}i\\t%{server}o");
        check("%{us}T %{ms}T %{s}T", "%D %{ms}T %T");
        check("100%% %{service}x/%{endpoint}x", "100%% %{service}x/%{endpoint}x");
        let combined = r#"%h - %u %t "%r" %s %b "%{referer}i" "%{user-agent}i""#;
        check("combined", combined);
        check("hipache", &format!(r#"{combined} "%{{service}}x" %{{total}}x %{{backend}}x"#));
    }

    #[test]
    fn what_is_no_format() {
        check("", "a format without a directive");
        check("%l", "a format without a directive");
        check("%z", "'%z' is no directive");
        check("%h %", "'%' is no directive");
        check("%h %{a", "'%{a' is no directive");
        check("%{a}", "'%{a}' is no directive");
        check("%{a}é", "'%{a}é' is no directive");
        check("%>b", "'%>b' is no directive");
        check("%{a b}i", "'a b' is no header's name");
        check("%{}i", "'' is no header's name");
        check("%h $x", "'$' cannot be written");
        check("%h 'x'", "'\\'' cannot be written");
        check("%h \n", "'\\n' cannot be written");
        check("%h é", "'é' cannot be written");
        check(&"%h".repeat(600), "a format of 1200 bytes");
    }

    proptest! {
        /// What was taken reads as itself again, and holds no byte that a parser minds.
        #[test]
        fn taken_formats_are_plain(text in "(%[hutrmUqHsbBDTvp]|%\\{[a-zA-Z-]{1,8}\\}[ioxtT]|.){0,20}") {
            if let Ok(format) = text.parse::<LogFormat>() {
                let printed = format.to_string();
                prop_assert_eq!(printed.parse::<LogFormat>(), Ok(format.clone()));
                for part in format.parts() {
                    if let crate::LogPart::Text(text) = part {
                        prop_assert!(text.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b) && !b"'\\$".contains(&b)));
                    }
                }
            }
        }
    }
}
