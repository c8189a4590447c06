//! A rendering whose generation and hash are filled in afterwards: they are known only once the rest is, and rendering
//! is most of what a plan costs.
//!
//! A blank lies between characters that no value has (a path with a NUL is none). A template that might do more with
//! these two values than to say them leaves none, and is rendered with the values themselves.

use serde::Serialize;

use super::Template;

/// A generation as a template sees it.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum Generation {
    /// The number.
    Is(u64),
    /// A blank in its place.
    Blank(&'static str),
}

impl Generation {
    /// To be filled in.
    pub const BLANK: Self = Self::Blank("\0g\0");
}

/// What stands for the hash until it is filled in.
pub const BLANK_STRUCTURE: &str = "\0s\0";

/// The values, by the names that every template knows them by.
const NAMES: [&str; 2] = ["generation", "structure"];

/// What may use a value, or what was rendered of it, without naming it; what ends a tag's being one; and what may write
/// the character itself.
const OTHERWISE: [&str; 11] =
    ["endset", "endfilter", "endcall", "endblock", "endraw", "macro", "autoescape", "debug", "\\u", "\\x", "\\0"];

impl Template {
    /// Whether it says generation and hash as they are, and does nothing else with them.
    pub fn leaves_blanks(&self) -> bool {
        let is_plain = |tag: &str| ![&NAMES[..], &OTHERWISE].concat().iter().any(|word| tag.contains(word));
        let says = |tag: &str| tag.strip_prefix("{{").is_some_and(|name| NAMES.contains(&name.trim()));
        !self.text.contains('\0') && tags(&self.text).is_some_and(|mut tags| tags.all(|tag| says(tag) || is_plain(tag)))
    }
}

/// What stands in the tags of a text, each with what begins it and without what ends it; `None` where one has no end.
/// Comments are none.
fn tags(text: &str) -> Option<impl Iterator<Item = &str>> {
    let (mut rest, mut tags) = (text, Vec::new());
    while let Some(at) = rest.match_indices('{').map(|(at, _)| at).find(|at| begins_tag(&rest[*at..])) {
        let tag = &rest[at..];
        let end = if tag.starts_with("{#") { tag.find("#}") } else { end(tag) }?;
        if !tag.starts_with("{#") {
            tags.push(&tag[..end]);
        }
        rest = &tag[end + 2..];
    }
    Some(tags.into_iter())
}

fn begins_tag(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|begin| text.starts_with(begin))
}

/// Where what ends a tag stands: not within quotes.
fn end(tag: &str) -> Option<usize> {
    let close = if tag.starts_with("{{") { "}}" } else { "%}" };
    let (mut quote, mut escaped) = (None, false);
    tag.char_indices().find_map(|(at, c)| {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None => return tag[at..].starts_with(close).then_some(at),
        }
        None
    })
}

/// A rendering with its blanks filled in; `None` where they are not as they were left.
pub fn filled(text: &str, generation: u64, structure: &str) -> Option<String> {
    let mut parts = text.split('\0');
    let mut whole = String::with_capacity(text.len() + structure.len());
    whole.push_str(parts.next()?);
    while let Some(blank) = parts.next() {
        match blank {
            "g" => whole += &generation.to_string(),
            "s" => whole.push_str(structure),
            _ => return None,
        }
        whole.push_str(parts.next()?);
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, leaves: bool) {
        let template = Template { name: "t".into(), text: text.into() };
        assert_eq!(template.leaves_blanks(), leaves, "{text}");
    }

    #[test]
    fn a_value_that_is_said_may_be_filled_in() {
        check("a {{ generation }} {{structure}}", true);
        check("str({{ structure }}) backchat_structure generations", true);
        check("{{ generation + 1 }}", false);
        check("{{ generation|hash }}", false);
        check("{% if structure %}a{% endif %}", false);
        check("{% set generation = 7 %}{{ generation }}", false);
        check("{% set t %}{{ structure }}{% endset %}{{ t|length }}", false);
        check("{% filter upper %}{{ structure }}{% endfilter %}", false);
        check("{{ debug() }}", false);
        check("{{ \"\\u0000\" }}", false);
        check("location = /generation { # structure }", true);
        check("{# generation|hash #}{{ \"}}\" }}", true);
        check("{{ \"}}\" ~ generation|hash }}", false);
        check("{{ '\\'}}' ~ generation|hash }}", false);
        check("{{ generation", false);
        check("{% raw %}{{ a {% endraw %}{{ generation|hash }}", false);
    }

    #[test]
    fn the_shipped_templates_leave_blanks() {
        check(include_str!("../../../../templates/haproxy.cfg.jinja"), true);
        check(include_str!("../../../../templates/nginx.conf.jinja"), true);
        check(include_str!("../../../../templates/nginx-include.conf.jinja"), true);
        check(include_str!("../../../../templates/openresty.conf.jinja"), true);
        check(include_str!("../../../../templates/openresty-include.conf.jinja"), true);
    }

    /// To fill blanks in is to render.
    #[test]
    fn what_is_filled_in_is_what_would_be_rendered() {
        #[derive(Serialize)]
        struct Context<'a> {
            generation: Generation,
            structure: &'a str,
        }
        let template =
            Template { name: "t".into(), text: "{{ structure }} a {{ generation }}{{ generation }}\n".into() };
        let blank = Context { generation: Generation::BLANK, structure: BLANK_STRUCTURE };
        let text = template.render(&blank).unwrap();
        for (generation, structure) in [(0, ""), (7, "abc"), (u64::MAX, "abc")] {
            let rendered = template.render(&Context { generation: Generation::Is(generation), structure }).unwrap();
            assert_eq!(filled(&text, generation, structure), Some(rendered));
        }
        for other in ["a\0", "a\0g", "a\0x\0b", "\0g\0\0"] {
            assert_eq!(filled(other, 1, ""), None, "{other:?}");
        }
    }
}
