//! Which files under the operator's paths make up which certificate. It looks at names and never into a file.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use backchat_contract::CertName;

/// The files of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Chain.
    pub(super) chain: PathBuf,
    /// Key; the same where one file has both.
    pub(super) key: PathBuf,
    /// What tells another content.
    stamps: [Option<Stamp>; 2],
}

/// A file's number, length and last change. Another file in its place has another number.
type Stamp = (u64, u64, i64, i64);

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// By the name that the files give it.
    pub(super) found: BTreeMap<CertName, Found>,
    /// The first of the first path.
    pub(super) first: Option<CertName>,
    /// What is no certificate and should be one.
    pub(super) troubles: Vec<String>,
    /// Paths of which it is not known what is there.
    pub(super) unknown: Vec<PathBuf>,
}

/// Looks through the paths in their order. Blocks on the disk.
pub(super) fn find(paths: &[PathBuf]) -> Findings {
    let mut findings = Findings::default();
    for path in paths {
        findings.look(path);
    }
    findings
}

impl Findings {
    fn look(&mut self, path: &Path) {
        let what = fs::metadata(path).and_then(|m| if m.is_dir() { entries(path).map(Some) } else { Ok(None) });
        match what {
            Ok(None) => self.file(path),
            Ok(Some(files)) => self.folder(path, &files),
            Err(error) => {
                self.troubles.push(format!("{}: {error}", path.display()));
                self.unknown.push(path.to_owned());
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let key = if has_end(path, "crt") { path.with_extension("key") } else { path.to_owned() };
        self.add(&stem(path), path.to_owned(), key);
    }

    /// Of the rest of a folder nothing is said: chains and readme files lie there, too.
    fn folder(&mut self, folder: &Path, files: &[PathBuf]) {
        let [chain, key] = ["fullchain.pem", "privkey.pem"].map(|name| folder.join(name));
        if files.contains(&chain) && files.contains(&key) {
            // As certbot lays them out: the folder has the name.
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return self.add(&name, chain, key);
        }
        for file in files.iter().filter(|file| has_end(file, "pem") || has_end(file, "crt")) {
            self.file(file);
        }
    }

    fn add(&mut self, name: &str, chain: PathBuf, key: PathBuf) {
        let name: CertName = match name.parse() {
            Ok(name) => name,
            Err(error) => {
                return self.troubles.push(format!("{}: rename it: {error}; it is not shown", chain.display()));
            }
        };
        if let Some(other) = self.found.get(&name) {
            let other = other.chain.display();
            return self.troubles.push(format!("{}: {other} is called {name} too, and is shown", chain.display()));
        }
        self.first.get_or_insert_with(|| name.clone());
        let stamps = [stamp(&chain), stamp(&key)];
        self.found.insert(name, Found { chain, key, stamps });
    }
}

/// Sorted; hidden files are editors' and Kubernetes' own.
fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|file| !file.file_name().unwrap_or_default().as_encoded_bytes().starts_with(b"."));
    files.sort();
    Ok(files)
}

fn has_end(path: &Path, end: &str) -> bool {
    path.extension().is_some_and(|extension| extension == end)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().map(|m| (m.ino(), m.len(), m.mtime(), m.mtime_nsec()))
}
