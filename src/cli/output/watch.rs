//! The lines of `watch`: when, what about, what, and what follows.

use std::time::{Duration, UNIX_EPOCH};

use super::{paint, safe};
use crate::{
    admin::answers::Event,
    cli::connection::Format,
    model::{Liveness, What},
};

/// No column is made wider than this for what one line says.
const WIDEST: usize = 28;

/// How wide the columns are. Lines that were printed stay, so columns only ever grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Columns {
    subject: usize,
    text: usize,
}

impl Default for Columns {
    fn default() -> Self {
        Self { subject: "apply".len(), text: "alive → suspect".chars().count() }
    }
}

impl Columns {
    /// One event as a line.
    pub(in crate::cli) fn line(&mut self, e: &Event, format: Format) -> String {
        let (subject, text) = (safe(&e.event.subject), safe(&e.event.text));
        let effect = safe(e.event.effect.as_deref().unwrap_or_default());
        self.subject = self.subject.max(subject.chars().count().min(WIDEST));
        self.text = self.text.max(text.chars().count().min(WIDEST));
        let (wide_subject, wide_text) = (self.subject, self.text);
        let line = format!("{}  {subject:<wide_subject$}  {text:<wide_text$}  {effect}", when(e, format));
        let style = style(&e.event.what);
        paint::lines(&format!("{}\n", line.trim_end()), |_| style)
    }
}

/// The time of day with its milliseconds, UTC; where there is room the date too, and the kind.
fn when(e: &Event, format: Format) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(e.at)).unwrap_or(UNIX_EPOCH);
    let at = humantime::format_rfc3339_millis(at).to_string();
    if format == Format::Wide {
        return format!("{at}  {:<9}", kind(&e.event.what));
    }
    at.split_once('T').map_or(at.as_str(), |(_, time)| time.trim_end_matches('Z')).to_owned()
}

fn kind(what: &What) -> &'static str {
    match what {
        What::Member { .. } => "member",
        What::Drain { .. } => "drain",
        What::Check { .. } => "check",
        What::Endpoint { .. } => "endpoint",
        What::Endpoints { .. } => "endpoints",
        What::Route { .. } => "route",
        What::Apply { .. } => "apply",
        What::Hold { .. } => "hold",
        What::Flapping { .. } => "flapping",
        What::Refused { .. } => "refused",
        What::Template { .. } => "template",
        What::File { .. } => "file",
        What::Source { .. } => "source",
        What::Plane { .. } => "plane",
        What::Gap => "gap",
    }
}

/// The colours that `status` and `members` have for the same.
fn style(what: &What) -> Option<anstyle::Style> {
    match what {
        What::Member { to: Liveness::Failed, .. }
        | What::Plane { up: false }
        | What::Check { up: false }
        | What::Template { begins: true }
        | What::Source { begins: true }
        | What::Apply { confirmed: false, .. } => Some(paint::BAD),
        What::Hold { begins: true, .. } => Some(paint::HELD),
        What::Member { to: Liveness::Suspect, .. }
        | What::Flapping { begins: true, .. }
        | What::Refused { begins: true }
        | What::File { begins: true }
        | What::Drain { begins: true }
        | What::Gap => Some(paint::ODD),
        _ => None,
    }
}
