//! A long list of small maps for a template: kept as a table, so that ten thousand servers are made and written out
//! without a map for each. A template sees a list of maps.

use std::{net::SocketAddr, sync::Arc};

use minijinja::{
    Value,
    value::{Enumerator, Object, ObjectRepr},
};
use serde::{Serialize, Serializer};

/// One field of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Text.
    Text(Arc<str>),
    /// An address with its port, as text: IPv6 in brackets.
    Addr(SocketAddr),
    /// A number.
    Number(u64),
    /// True or false.
    Flag(bool),
}

/// The rows, each with the same fields.
#[derive(Clone, Debug)]
pub struct Rows(Value);

impl Rows {
    /// These fields, and their cells row by row.
    pub fn new<const N: usize>(names: &'static [&'static str; N], rows: impl IntoIterator<Item = [Cell; N]>) -> Self {
        let cells = rows.into_iter().flatten().collect();
        Self(Value::from_object(Table { names, cells }))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len().unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// What is behind [`Rows`], and found again by filters.
#[derive(Debug)]
pub(super) struct Table {
    names: &'static [&'static str],
    cells: Vec<Cell>,
}

impl Table {
    /// The rows, as cells.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[Cell]> {
        self.cells.chunks_exact(self.names.len().max(1))
    }

    /// At which place in each row a field stands.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| *known == name)
    }

    fn count(&self) -> usize {
        self.cells.len() / self.names.len().max(1)
    }
}

impl Object for Table {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let row = key.as_usize().filter(|row| *row < self.count())?;
        Some(Value::from_object(Row { table: Arc::clone(self), row }))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.count())
    }
}

/// One of them, for a template that goes through them itself.
#[derive(Debug)]
struct Row {
    table: Arc<Table>,
    row: usize,
}

impl Object for Row {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let at = self.row * self.table.names.len() + self.table.place(key)?;
        self.table.cells.get(at).map(value)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(self.table.names)
    }
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Text(text) => Arc::clone(text).into(),
        Cell::Addr(addr) => addr.to_string().into(),
        Cell::Number(number) => (*number).into(),
        Cell::Flag(flag) => (*flag).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Template;

    #[derive(Serialize)]
    struct Context {
        servers: Rows,
    }

    fn context() -> Context {
        let row = |name: &str, port, weight, drains| {
            let addr = SocketAddr::from(([10, 0, 0, 7], port));
            [Cell::Text(name.into()), Cell::Addr(addr), Cell::Number(weight), Cell::Flag(drains)]
        };
        let rows = [row("b", 80, 100, false), row("a", 65535, 0, true)];
        Context { servers: Rows::new(&["name", "addr", "weight", "drains"], rows) }
    }

    fn check(text: &str, expected: &str) {
        let template = Template { name: "t".into(), text: text.into() };
        let said = template.render(&context()).unwrap_or_else(|error| error.to_string());
        assert_eq!(said, expected, "{text}");
    }

    #[test]
    fn a_template_sees_a_list_of_maps() {
        check(
            "{% for s in servers %}{{ s.name }} {{ s.addr }} {{ s.weight }};{% endfor %}",
            "b 10.0.0.7:80 100;a 10.0.0.7:65535 0;",
        );
        check(
            "{{ servers|length }} {{ servers[1].name }} {{ servers|sort(attribute='name')|map(attribute='name')|join }}",
            "2 a ab",
        );
        check(
            "{% for s in servers if s.drains %}{{ loop.index }} {{ s|to_json }}{% endfor %}",
            r#"1 {"name":"a","addr":"10.0.0.7:65535","weight":0,"drains":true}"#,
        );
        check("{{ servers[0].nmae }}", "t:1: '[0].nmae' is undefined; did you mean 'name'?");
        check("{{ servers|each('{name} {addr}{drains? off}') }}", "b 10.0.0.7:80\na 10.0.0.7:65535 off");
        check("{{ servers|each('{nmae}') }}", "t:1: invalid operation: each: 'nmae' is undefined");
    }

    #[test]
    fn it_is_data_as_any_other() {
        let said = serde_json::to_string(&context()).unwrap();
        let first = r#"{"name":"b","addr":"10.0.0.7:80","weight":100,"drains":false}"#;
        assert!(said.starts_with(&format!(r#"{{"servers":[{first},"#)), "{said}");
    }
}
