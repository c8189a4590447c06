//! A file that is edited in every way that people and machines edit one.

use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};

use super::*;

/// Far beyond what any of it needs.
const PATIENCE: Duration = Duration::from_secs(20);

struct Watched {
    folder: TempDir,
    path: PathBuf,
    seen: watch::Receiver<Arc<Snapshot>>,
    task: JoinHandle<()>,
}

impl Watched {
    fn start(folder: TempDir, file: &str) -> Self {
        let path = folder.path().join(file);
        let (seen, following) = watch(path.clone(), Format::Toml, "file:s".into(), CancellationToken::new());
        let task = tokio::spawn(following);
        Self { folder, path, seen, task }
    }

    async fn until(&mut self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let came = timeout(PATIENCE, self.seen.wait_for(|seen| wanted(seen))).await;
        let found = came.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}")).unwrap().clone();
        assert_eq!(&*found.source, "file:s");
        found
    }

    async fn lists(&mut self, names: &[&str]) {
        let wanted = |seen: &Snapshot| seen.trouble.is_none() && listed(seen) == names;
        assert!(self.until(&format!("{names:?}"), wanted).await.synced);
    }

    async fn troubled(&mut self, words: &str) -> Arc<Snapshot> {
        self.until(words, |seen| seen.trouble.as_ref().is_some_and(|why| why.contains(words))).await
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn listed(seen: &Snapshot) -> Vec<&str> {
    seen.services.keys().map(crate::model::ServiceName::as_str).collect()
}

fn text(names: &[&str]) -> String {
    let services: Vec<_> = names.iter().map(|name| format!("[services.{name}]\n")).collect();
    format!("[services]\n{}", services.concat())
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn every_way_to_edit_is_seen() {
    let mut file = Watched::start(folder(), "s.toml");
    let seen = file.troubled("No such file").await;
    assert!(!seen.synced, "nothing was listed yet");

    fs::write(&file.path, text(&["a"])).unwrap();
    file.lists(&["a"]).await;

    // By a rename, as most editors do.
    let other = file.folder.path().join("other");
    fs::write(&other, text(&["a", "b"])).unwrap();
    fs::rename(&other, &file.path).unwrap();
    file.lists(&["a", "b"]).await;

    // In place, to the same length.
    fs::write(&file.path, text(&["a", "c"])).unwrap();
    file.lists(&["a", "c"]).await;

    // Nothing is listed, and that is said.
    fs::write(&file.path, text(&[])).unwrap();
    file.lists(&[]).await;
}

#[tokio::test]
async fn what_was_listed_stays_until_the_file_is_well_again() {
    let mut file = Watched::start(folder(), "s.toml");
    fs::write(&file.path, text(&["a", "b"])).unwrap();
    file.lists(&["a", "b"]).await;
    for (content, words) in [("[services.a]\nhost = []", "s.toml:2:1: unknown key 'host'"), ("", "no 'services' in it")]
    {
        fs::write(&file.path, content).unwrap();
        let seen = file.troubled(words).await;
        assert_eq!((seen.synced, listed(&seen)), (true, vec!["a", "b"]));
    }
    fs::remove_file(&file.path).unwrap();
    let seen = file.troubled("No such file").await;
    assert_eq!((seen.synced, listed(&seen)), (true, vec!["a", "b"]));
    // The same as before is good news all the same.
    fs::write(&file.path, text(&["a", "b"])).unwrap();
    file.lists(&["a", "b"]).await;
}

/// As Kubernetes shows a `ConfigMap`: the file is a link through a link to a folder, and that link is turned.
#[tokio::test]
async fn a_link_that_is_turned_is_an_edit() {
    let root = folder();
    for (version, names) in [("v1", &["a"][..]), ("v2", &["a", "b"])] {
        fs::create_dir(root.path().join(version)).unwrap();
        fs::write(root.path().join(version).join("s.toml"), text(names)).unwrap();
    }
    symlink("v1", root.path().join("..data")).unwrap();
    symlink("..data/s.toml", root.path().join("s.toml")).unwrap();
    let mut file = Watched::start(root, "s.toml");
    file.lists(&["a"]).await;
    let (next, data) = (file.folder.path().join("..next"), file.folder.path().join("..data"));
    symlink("v2", &next).unwrap();
    fs::rename(next, data).unwrap();
    file.lists(&["a", "b"]).await;
}

#[test]
fn what_cannot_be_read_again_is_no_file() {
    let root = folder();
    let said = |path: &Path| read::read(path).unwrap_err().to_string();
    assert!(said(root.path()).ends_with("not a regular file, which could be read again"));
    assert!(said(Path::new("/dev/zero")).ends_with("not a regular file, which could be read again"));
    let large = root.path().join("large");
    fs::File::create(&large).unwrap().set_len((16 << 20) + 1).unwrap();
    assert!(said(&large).ends_with("longer than 16 MiB"));
}

/// What is seen once only, as half a file is while it is written, is not taken.
#[test]
fn what_does_not_stay_is_not_taken() {
    let (sender, seen) = watch::channel(Arc::new(Snapshot { source: "file:s".into(), ..Snapshot::default() }));
    let mut follower = Follower { path: "s.toml".into(), format: Format::Toml, sender, taken: None, fresh: None };
    let mut look = |names: &[&str]| {
        follower.look(Ok(text(names).into_bytes()));
        listed(&seen.borrow()).join(" ")
    };
    assert_eq!(look(&["a", "b"]), "");
    assert_eq!(look(&["a", "b"]), "a b");
    assert_eq!(look(&["a"]), "a b");
    assert_eq!(look(&["a", "c"]), "a b");
    assert_eq!(look(&["a", "b"]), "a b");
    assert_eq!(look(&["a", "c"]), "a b", "it was not seen twice in a row");
    assert_eq!(look(&["a", "c"]), "a c");
}
