//! Which line of a template a rendered line comes from: an engine that refuses a file names the rendered one, and
//! who wrote the template wants his own.
//!
//! The template is rendered once more with a mark at the beginning of every line that may carry one. Where that
//! changes anything but the marks (a line's beginning that a `-%}` would have eaten), nothing is said rather than
//! something wrong.

use super::Template;

/// From Unicode's private part: nobody has them in a configuration. Between them stands the number.
const OPEN: char = '\u{f8f0}';
const CLOSE: char = '\u{f8f1}';

/// How much of a rendered line is told.
const SHOWN: usize = 120;

impl Template {
    /// Says where the template is to blame for what an engine said of `rendered`, which it read as `file`: the
    /// template with its line (or its name alone, where that cannot be told), and the reason with the rendered line.
    ///
    /// Engines write a place as `FILE:LINE`, and reasons behind one another with a semicolon; the first with a place
    /// is the one that is told.
    pub fn blame(
        &self,
        context: &impl serde::Serialize,
        rendered: &str,
        (file, message): (&str, &str),
    ) -> (String, String) {
        let found = message.split("; ").find_map(|reason| place(reason, file));
        let Some((line, reason)) = found else { return (self.name.clone(), message.to_owned()) };
        let shown: String =
            rendered.lines().nth(line.saturating_sub(1)).unwrap_or("").trim().chars().take(SHOWN).collect();
        match self.line_of(context, line) {
            Some(ours) => (format!("{}:{ours}", self.name), format!("{reason}: '{shown}'")),
            None => (self.name.clone(), format!("{reason}: line {line} of what it renders, '{shown}'")),
        }
    }

    /// The template's line, from 1, that a rendered line, from 1, comes from; `None` where that cannot be told.
    pub fn line_of(&self, context: &impl serde::Serialize, rendered: usize) -> Option<usize> {
        let marked = Self { name: self.name.clone(), text: marked(&self.text)? };
        let (plain, with) = (self.render(context).ok()?, marked.render(context).ok()?);
        if without(&with) != plain {
            return None;
        }
        let before: Vec<&str> = with.split('\n').take(rendered).collect();
        let line = before.get(rendered.checked_sub(1)?)?;
        // In its middle a mark would say where the rest comes from.
        marks(line).or_else(|| {
            let above = before.iter().rev().find_map(|line| marks(line))?;
            self.makes_many(above).then_some(above)
        })
    }

    /// Whether a line of the template makes a line for each of a list, and nothing else.
    fn makes_many(&self, line: usize) -> bool {
        let text = self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
        text.starts_with("{{") && text.ends_with("}}") && text.contains("|each(") && text.matches("{{").count() == 1
    }
}

/// The number of a line that begins with a mark.
fn marks(line: &str) -> Option<usize> {
    line.trim_start().strip_prefix(OPEN)?.split_once(CLOSE)?.0.parse().ok()
}

/// The text with marks; `None` where it has characters of ours already.
fn marked(text: &str) -> Option<String> {
    if text.contains([OPEN, CLOSE]) {
        return None;
    }
    let (mut out, mut tag, mut eaten) = (String::new(), None, false);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let begins = line.trim();
        // A tag takes the blanks before it along where it is alone or says so, and those behind it where it says so.
        let takes = ["{%", "{#", "{{-"].iter().any(|tag| begins.starts_with(tag));
        if tag.is_none() && !takes && !eaten && !begins.is_empty() {
            out.extend([OPEN.to_string(), (index + 1).to_string(), CLOSE.to_string()]);
        }
        out.push_str(line);
        tag = open(line, tag);
        if !begins.is_empty() {
            eaten = ["-%}", "-#}", "-}}"].iter().any(|tag| begins.ends_with(tag));
        }
    }
    Some(out)
}

/// Which tag's end is still to come behind this line. Quotes in tags are not looked at: what that gets wrong, the
/// comparison finds.
fn open(line: &str, tag: Option<&'static str>) -> Option<&'static str> {
    let (mut rest, mut tag) = (line, tag);
    loop {
        if let Some(end) = tag {
            let Some((_, behind)) = rest.split_once(end) else { return tag };
            rest = behind;
        }
        let begins = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")];
        let (at, end) = begins.iter().filter_map(|(begin, end)| Some((rest.find(begin)?, *end))).min()?;
        rest = rest.get(at + 2..)?;
        tag = Some(end);
    }
}

/// The line that a reason names in a file, and the reason without it.
fn place(reason: &str, file: &str) -> Option<(usize, String)> {
    let (before, behind) = reason.split_once(file)?;
    let digits = behind.strip_prefix(':')?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (line, behind) = digits.split_at(end);
    // `parsing [FILE:7] : reason` and `reason in FILE:7`.
    let behind = behind.trim_start_matches([']', ':', ' ']).trim();
    let reason = if behind.is_empty() { before.trim().trim_end_matches(" in") } else { behind };
    // What follows on lines of its own shows the rendered line, which is told anyway.
    let reason = reason.lines().next().unwrap_or_default().trim_end_matches(':');
    Some((line.parse().ok()?, reason.to_owned()))
}

fn without(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split(OPEN);
    out.extend(parts.next());
    out.extend(parts.map(|part| part.split_once(CLOSE).map_or(part, |(_, rest)| rest)));
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(text: &str) -> Template {
        Template { name: "my.jinja".into(), text: text.into() }
    }

    /// Where each rendered line comes from; 0 where that is not told.
    fn check(text: &str, expected: &[usize]) {
        let (template, context) =
            (template(text), json!({ "xs": ["a", "b"], "ys": [{"n": 1}, {"n": 2}], "long": "1\n2" }));
        let lines = template.render(&context).unwrap().lines().count();
        let found: Vec<usize> = (1..=lines).map(|line| template.line_of(&context, line).unwrap_or(0)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn lines_are_found() {
        check("a\nb\n", &[1, 2]);
        check("a\n{% for x in xs %}\n  b {{ x }}\n\n{% endfor %}\nc\n", &[1, 3, 0, 3, 0, 6]);
        check("{# one\ntwo #}\na {{\n xs|length }} b\nc", &[3, 5]);
        check("{% if xs %}a{% endif %}\nb\nc\n", &[0, 3]);
        check("a\n{%- if xs -%}\n\n  b\n{% endif %}\nc\n", &[1, 6]);
        check("{{ long }}\nb\n", &[1, 0, 2]);
        check("a\n{{ ys|each('  {n};') }}\nb\n", &[1, 2, 2, 3]);
        check("{% raw %}\n{{ x\n{% endraw %}\nb\n", &[2, 0]);
        assert_eq!(template("a\n").line_of(&json!({}), 2), None);
        assert_eq!(template("a\n").line_of(&json!({}), 0), None);
    }

    /// Nothing rather than something wrong.
    #[test]
    fn what_depends_on_its_own_text_is_not_told() {
        check("{% set t %}\nabc\n{% endset %}\n{{ t|length }}\n", &[0]);
        check("a\u{f8f0}\n", &[0]);
    }

    #[test]
    fn an_engine_is_told_by_the_templates_line() {
        let template = template("a\n{% for x in xs %}\n  b {{ x }}\n{% endfor %}\n{% if xs %}c{% endif %}");
        let context = json!({ "xs": ["a", "b"] });
        let rendered = template.render(&context).unwrap();
        let check = |message: &str, expected: (&str, &str)| {
            let (file, reason) = template.blame(&context, &rendered, ("/run/x.cfg", message));
            assert_eq!((file.as_str(), reason.as_str()), expected);
        };
        let haproxy = "config : parsing [/run/x.cfg:3] : unknown keyword 'b' in 'global' section; \
                       config : Error(s) found in configuration file : /run/x.cfg";
        check(haproxy, ("my.jinja:3", "unknown keyword 'b' in 'global' section: 'b b'"));
        check(
            "config : parsing [/run/x.cfg:1]: unmatched quote at position 64:\n",
            ("my.jinja:1", "unmatched quote at position 64: 'a'"),
        );
        check("unknown directive \"b\" in /run/x.cfg:2", ("my.jinja:3", "unknown directive \"b\": 'b a'"));
        check("x in /run/x.cfg:4", ("my.jinja", "x: line 4 of what it renders, 'c'"));
        check("host not found", ("my.jinja", "host not found"));
        check("no 'y' in /run/x.cfg", ("my.jinja", "no 'y' in /run/x.cfg"));
    }

    #[test]
    fn the_shipped_templates_lines_are_found() {
        let text = include_str!("../../../../templates/haproxy.cfg.jinja");
        let marked = marked(text).unwrap();
        let untold = |line: &&str| !line.starts_with([OPEN, '{']) && !line.is_empty();
        assert_eq!(marked.lines().find(untold), None);
    }
}
