//! What people see: tables and lines out of the admin API's answers. Pure but for `print`, `note` and `complain`.
//!
//! Members say of themselves what they like; `safe` keeps it from steering a terminal or breaking a line.

mod age;
pub(super) mod explain;
pub(super) mod members;
mod paint;
pub(super) mod plan;
pub(super) mod services;
pub(super) mod status;
mod table;
#[cfg(test)]
pub(super) mod tests;
pub(super) mod watch;

use std::io::{self, Write};

/// Prints to standard output, coloured where that is a terminal and `NO_COLOR` is not set.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Says something beside the answer, on standard error: totals, what was done.
pub(super) fn note(text: &str) {
    // Nobody listens: nothing is lost that was asked for.
    let _closed = writeln!(io::stderr().lock(), "{}", safe(text));
}

/// Says on one line of standard error what went wrong.
pub(super) fn complain(text: &str) {
    let words = text.lines().map(safe).collect::<Vec<_>>().join("; ");
    // Nobody listens, and there is no other place to say it.
    let _closed = writeln!(io::stderr().lock(), "{words}");
}

/// `1 member`, `2 members`.
pub(super) fn count(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

/// Whether writing failed because nobody reads any more.
pub(super) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// A text without what steers a terminal: control characters and those that turn the direction of writing are shown
/// as escapes.
pub(super) fn safe(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}
