//! The table in the README, and what was seen.

use super::{TITLES, rigs::Hipache};
use crate::readme;

const HEADING: &str = "### What each data plane can";

/// The cells of a line; none where it is no row.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
    Some(inner.split(" | ").map(str::trim).collect())
}

/// The rows below the heading, that of the columns first.
fn rows(text: &str) -> Vec<Vec<&str>> {
    readme::below(text, HEADING).lines().filter(|line| !line.starts_with("| ---")).filter_map(cells).collect()
}

/// Compares what was seen with what is said.
pub(super) fn check<R: Hipache>(title: &str, seen: &str) {
    let text = readme::text();
    let rows = rows(&text);
    let column = rows.first().and_then(|columns| columns.iter().position(|column| *column == R::COLUMN));
    let row = rows.iter().find(|row| row.first() == Some(&title));
    let said = column.zip(row).and_then(|(column, row)| row.get(column)).copied();
    let (plane, none) = (R::COLUMN, "nothing");
    assert_eq!(said.unwrap_or(none), seen, "README.md, '{HEADING}', row '{title}', column {plane}: paste '{seen}'");
}

#[test]
fn the_table_has_every_case_and_no_other() {
    let text = readme::text();
    let rows = rows(&text);
    let said: Vec<&str> = rows.iter().skip(1).filter_map(|row| row.first().copied()).collect();
    assert_eq!(said, TITLES);
}
