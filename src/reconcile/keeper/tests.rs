//! The file of the ledger: read again, torn, foreign, not writable for a while.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::model::{HostPattern, Route, ledger::Claim};

fn ledger(service: &str) -> Ledger {
    let route = Route { host: HostPattern::Any, path: "/".parse().unwrap() };
    let claim = Claim { service: service.parse().unwrap(), node: Some("web1".into()) };
    Ledger { claims: [(route, claim)].into(), ..Ledger::default() }
}

fn files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn what_is_written_is_recalled() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    assert_eq!(store.recall(Moment::ZERO), Ledger::default());
    for service in ["a", "b"] {
        store.write(&ledger(service), Moment::ZERO).unwrap();
        assert_eq!(Store::new(dir.path()).recall(Moment::ZERO), ledger(service));
    }
    assert_eq!(files(dir.path()), [FILE], "a temporary file is left");
    let mode = fs::metadata(store.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others can read it: {mode:o}");
    assert!(uptime().is_some_and(|up| up.up_ms > 0 && !up.boot.is_empty()), "{:?}", uptime());
}

/// A life before was killed over its write: nothing of it stays for ever.
#[test]
fn what_a_kill_left_of_a_write_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    // A folder in its way stands for the kill: the write gets as far as its staged file, and leaves it.
    fs::create_dir(store.path()).unwrap();
    store.write(&ledger("a"), Moment::ZERO).unwrap_err();
    assert_eq!(files(dir.path()), [FILE, "ledger.json.staged"]);
    fs::remove_dir(store.path()).unwrap();
    let torn = fs::read(dir.path().join("ledger.json.staged")).unwrap().repeat(2);
    fs::write(dir.path().join("ledger.json.staged"), torn).unwrap();
    store.write(&ledger("b"), Moment::ZERO).unwrap();
    assert_eq!(files(dir.path()), [FILE]);
    assert_eq!(store.recall(Moment::ZERO), ledger("b"));
}

#[test]
fn a_file_that_makes_no_sense_is_set_aside() {
    let whole = serde_json::to_string(&Kept::of(&ledger("a"), Moment::ZERO, None)).unwrap();
    let torn = &whole[..whole.len() / 2];
    let hostile = whole.replace("\"a\"", "\"a b\"");
    assert_ne!(hostile, whole);
    for text in ["", "{", "null", torn, &hostile, r#"{"format":"backchat.ledger/9"}"#] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        fs::write(store.path(), text).unwrap();
        assert_eq!(store.recall(Moment::ZERO), Ledger::default(), "{text}");
        assert_eq!(files(dir.path()), ["ledger.json.unreadable"], "{text}");
        assert_eq!(fs::read_to_string(dir.path().join("ledger.json.unreadable")).unwrap(), text);
        store.write(&ledger("a"), Moment::ZERO).unwrap();
        assert_eq!(store.recall(Moment::ZERO), ledger("a"));
    }
    // What is no file at all cannot be read, and is no reason not to start either.
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    fs::create_dir(store.path()).unwrap();
    assert_eq!(store.recall(Moment::ZERO), Ledger::default());
}

struct Rig {
    dir: tempfile::TempDir,
    status: watch::Sender<Arc<Status>>,
    stop: CancellationToken,
    keeper: tokio::task::JoinHandle<()>,
}

impl Rig {
    fn start(folder: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (status, seen) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        let store = Store::new(&dir.path().join(folder));
        let keeper = tokio::spawn(keep(store, seen, (Instant::now(), stop.clone())));
        Self { dir, status, stop, keeper }
    }

    fn says(&self, ledger: Ledger) {
        self.status.send_replace(Arc::new(Status { ledger: Some(Arc::new(ledger)), ..Status::default() }));
    }

    async fn holds(&self, folder: &str, ledger: &Ledger) {
        let store = Store::new(&self.dir.path().join(folder));
        // The clock is paused and the disk is not: it runs on while nothing else does.
        while store.recall(Moment::ZERO) != *ledger {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_change_is_kept_and_the_last_one_at_the_end() {
    let rig = Rig::start("");
    sleep(GAP).await;
    assert_eq!(files(rig.dir.path()), [""; 0], "nothing was adopted yet: an older file would be lost");
    rig.says(ledger("a"));
    rig.holds("", &ledger("a")).await;
    rig.says(ledger("b"));
    rig.holds("", &ledger("b")).await;
    // Within the pause after the last one.
    rig.says(ledger("c"));
    rig.stop.cancel();
    rig.keeper.await.unwrap();
    assert_eq!(Store::new(rig.dir.path()).recall(Moment::ZERO), ledger("c"));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_is_tried_again() {
    let rig = Rig::start("gone");
    rig.says(ledger("a"));
    sleep(3 * RETRY).await;
    assert!(!rig.keeper.is_finished());
    fs::create_dir(rig.dir.path().join("gone")).unwrap();
    rig.holds("gone", &ledger("a")).await;
}

/// One that only looks on reads the same, and leaves everything where it lies.
#[test]
fn a_glance_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path());
    assert_eq!(store.glance(Moment::ZERO), Ledger::default());
    assert_eq!(files(dir.path()), [""; 0]);
    store.write(&ledger("a"), Moment::ZERO).unwrap();
    assert_eq!(store.glance(Moment::ZERO), ledger("a"));
    fs::write(store.path(), "{").unwrap();
    assert_eq!(store.glance(Moment::ZERO), Ledger::default());
    assert_eq!(files(dir.path()), [FILE]);
    assert_eq!(fs::read_to_string(store.path()).unwrap(), "{");
}
