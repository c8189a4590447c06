//! Tables: columns as wide as their widest cell, two spaces between, nothing at a line's end.

use std::fmt::Write;

use super::safe;

/// A table, row by row.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column names, or without.
    pub(super) fn new(columns: &[&str], no_headers: bool) -> Self {
        let header = columns.iter().map(|c| (*c).to_owned()).collect();
        Self { rows: if no_headers { Vec::new() } else { vec![header] } }
    }

    /// Adds a row. An empty cell shows as nothing; the caller says `-` where that is meant.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| safe(&cell)).collect());
    }

    pub(super) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column| self.rows.iter().filter_map(|row| row.get(column)).map(|c: &String| c.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                // Writing to a String cannot fail.
                let _ok = write!(line, "{cell:<width$}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Nothing as `-`, several joined by commas.
pub(super) fn list<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => "-".to_owned(),
        items => items.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(","),
    }
}
