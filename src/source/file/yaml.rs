//! YAML as a document: version 1.2, so that `no` is a text. One document a file, keys are texts.

use saphyr::{LoadableYamlNode as _, MarkedYaml, Marker, Scalar, YamlData};
use saphyr_parser::{Event, Parser};

use super::document::{Key, Node, Position, Value, Wrong};

/// Deeper than any file of ours: a tree that is deeper would exhaust the stack.
const DEEPEST: usize = 32;

pub(super) fn document(text: &str) -> Result<Node, Wrong> {
    let wrong = |e: saphyr::ScanError| Wrong::new(position(*e.marker()), e.info());
    not_too_deep(text)?;
    let documents = MarkedYaml::load_from_str(text).map_err(wrong)?;
    match documents.as_slice() {
        [] => Ok(Node { at: Position { line: 1, column: 1 }, value: Value::Table(Vec::new()) }),
        [one] => node(one),
        [_, second, ..] => {
            Err(Wrong::new(position(second.span.start), "a second document begins: one file is one document"))
        }
    }
}

/// Looked at event by event, before there is a tree.
fn not_too_deep(text: &str) -> Result<(), Wrong> {
    let mut depth = 0_usize;
    // An error ends the events, and is told by whoever makes the tree.
    for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(Wrong::new(position(span.start), "too many lists and tables within one another"));
        }
    }
    Ok(())
}

fn position(at: Marker) -> Position {
    Position { line: at.line().max(1), column: at.col() + 1 }
}

fn node(yaml: &MarkedYaml<'_>) -> Result<Node, Wrong> {
    let at = position(yaml.span.start);
    let value = match &yaml.data {
        YamlData::Value(Scalar::String(text)) => Value::Text(text.to_string()),
        YamlData::Value(Scalar::Integer(number)) => Value::Number(*number),
        YamlData::Value(Scalar::Boolean(value)) => Value::Bool(*value),
        YamlData::Value(Scalar::FloatingPoint(_)) => Value::Other("a number with a fraction"),
        YamlData::Value(Scalar::Null) => Value::Other("nothing"),
        YamlData::Sequence(list) => Value::List(list.iter().map(node).collect::<Result<_, _>>()?),
        YamlData::Mapping(table) => {
            Value::Table(table.iter().map(|(name, value)| Ok((key(name)?, node(value)?))).collect::<Result<_, _>>()?)
        }
        YamlData::Tagged(..) => return Err(Wrong::new(at, "tags are not taken")),
        YamlData::Alias(_) | YamlData::BadValue | YamlData::Representation(..) => {
            return Err(Wrong::new(at, "this cannot be read"));
        }
    };
    Ok(Node { at, value })
}

fn key(yaml: &MarkedYaml<'_>) -> Result<Key, Wrong> {
    let at = position(yaml.span.start);
    match &yaml.data {
        YamlData::Value(Scalar::String(name)) => Ok(Key { at, name: name.to_string() }),
        _ => Err(Wrong::new(at, "a key is a text: put it in quotes")),
    }
}
