//! A file that lists services, in TOML, JSON or YAML. Whoever edits it is no programmer: what is wrong is said with its
//! line, and what was listed before stays until the file is well again.

mod document;
mod json;
mod read;
mod services;
mod toml;
mod watch;
mod yaml;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use document::{Node, Wrong};
pub use watch::watch;

use crate::model::{Listed, ServiceName, Snapshot, SourceName};

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML 1.0.
    Toml,
    /// JSON.
    Json,
    /// YAML 1.2.
    Yaml,
}

/// Why a file was not taken: `/etc/services.toml:3:5: unknown key 'host'; did you mean 'hosts'?`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unread(String);

impl Format {
    /// What a file of this name is written in; `None` where the name does not say.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }
}

/// What the file lists now, read once: for those who will not wait until it is well. Blocks on the disk.
///
/// # Errors
/// Where the file cannot be read, or something in it cannot be taken.
pub fn load(path: &Path, format: Format, name: SourceName) -> Result<Snapshot, Unread> {
    let services = read::read(path).and_then(|bytes| parse(path, format, &bytes))?;
    Ok(Snapshot { source: name, synced: true, services, ..Snapshot::default() })
}

/// What these bytes of the file list.
fn parse(path: &Path, format: Format, bytes: &[u8]) -> Result<BTreeMap<ServiceName, Arc<Listed>>, Unread> {
    let wrong = |wrong: Vec<Wrong>| unread(path, wrong);
    let text = std::str::from_utf8(bytes).map_err(|e| wrong(vec![Wrong::no_text(bytes, e.valid_up_to())]))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = document(format, text).map_err(|one| wrong(vec![one]))?;
    services::services(&root).map_err(wrong)
}

fn document(format: Format, text: &str) -> Result<Node, Wrong> {
    match format {
        Format::Toml => toml::document(text),
        Format::Json => json::document(text),
        Format::Yaml => yaml::document(text),
    }
}

/// The first thing that is wrong, and how many more there are.
fn unread(path: &Path, mut wrong: Vec<Wrong>) -> Unread {
    wrong.sort();
    let path = path.display();
    let more = match wrong.len().saturating_sub(1) {
        0 => String::new(),
        1 => " (and 1 more mistake)".to_owned(),
        n => format!(" (and {n} more mistakes)"),
    };
    let first = wrong.into_iter().next().map_or_else(String::new, |w| format!("{}: {}", w.at, w.why));
    Unread(format!("{path}:{first}{more}"))
}

#[cfg(test)]
mod tests;
