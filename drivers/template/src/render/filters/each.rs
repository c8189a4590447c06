//! One line for each element of a list. A loop says the same, step by step in the template's engine: with ten thousand
//! servers most of a plan went there.

use std::fmt::Write;

use backchat_contract::{push_addr, push_number};
use minijinja::{Error, Value};

use super::refused;
use crate::render::rows::{Cell, Table};

/// A part of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// What the element says there: text, a number or a truth value.
    Field(&'a str),
    /// The text, where the element says so.
    If(&'a str, &'a str),
}

/// `{{ servers|each("server {name} {addr}{disabled? disabled}") }}`: `{field}` is the element's field, `{field?text}` the
/// text where that is true, `{{` and `}}` a brace. The lines have an end between them, and none behind the last.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands values over so")]
pub(super) fn each(list: Value, line: &str) -> Result<String, Error> {
    let pieces = pieces(line)?;
    let mut text = String::with_capacity(list.len().unwrap_or(0) * (line.len() + 16));
    if let Some(table) = list.downcast_object_ref::<Table>() {
        rows(&mut text, table, &pieces)?;
        return Ok(text);
    }
    for (n, element) in list.try_iter()?.enumerate() {
        if n > 0 {
            text.push('\n');
        }
        for piece in &pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Field(name) => say(&mut text, name, &field(&element, name)?)?,
                Piece::If(name, then) if field(&element, name)?.is_true() => text.push_str(then),
                Piece::If(..) => {}
            }
        }
    }
    Ok(text)
}

/// The same of a table, whose fields are looked up once.
fn rows(text: &mut String, table: &Table, pieces: &[Piece<'_>]) -> Result<(), Error> {
    let place = |name: &str| table.place(name).ok_or_else(|| undefined(name));
    let piece = |piece: &Piece<'_>| {
        Ok(match piece {
            Piece::Field(name) | Piece::If(name, _) => place(name)?,
            Piece::Text(_) => 0,
        })
    };
    let places = pieces.iter().map(piece).collect::<Result<Vec<_>, Error>>()?;
    for (n, row) in table.rows().enumerate() {
        if n > 0 {
            text.push('\n');
        }
        for (piece, at) in pieces.iter().zip(&places) {
            match (piece, row.get(*at)) {
                (Piece::Text(piece), _) => text.push_str(piece),
                (Piece::Field(_), Some(cell)) => say_cell(text, cell),
                (Piece::If(_, then), Some(cell)) if is_true(cell) => text.push_str(then),
                _ => {}
            }
        }
    }
    Ok(())
}

fn say_cell(text: &mut String, cell: &Cell) {
    match cell {
        Cell::Text(said) => text.push_str(said),
        Cell::Addr(addr) => push_addr(text, *addr),
        Cell::Number(number) => push_number(text, *number),
        Cell::Flag(flag) => text.push_str(if *flag { "True" } else { "False" }),
    }
}

/// As Jinja has it.
fn is_true(cell: &Cell) -> bool {
    match cell {
        Cell::Text(text) => !text.is_empty(),
        Cell::Addr(_) => true,
        Cell::Number(number) => *number != 0,
        Cell::Flag(flag) => *flag,
    }
}

fn field(element: &Value, name: &str) -> Result<Value, Error> {
    let value = element.get_attr(name)?;
    if value.is_undefined() { Err(undefined(name)) } else { Ok(value) }
}

fn undefined(name: &str) -> Error {
    refused(format!("each: '{name}' is undefined"))
}

fn say(text: &mut String, name: &str, value: &Value) -> Result<(), Error> {
    if let Some(said) = value.as_str() {
        text.push_str(said);
        return Ok(());
    }
    let wrong = value.try_iter().is_ok() || value.is_none();
    if wrong {
        return Err(refused(format!("each: '{name}' is {}, not text", value.kind())));
    }
    // Writing to a string does not fail.
    let _ = write!(text, "{value}");
    Ok(())
}

/// The line as pieces.
fn pieces(line: &str) -> Result<Vec<Piece<'_>>, Error> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        pieces.push(Piece::Text(before));
        if from.starts_with("{{") || from.starts_with("}}") {
            pieces.push(Piece::Text(&from[..1]));
            rest = &from[2..];
            continue;
        }
        let unpaired = || refused(format!("each: a brace alone in {line:?}; '{{{{' is one that stands there"));
        let (inner, behind) = from.strip_prefix('{').and_then(|f| f.split_once('}')).ok_or_else(unpaired)?;
        pieces.push(inner.split_once('?').map_or(Piece::Field(inner), |(name, then)| Piece::If(name, then)));
        rest = behind;
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::render::Template;

    fn check(expression: &str, expected: Result<&str, &str>) {
        let template = Template { name: "my.jinja".into(), text: format!("{{{{ {expression} }}}}") };
        let x = json!([{"a": "b", "n": 1, "yes": true, "l": []}, {"a": "c", "n": 20, "yes": false, "l": []}]);
        let rendered = template.render(&json!({ "x": x })).map_err(|error| error.to_string());
        assert_eq!(rendered.as_deref().map_err(String::as_str), expected, "{expression}");
    }

    #[test]
    fn a_line_for_each() {
        check("x|each('- {a} {n}{yes? !};')", Ok("- b 1 !;\n- c 20;"));
        check("x|each('{yes}')", Ok("True\nFalse"));
        check("x|each('{{{a}}}')", Ok("{b}\n{c}"));
        check("x|each('-')", Ok("-\n-"));
        check("[]|each('{a}')", Ok(""));
    }

    #[test]
    fn what_it_does_not_take() {
        let wrong = |why: &'static str| Err(why);
        check("x|each('{b}')", wrong("my.jinja:1: invalid operation: each: 'b' is undefined"));
        check("x|each('{l}')", wrong("my.jinja:1: invalid operation: each: 'l' is sequence, not text"));
        let alone = "my.jinja:1: invalid operation: each: a brace alone in \"{a\"; '{{' is one that stands there";
        check("x|each('{a')", wrong(alone));
        check("x|each('a}')", wrong(&alone.replace("{a\"", "a}\"").leak()[..]));
        check("1|each('{a}')", wrong("my.jinja:1: invalid operation: number is not iterable"));
    }
}
