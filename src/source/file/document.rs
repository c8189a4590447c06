//! A document as a tree with the place of each part in the text, whatever it is written in. Pure.

use std::fmt;

/// A place in a text, line and column from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Something that cannot be taken, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wrong {
    pub(super) at: Position,
    pub(super) why: String,
}

/// A part of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// What a part is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Bool(bool),
    List(Vec<Node>),
    Table(Vec<(Key, Node)>),
    /// What nothing here is written as, in words: `a date`.
    Other(&'static str),
}

/// A key of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) at: Position,
    pub(super) name: String,
}

impl Value {
    /// What it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

impl Wrong {
    pub(super) fn new(at: Position, why: impl Into<String>) -> Self {
        Self { at, why: why.into() }
    }

    /// From this byte on it is no UTF-8.
    pub(super) fn no_text(bytes: &[u8], offset: usize) -> Self {
        let before = String::from_utf8_lossy(bytes.get(..offset).unwrap_or_default());
        Self::new(Lines::new(&before).position(before.len()), "this is no UTF-8 text")
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Where the lines of a text begin: parsers tell offsets in bytes.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        Self { text, starts: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect() }
    }

    pub(super) fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        // An offset within a character, or behind the end, is that of what comes before it.
        let column = self
            .text
            .get(start..)
            .map_or(0, |rest| rest.char_indices().take_while(|(at, _)| start + at < offset).count());
        Position { line, column: column + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let lines = Lines::new("aä\n\nb");
        let check = |offset, line, column| assert_eq!(lines.position(offset), Position { line, column }, "{offset}");
        check(0, 1, 1);
        check(1, 1, 2);
        check(3, 1, 3);
        check(4, 2, 1);
        check(5, 3, 1);
        check(6, 3, 2);
        check(99, 3, 2);
    }
}
