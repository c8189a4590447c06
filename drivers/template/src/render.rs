//! Templates, strictly: a name that is not there is an error with its line, never an empty string in a
//! configuration that still passes its checker.
//!
//! Nothing is escaped here: what comes from the network is a validated newtype before it reaches a template.

mod blanks;
mod filters;
mod lines;
mod rows;

pub use blanks::{BLANK_STRUCTURE, Generation, filled};
#[cfg(test)]
pub(crate) use filters::NAMES as FILTERS;
pub use rows::{Cell, Rows};

use backchat_contract::DriverError;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;

/// Steps a template may take. An operator's endless loop ends here instead of holding the daemon; 10,000
/// servers need a tenth of it.
const FUEL: u64 = 20_000_000;

/// A template's text, and the name that errors call it by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// As people know it: `haproxy.cfg.jinja`, `/etc/backchat/my.jinja`.
    pub name: String,
    /// The text, in Jinja's language.
    pub text: String,
}

/// Why a template does not render: `my.jinja:41: 'servce' is undefined; did you mean 'service'?`
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{template}:{line}: {reason}")]
pub struct RenderError {
    /// The template's name.
    pub template: String,
    /// The line, from 1; 0 where the engine does not know it.
    pub line: usize,
    /// What is wrong there.
    pub reason: String,
}

impl From<RenderError> for DriverError {
    fn from(error: RenderError) -> Self {
        Self::Check { file: format!("{}:{}", error.template, error.line), message: error.reason }
    }
}

impl Template {
    /// Refuses a rendered text without what the data plane could not be driven without, though it would pass its own
    /// check.
    pub fn must_render(&self, text: &str, wanted: &str) -> Result<(), DriverError> {
        self.must_render_as(text, wanted, wanted)
    }

    /// The same, called by what renders it.
    pub fn must_render_as(&self, text: &str, wanted: &str, called: &str) -> Result<(), DriverError> {
        if text.contains(wanted) {
            return Ok(());
        }
        let message = format!("the template must render '{called}'");
        Err(DriverError::Check { file: self.name.clone(), message })
    }

    /// Renders with the values of `context`, a struct or a map. Block tags alone on a line leave no line behind.
    pub fn render(&self, context: &impl Serialize) -> Result<String, RenderError> {
        let values = minijinja::Value::from(Serde(context));
        let environment = environment().map_err(|e| self.error(&e, &values))?;
        environment.render_named_str(&self.name, &self.text, values.clone()).map_err(|e| self.error(&e, &values))
    }

    fn error(&self, error: &minijinja::Error, values: &minijinja::Value) -> RenderError {
        RenderError { template: self.name.clone(), line: error.line().unwrap_or(0), reason: self.reason(error, values) }
    }

    /// The name at a place; before a filter's name its value's.
    fn named(&self, range: std::ops::Range<usize>) -> Option<&str> {
        let filtered = self.text.get(..range.start)?.trim_end().strip_suffix('|').map(str::trim_end);
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let value = |before: &'_ str| before.trim_end_matches(is_name).len();
        match filtered {
            Some(before) => before.get(value(before)..),
            None => self.text.get(range).map(str::trim),
        }
    }

    fn reason(&self, error: &minijinja::Error, values: &minijinja::Value) -> String {
        if error.kind() == ErrorKind::UndefinedError
            && let Some(name) = error.range().and_then(|range| self.named(range))
        {
            let last = name.rsplit('.').next().unwrap_or(name);
            let hint = nearest(last, &names(values)).map(|near| format!("; did you mean '{near}'?"));
            return format!("'{name}' is undefined{}", hint.unwrap_or_default());
        }
        if error.kind() == ErrorKind::UnknownFilter
            && let Some(name) = error.detail().and_then(filter_named)
        {
            let known: Vec<String> = filters::NAMES.iter().chain(&JINJA).map(ToString::to_string).collect();
            let hint = nearest(name, &known).map(|near| format!("; did you mean '{near}'?"));
            return format!("unknown filter '{name}'{}", hint.unwrap_or_default());
        }
        error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()))
    }
}

/// Jinja's filters that people use in configurations, for hints.
const JINJA: [&str; 16] = [
    "default",
    "first",
    "groupby",
    "indent",
    "join",
    "last",
    "length",
    "lower",
    "map",
    "rejectattr",
    "replace",
    "selectattr",
    "sort",
    "trim",
    "unique",
    "upper",
];

/// The name in minijinja's words: `filter foo is unknown`.
fn filter_named(detail: &str) -> Option<&str> {
    detail.strip_prefix("filter ")?.strip_suffix(" is unknown")
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_debug(true);
    environment.set_fuel(Some(FUEL));
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?;
    environment.set_syntax(syntax);
    filters::add(&mut environment);
    Ok(environment)
}

/// Every name that a template could have meant: the keys of the values, at any depth. One element of a list
/// stands for all.
fn names(values: &minijinja::Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![values.clone()];
    while let Some(value) = open.pop() {
        let Ok(keys) = value.try_iter() else { continue };
        match value.kind() {
            minijinja::value::ValueKind::Map => {
                for key in keys {
                    open.extend(value.get_item(&key));
                    found.push(key.to_string());
                }
            }
            minijinja::value::ValueKind::Seq => open.extend(keys.take(1)),
            _ => {}
        }
    }
    found.sort();
    found
}

/// The name within a third of its length in edits, the closest first.
fn nearest<'a>(name: &str, names: &'a [String]) -> Option<&'a str> {
    let near = names.iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    let (_, best) = near.filter(|(distance, _)| distance * 3 <= name.len().max(3)).min()?;
    Some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Context {
        generation: u64,
        services: Vec<Service>,
    }

    #[derive(Serialize)]
    struct Service {
        name: &'static str,
    }

    fn check(text: &str, expected: Result<&str, &str>) {
        let template = Template { name: "my.jinja".into(), text: text.into() };
        let context = Context { generation: 7, services: vec![Service { name: "web" }, Service { name: "<api>" }] };
        let rendered = template.render(&context).map_err(|e| e.to_string());
        assert_eq!(rendered.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn renders_what_is_there() {
        check("gen {{ generation }}\n", Ok("gen 7\n"));
        check("{% for s in services %}\n  server {{ s.name }}\n{% endfor %}\n", Ok("  server web\n  server <api>\n"));
    }

    #[test]
    fn names_what_is_not_there() {
        check("a\nb {{ genration }}\n", Err("my.jinja:2: 'genration' is undefined; did you mean 'generation'?"));
        check(
            "{% for s in servces %}{% endfor %}",
            Err("my.jinja:1: 'servces' is undefined; did you mean 'services'?"),
        );
        check(
            "{% for s in services %}\n{{ s.nmae }}\n{% endfor %}",
            Err("my.jinja:2: 's.nmae' is undefined; did you mean 'name'?"),
        );
        check("{% if xyz %}{% endif %}", Err("my.jinja:1: 'xyz' is undefined"));
    }

    #[test]
    fn names_what_is_malformed() {
        check("a\n{% for %}\n", Err("my.jinja:2: syntax error: unexpected end of block, expected in"));
        check(
            "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
            Err("my.jinja:1: engine ran out of fuel"),
        );
    }
}
