//! Whether `templates/README.md` says what a template really gets: for the tests of the drivers, each of which has
//! its part of that page. Panics where it does not.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::render::Template;

/// Checks a part of the page (`HAProxy`) against an example of the data: each field stands in a table of the part,
/// and no other; the example stands there as JSON; and each template that stands there renders, by the example, to
/// the text that follows it.
///
/// # Panics
/// Where the page and the data differ.
pub fn check(page: &str, part: &str, example: &impl Serialize) {
    let part = self::part(page, part);
    let value = serde_json::to_value(example).expect("the data is plain");
    let (documented, real) = (names(part), fields(&value));
    let missing: Vec<_> = real.difference(&documented).collect();
    let stale: Vec<_> = documented.difference(&real).collect();
    assert!(missing.is_empty() && stale.is_empty(), "not documented: {missing:?}; not there: {stale:?}");
    let json = serde_json::to_string_pretty(example).expect("the data is plain");
    assert_eq!(blocks(part, "json").first().map(|block| block.trim_end()), Some(json.as_str()), "the example's data");
    let (templates, texts) = (blocks(part, "jinja"), blocks(part, "text"));
    assert_eq!(templates.len(), texts.len(), "each template has its text");
    assert!(!templates.is_empty(), "there is a template");
    for (text, expected) in templates.into_iter().zip(texts) {
        let template = Template { name: "templates/README.md".into(), text: text.into() };
        assert_eq!(template.render(example).as_deref(), Ok(expected));
    }
}

/// What stands below a heading.
pub(crate) fn part<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, behind) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no part {heading}"));
    behind.split("\n## ").next().unwrap_or(behind)
}

/// The cells of a part's tables, backquotes and all.
pub(crate) fn rows(part: &str) -> impl Iterator<Item = Vec<String>> {
    let rows = part.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().replace("\\|", "|")).collect())
}

fn names(part: &str) -> BTreeSet<String> {
    rows(part).filter_map(|cells| cells.first().map(|cell| cell.trim_matches('`').to_owned())).collect()
}

/// `paths.config`, `http_backends[].servers[].name`: what holds no more fields. Of a list one element at least has them.
fn fields(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![(String::new(), value)];
    while let Some((name, value)) = open.pop() {
        match value {
            Value::Object(map) => {
                let dot = if name.is_empty() { "" } else { "." };
                open.extend(map.iter().map(|(key, value)| (format!("{name}{dot}{key}"), value)));
            }
            Value::Array(list) => {
                open.extend(list.iter().map(|value| (format!("{name}[]"), value)));
            }
            _ => drop(found.insert(name)),
        }
    }
    found
}

/// The fenced blocks of a language.
fn blocks<'a>(part: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("\n```{language}\n");
    part.split(opening.as_str()).skip(1).map(|block| block.split_once("```").map_or(block, |(text, _)| text)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PAGE: &str = "\n## One\n\n| `a` | x |\n| `b[].c` | y |\n\n```json\n{\n  \"a\": 1,\n  \"b\": [\n    {\n      \
                        \"c\": 2\n    }\n  ]\n}\n```\n\n```jinja\na {{ a }}\n```\n\n```text\na 1\n```\n\n## Two\n";

    fn passes(page: &str) -> bool {
        std::panic::catch_unwind(|| check(page, "One", &json!({"a": 1, "b": [{"c": 2}]}))).is_ok()
    }

    #[test]
    fn what_differs_is_found() {
        assert!(passes(PAGE));
        for (from, to) in [("| `a`", "| `d`"), ("| x |", "| x |\n| `d` |"), (" 2\n", " 3\n"), ("a 1\n", "a 2\n")] {
            assert!(PAGE.contains(from) && !passes(&PAGE.replace(from, to)), "{from}");
        }
    }

    /// Each filter of ours is documented, and each example on the page is true.
    #[test]
    fn the_filters_of_the_page_do_what_it_says() {
        let part = part(include_str!("../../../templates/README.md"), "Filters");
        let mut named = BTreeSet::new();
        for cells in rows(part) {
            let [name, example, expected, ..] = cells.as_slice() else { panic!("{cells:?}") };
            named.extend(name.split(", ").map(|name| name.trim_matches('`').to_owned()));
            let template = Template { name: name.clone(), text: example.trim_matches('`').to_owned() };
            assert_eq!(template.render(&json!({})).as_deref(), Ok(expected.trim_matches('`')), "{name}");
        }
        let missing: Vec<_> = crate::render::FILTERS.iter().filter(|name| !named.contains(**name)).collect();
        assert!(missing.is_empty(), "not documented: {missing:?}");
    }
}
