//! The table: both sides, the ratio, the goal, and whether it was reached. Less is better in every row.

use std::{fmt::Write as _, time::Duration};

use crate::figures::Figures;

/// What a row has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// The other side needs at least this many times what we need.
    Times(f64),
    /// We need at most this many times what the other side needs.
    AtMost(f64),
    /// We need at most this long, whatever the other side needs.
    Within(Duration),
    /// Nothing at all, whatever the other side has.
    Zero,
    /// Only shown.
    None,
}

/// One line of the table.
pub(crate) struct Row {
    pub(crate) what: String,
    /// `None` where the other side knows nothing of the kind.
    pub(crate) theirs: Option<Figures>,
    pub(crate) ours: Figures,
    pub(crate) goal: Goal,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, theirs: Figures, ours: Figures, goal: Goal) -> Self {
        Self { theirs: Some(theirs), ..Self::alone(what, ours, goal) }
    }

    /// What only we do.
    pub(crate) fn alone(what: impl Into<String>, ours: Figures, goal: Goal) -> Self {
        Self { what: what.into(), theirs: None, ours, goal }
    }

    /// Whether the medians reach the goal.
    pub(crate) fn reached(&self) -> bool {
        let (theirs, ours) = self.medians();
        match self.goal {
            Goal::Times(times) => theirs >= times * ours,
            Goal::AtMost(times) => ours <= times * theirs,
            Goal::Within(limit) => ours <= limit.as_secs_f64(),
            Goal::Zero => self.ours.worst() <= 0.0,
            Goal::None => true,
        }
    }

    /// Theirs is no number where there is none: no ratio to it reaches a goal.
    fn medians(&self) -> (f64, f64) {
        (self.theirs.as_ref().map_or(f64::NAN, Figures::median), self.ours.median())
    }

    /// What stands in each column.
    pub(crate) fn cells(&self) -> [String; 6] {
        let (theirs, ours) = self.medians();
        let (ratio, goal) = match self.goal {
            Goal::AtMost(times) => (format!("{:.2}×", ours / theirs), format!("at most {times}×")),
            Goal::Within(limit) => ("-".into(), format!("at most {} ms", limit.as_millis())),
            Goal::Zero => ("-".into(), "0".into()),
            Goal::Times(times) => (format!("1/{:.1}", theirs / ours), format!("at most 1/{times}")),
            Goal::None => (format!("1/{:.1}", theirs / ours), "-".into()),
        };
        let verdict = match self.goal {
            Goal::None => "",
            _ if self.reached() => "pass",
            _ => "MISS",
        };
        let theirs = self.theirs.as_ref().map_or_else(|| "-".into(), Figures::show);
        [self.what.clone(), theirs, self.ours.show(), ratio, goal, verdict.into()]
    }
}

/// What goals were missed; `None` where all are reached.
pub(crate) fn missed(rows: &[Row]) -> Option<String> {
    let missed: Vec<_> = rows.iter().filter(|row| !row.reached()).map(|row| row.what.as_str()).collect();
    (!missed.is_empty()).then(|| format!("missed: {}", missed.join("; ")))
}

/// The rows as a Markdown table, its columns aligned so that it reads well on a terminal too.
pub(crate) fn render(theirs: &str, rows: &[Row]) -> String {
    let head = ["", theirs, "backchat", "ratio", "goal", ""].map(str::to_owned);
    let lines: Vec<_> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(widths) {
            // Writing to a String cannot fail.
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            text.extend(widths.iter().map(|width| format!("|{}", "-".repeat(width + 2))));
            text.push_str("|\n");
        }
    }
    text
}
