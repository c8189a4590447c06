//! Somebody's whole configuration with another file in the place of ours, for nginx to check: copies of what leads to
//! ours, everything else by reference.
//!
//! The copy of the main file lies beside it, hidden: names in it that are no full paths are meant from its folder.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use backchat_contract::DriverError;

use super::attached::Attached;
use crate::includes::{Include, includes, replaced};

/// Files that include one another, at most this deep: nginx itself has no such bound, and ends at its own.
const DEEPEST: usize = 16;

/// The copies. Removed when dropped.
#[derive(Debug)]
pub(super) struct Whole {
    conf: PathBuf,
    copies: Vec<PathBuf>,
}

impl Whole {
    /// The copy of the main file.
    pub(super) fn conf(&self) -> &Path {
        &self.conf
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        for copy in &self.copies {
            // One that stays is written over by the next check.
            let _ = fs::remove_file(copy);
        }
    }
}

/// Makes the copies.
pub(super) fn with(attached: &Attached, staged: &Path) -> Result<Whole, DriverError> {
    let conf = &attached.conf;
    let folder = conf.parent().unwrap_or(Path::new("/"));
    let copy = folder.join(format!(".{}.backchat-check", conf.file_name().unwrap_or_default().to_string_lossy()));
    let mut whole = Whole { conf: copy, copies: Vec::new() };
    let ours = fs::canonicalize(&attached.include).unwrap_or_else(|_| attached.include.clone());
    let search = Search { folder, ours: &ours, staged, copies: &attached.folder };
    let Some(text) = search.through(conf, &mut whole, 0)? else {
        let (conf, ours) = (conf.display(), attached.include.display());
        let message = format!("it does not include {ours}: its http block needs 'include {ours};'");
        return Err(DriverError::Check { file: conf.to_string(), message });
    };
    let copy = whole.conf.clone();
    write(&mut whole, &copy, &text)?;
    Ok(whole)
}

/// What is looked for, and where.
struct Search<'a> {
    /// Where names are meant from.
    folder: &'a Path,
    ours: &'a Path,
    staged: &'a Path,
    copies: &'a Path,
}

impl Search<'_> {
    /// A file's text with the staged file in the place of ours; `None` where it leads to ours nowhere.
    fn through(&self, file: &Path, whole: &mut Whole, depth: usize) -> Result<Option<String>, DriverError> {
        let bytes = fs::read(file).map_err(DriverError::file("read", file))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut changed = Vec::new();
        for include in includes(&text) {
            if let Some(files) = self.followed(&include, whole, depth)? {
                changed.push((include, files));
            }
        }
        Ok((!changed.is_empty()).then(|| replaced(&text, &changed)))
    }

    /// The files of an include, with others in the place of those that lead to ours; `None` where none does.
    fn followed(&self, include: &Include, whole: &mut Whole, depth: usize) -> Result<Option<Vec<String>>, DriverError> {
        let (mut files, mut leads) = (Vec::new(), false);
        for file in self.files(&include.pattern) {
            let other = if fs::canonicalize(&file).is_ok_and(|real| real == self.ours) {
                Some(self.staged.to_owned())
            } else if depth < DEEPEST && file.is_file() {
                let text = self.through(&file, whole, depth + 1)?;
                let copy = self.copies.join(format!("check-{}.conf", whole.copies.len()));
                text.map(|text| write(whole, &copy, &text).map(|()| copy)).transpose()?
            } else {
                None
            };
            leads |= other.is_some();
            files.push(other.unwrap_or(file).display().to_string());
        }
        Ok(leads.then_some(files))
    }

    /// As nginx finds them: a pattern where it has one of these, in order; else a file, there or not.
    fn files(&self, pattern: &str) -> Vec<PathBuf> {
        let path = self.folder.join(pattern);
        if !pattern.contains(['*', '?', '[']) {
            return vec![path];
        }
        let options = glob::MatchOptions {
            require_literal_leading_dot: true,
            require_literal_separator: true,
            ..Default::default()
        };
        let found = glob::glob_with(&path.to_string_lossy(), options);
        found.into_iter().flatten().flatten().collect()
    }
}

/// A copy may hold what the original keeps from others.
fn write(whole: &mut Whole, copy: &Path, text: &str) -> Result<(), DriverError> {
    whole.copies.push(copy.to_owned());
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(copy);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(DriverError::file("write", copy))
}
