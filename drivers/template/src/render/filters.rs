//! What templates may do with a value beyond Jinja's own filters: quote it so that it stays one word to the engine
//! that reads it, or make a name of it. What an engine has no way to write is an error, never something else.

mod each;

use minijinja::{
    Environment, Error, ErrorKind, Value,
    value::{Kwargs, ValueKind},
};
use sha2::{Digest, Sha256};

/// Their names, for hints and for a test that each is documented.
pub(crate) const NAMES: [&str; 8] =
    ["each", "hash", "quote_haproxy", "quote_lua", "quote_nginx", "regex_escape", "slug", "to_json"];

/// How many characters of a text a slug keeps.
const SLUG_MAX: usize = 40;

/// Jinja's own stay as they are.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("each", each::each);
    environment.add_filter("hash", |value: &Value| text("hash", value).map(|text| hash(&text)));
    environment.add_filter("quote_haproxy", |value: &Value| haproxy(&text("quote_haproxy", value)?));
    environment.add_filter("quote_lua", |value: &Value| text("quote_lua", value).map(|text| lua(&text)));
    environment.add_filter("quote_nginx", |value: &Value| nginx(&text("quote_nginx", value)?));
    environment.add_filter("regex_escape", |value: &Value| text("regex_escape", value).map(|text| regex(&text)));
    environment.add_filter("slug", |value: &Value| text("slug", value).map(|text| slug(&text)));
    environment.add_filter("to_json", json);
}

/// Text, a number or a truth value as text; a list or a map has no one way to be a word.
fn text(filter: &str, value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String | ValueKind::Number | ValueKind::Bool => Ok(value.to_string()),
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        other => Err(refused(format!("{filter} takes text, not {other}"))),
    }
}

fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, why.into())
}

/// Between strong quotes HAProxy takes every byte as it is: no `${ENV}`, no backslash. Only the quote itself has to
/// stand outside of them.
fn haproxy(text: &str) -> Result<String, Error> {
    plain("quote_haproxy", text)?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// Between double quotes nginx knows a backslash before a quote and before itself. A dollar begins a variable there,
/// and nginx has no way to write one that does not.
fn nginx(text: &str) -> Result<String, Error> {
    plain("quote_nginx", text)?;
    if text.contains('$') {
        return Err(refused("quote_nginx: nginx cannot write '$' in a string; declare a variable that holds it"));
    }
    Ok(format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"")))
}

/// No engine's file has a word with a line's end in it, and what such a word would become (a header of its own, a
/// line of a log) nobody wants.
fn plain(filter: &str, text: &str) -> Result<(), Error> {
    match text.chars().find(|c| c.is_control() && *c != '\t') {
        Some(c) => Err(refused(format!("{filter}: {c:?} cannot stand in a word"))),
        None => Ok(()),
    }
}

/// A Lua string: any text, what is no visible ASCII by its number.
fn lua(text: &str) -> String {
    let byte = |byte: &u8| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        // Three digits: a digit that follows stays out of it.
        other => format!("\\{other:03}"),
    };
    format!("\"{}\"", text.as_bytes().iter().map(byte).collect::<String>())
}

/// A text as the regular expression (PCRE) that matches it alone. The dollar by its number, so that nginx reads no
/// variable.
fn regex(text: &str) -> String {
    let escaped = |c: char| match c {
        '$' => r"\x24".to_owned(),
        c if c.is_control() => format!("\\x{{{:x}}}", u32::from(c)),
        c if c.is_ascii_punctuation() && c != '_' && c != '/' => format!("\\{c}"),
        ' ' => r"\x20".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// A name of a-z, 0-9 and dashes: for zones, files, metrics. What already is one stays; anything else ends with the
/// first eight digits of its hash, so that no two texts get one name.
fn slug(text: &str) -> String {
    let is_slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !text.is_empty() && text.len() <= SLUG_MAX && text.chars().all(is_slug) && !ends_as_hashed(text) {
        return text.to_owned();
    }
    let lower = text.chars().take(SLUG_MAX).map(|c| c.to_ascii_lowercase());
    let name: String = lower.map(|c| if is_slug(c) { c } else { '-' }).collect();
    let hash = hash(text);
    format!("{}-{}", name.trim_matches('-'), &hash[..8]).trim_start_matches('-').to_owned()
}

/// Whether a text could itself be what a slug of another one looks like.
fn ends_as_hashed(text: &str) -> bool {
    let last = text.rsplit('-').next().unwrap_or(text);
    last.len() == 8 && last.chars().all(|c| c.is_ascii_hexdigit())
}

/// The first 64 bits of SHA-256: 16 digits of 0-9 and a-f, the same on every machine.
fn hash(text: &str) -> String {
    Sha256::digest(text).iter().take(8).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// Any value as JSON, on one line or with `indent=N`. Jinja's `tojson` writes for HTML pages instead.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands keyword arguments over by value")]
fn json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let failed = |error: serde_json::Error| refused(format!("to_json: {error}"));
    let Some(indent) = indent else { return serde_json::to_string(value).map_err(failed) };
    let (mut bytes, indent) = (Vec::new(), " ".repeat(indent.min(16)));
    let pretty = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, pretty);
    serde::Serialize::serialize(value, &mut serializer).map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{super::Template, *};

    /// Renders with `x`: what comes out, or why nothing does.
    fn check(expression: &str, x: impl serde::Serialize, expected: Result<&str, &str>) {
        let template = Template { name: "my.jinja".into(), text: format!("\n{{{{ {expression} }}}}") };
        let rendered = template.render(&json!({ "x": x })).map_err(|e| e.to_string());
        let expected = expected.map(|text| format!("\n{text}")).map_err(|why| format!("my.jinja:2: {why}"));
        assert_eq!(rendered, expected, "{expression}");
    }

    #[test]
    fn words_are_quoted_for_each_engine() {
        check("x|quote_haproxy", r#"it's "${HOME}" \ #1"#, Ok(r#"'it'\''s "${HOME}" \ #1'"#));
        check("x|quote_haproxy", "", Ok("''"));
        check("x|quote_haproxy", 5, Ok("'5'"));
        check("x|quote_nginx", r#"a "b" \d; {}#"#, Ok(r#""a \"b\" \\d; {}#""#));
        check("x|quote_lua", "a\"\\\n\u{e9}1", Ok(r#""a\"\\\010\195\1691""#));
        check("x|regex_escape", "a.b*c_d-$ /\n", Ok(r"a\.b\*c_d\-\x24\x20/\x{a}"));
    }

    #[test]
    fn what_cannot_be_written_is_an_error_with_its_line() {
        fn refused(why: &str) -> Result<&str, &str> {
            Err(why)
        }
        check("x|quote_haproxy", "a\nb", refused(r"invalid operation: quote_haproxy: '\n' cannot stand in a word"));
        check("x|quote_nginx", "a\0", refused(r"invalid operation: quote_nginx: '\0' cannot stand in a word"));
        check(
            "x|quote_nginx",
            "$a",
            refused(
                "invalid operation: quote_nginx: nginx cannot write '$' in a string; declare a variable that holds it",
            ),
        );
        for filter in ["quote_haproxy", "quote_nginx", "quote_lua", "regex_escape", "slug", "hash"] {
            let why = format!("invalid operation: {filter} takes text, not sequence");
            check(&format!("x|{filter}"), ["a"], refused(&why));
            check(&format!("none|{filter}"), 1, refused(&why.replace("sequence", "none")));
        }
        check("other|quote_lua", 1, refused("'other' is undefined"));
        check("x|quote_nginz", 1, refused("unknown filter 'quote_nginz'; did you mean 'quote_nginx'?"));
        check("x|to_json(indnt=1)", 1, refused("too many arguments: unknown keyword argument 'indnt'"));
    }

    #[test]
    fn slugs_are_names_and_no_two_texts_share_one() {
        check("x|slug", "web-1", Ok("web-1"));
        check("x|slug", "Web.1", Ok("web-1-44592c90"));
        check("x|slug", "", Ok("e3b0c442"));
        check("x|slug", "é", Ok("4a99557e"));
        check("x|slug", "web-1-44592c90", Ok("web-1-44592c90-3219b43f"));
        check("x|hash", "web", Ok("4b5e57f6eb2f42b9"));
    }

    proptest! {
        #[test]
        fn a_slug_is_one_already_or_ends_with_its_hash(text in "\\PC{0,60}|[a-z0-9-]{0,50}") {
            let slug = slug(&text);
            prop_assert!(slug.len() <= SLUG_MAX + 9 && !slug.is_empty(), "{slug}");
            prop_assert!(slug.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{slug}");
            prop_assert!(slug == text || slug.ends_with(&hash(&text)[..8]), "{slug}");
        }
    }

    #[test]
    fn json_is_json() {
        check("x|to_json", json!({"b": [1, null, "<é'\""], "a": 1.5}), Ok(r#"{"a":1.5,"b":[1,null,"<é'\""]}"#));
        check("x|to_json(indent=2)", [1], Ok("[\n  1\n]"));
    }

    /// What the documentation says of Jinja's own.
    #[test]
    fn sort_is_stable_and_takes_names_and_directions() {
        let x = json!([{"n": "b", "w": 1}, {"n": "A", "w": 1}, {"n": "a", "w": 0}, {"n": "B", "w": 2}]);
        check("x|sort(attribute='n')|map(attribute='n')|join", x.clone(), Ok("AabB"));
        check("x|sort(attribute='n', case_sensitive=true)|map(attribute='n')|join", x.clone(), Ok("ABab"));
        check("x|sort(attribute='w', reverse=true)|map(attribute='n')|join", x.clone(), Ok("BbAa"));
        check("x|sort(attribute='w,n')|map(attribute='n')|join", x, Ok("aAbB"));
        check("x|sort|join(' ')", [10, 9, 2], Ok("2 9 10"));
    }
}
