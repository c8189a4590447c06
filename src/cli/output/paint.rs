//! Colour, by whole lines, after everything is aligned. `print` takes it out again where it is not wanted.

use anstyle::{AnsiColor, Style};

/// Well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Worth a look.
pub(super) const ODD: Style = AnsiColor::Yellow.on_default();
/// Wrong, or gone.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// Held or refused.
pub(super) const HELD: Style = AnsiColor::Magenta.on_default().bold();

/// Paints each line as the rule says of it.
pub(super) fn lines(text: &str, rule: impl Fn(&str) -> Option<Style>) -> String {
    let paint = |line: &str| match rule(line) {
        Some(style) => format!("{style}{line}{style:#}\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(paint).collect()
}
