//! TOML as a document.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::document::{Key, Lines, Node, Value, Wrong};

pub(super) fn document(text: &str) -> Result<Node, Wrong> {
    let lines = Lines::new(text);
    let wrong = |e: toml::de::Error| {
        Wrong::new(lines.position(e.span().map_or(0, |s| s.start)), e.message().replace('\n', ", "))
    };
    let root = DeTable::parse(text).map_err(wrong)?;
    Ok(Node { at: lines.position(root.span().start), value: table(root.get_ref(), &lines) })
}

fn node(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Node {
    let at = lines.position(value.span().start);
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            number.map_or(Value::Other("a number that is too large"), Value::Number)
        }
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Array(list) => Value::List(list.iter().map(|value| node(value, lines)).collect()),
        DeValue::Table(inner) => table(inner, lines),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
    };
    Node { at, value }
}

fn table(table: &DeTable<'_>, lines: &Lines<'_>) -> Value {
    let key = |key: &Spanned<_>| -> Key {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        Key { at: lines.position(key.span().start), name: name.to_string() }
    };
    Value::Table(table.iter().map(|(name, value)| (key(name), node(value, lines))).collect())
}
