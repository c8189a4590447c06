//! Sets of files on a real folder: placed at once, taken back whole, old files taken in.

use std::os::unix::fs::MetadataExt;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn set(&self) -> FileSet {
        FileSet::new(self.0.path())
    }

    fn place(&self, cfg: &str, map: &str) -> PlacedSet {
        self.set().stage(&[("a.cfg", cfg.as_bytes()), ("a.map", map.as_bytes())]).unwrap().place().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What the places say; nothing where there is none.
    fn says(&self) -> [String; 2] {
        ["a.cfg", "a.map"].map(|name| fs::read_to_string(self.path(name)).unwrap_or_default())
    }

    /// How many sets there are.
    fn sets(&self) -> usize {
        self.set().numbered().len()
    }
}

#[test]
fn a_first_set_and_the_way_back_to_none() {
    let folder = Folder::new();
    let placed = folder.place("one", "1");
    assert_eq!(folder.says(), ["one", "1"]);
    assert_eq!(fs::metadata(folder.path("a.cfg")).unwrap().permissions().mode() & 0o777, MODE);
    placed.roll_back().unwrap();
    assert_eq!((folder.says(), folder.sets()), (["", ""].map(String::from), 0));
}

#[test]
fn the_set_before_is_kept_and_comes_back() {
    let folder = Folder::new();
    for (cfg, map) in [("one", "1"), ("two", "2"), ("three", "3")] {
        drop(folder.place(cfg, map));
    }
    fs::set_permissions(folder.path("a.cfg"), Permissions::from_mode(0o640)).unwrap();
    let placed = folder.place("four", "4");
    assert_eq!(fs::metadata(folder.path("a.cfg")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_to_string(folder.set().last_good("a.map")).unwrap(), "3");
    assert_eq!((folder.says(), folder.sets()), (["four", "4"].map(String::from), 2));
    placed.roll_back().unwrap();
    assert_eq!((folder.says(), folder.sets()), (["three", "3"].map(String::from), 1));
}

#[test]
fn what_is_only_staged_leaves_nothing_behind() {
    let folder = Folder::new();
    drop(folder.place("one", "1"));
    // A crash left these: they are in nobody's way, and go.
    fs::create_dir(folder.path("files/7")).unwrap();
    symlink("7", folder.path("files/current.new")).unwrap();
    let staged = folder.set().stage(&[("a.cfg", b"two"), ("a.map", b"1")]).unwrap();
    assert_eq!(fs::read(staged.path("a.cfg")).unwrap(), b"two");
    drop(staged);
    assert_eq!((folder.says(), folder.sets()), (["one", "1"].map(String::from), 1));
    drop(folder.place("two", "2"));
    assert_eq!(folder.says(), ["two", "2"]);
}

#[test]
fn what_stays_is_not_written_again() {
    let folder = Folder::new();
    let inode = |name| fs::metadata(folder.path(name)).unwrap().ino();
    drop(folder.place("one", "1"));
    let before = (inode("a.cfg"), inode("a.map"));
    drop(folder.place("one", "1"));
    assert_eq!((inode("a.cfg"), inode("a.map"), folder.sets()), (before.0, before.1, 1));
    drop(folder.place("two", "1"));
    assert_eq!(inode("a.map"), before.1);
    assert_eq!(fs::read_to_string(folder.set().last_good("a.cfg")).unwrap(), "one");
}

/// A set that is there already, but was not loaded: the way back is to the one before it all the same.
#[test]
fn the_way_back_of_what_a_crash_had_placed() {
    let folder = Folder::new();
    drop(folder.place("one", "1"));
    drop(folder.place("two", "2"));
    folder.place("two", "2").roll_back().unwrap();
    assert_eq!(folder.says(), ["one", "1"]);
}

#[test]
fn files_put_there_by_hand_are_taken_in() {
    let folder = Folder::new();
    fs::write(folder.path("a.cfg"), "mine").unwrap();
    drop(folder.place("one", "1"));
    assert_eq!(folder.says(), ["one", "1"]);
    assert_eq!(fs::read_to_string(folder.set().last_good("a.cfg")).unwrap(), "mine");
    // As an editor saves that writes beside and renames.
    fs::remove_file(folder.path("a.cfg")).unwrap();
    fs::write(folder.path("a.cfg"), "edited").unwrap();
    let placed = folder.place("two", "2");
    assert_eq!(folder.says(), ["two", "2"]);
    placed.roll_back().unwrap();
    assert_eq!(folder.says(), ["edited", "1"]);
}

#[test]
fn falling_back_brings_the_whole_set() {
    let folder = Folder::new();
    folder.set().fall_back().unwrap_err();
    drop(folder.place("one", "1"));
    drop(folder.place("two", "2"));
    fs::remove_file(folder.path("a.cfg")).unwrap();
    folder.set().fall_back().unwrap();
    assert_eq!(folder.says(), ["one", "1"]);
}

/// A file that the next set has not leaves no link behind, and is back with the set that has it.
#[test]
fn what_goes_goes_with_its_place() {
    let folder = Folder::new();
    let both: [(&str, &[u8]); 2] = [("a.cfg", b"one"), ("key.pem", b"secret")];
    drop(folder.set().stage(&both).unwrap().place().unwrap());
    let mode = fs::metadata(folder.path("key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let placed = folder.set().stage(&[("a.cfg", b"two")]).unwrap().place().unwrap();
    assert!(!folder.path("key.pem").is_symlink());
    placed.roll_back().unwrap();
    assert_eq!(fs::read_to_string(folder.path("key.pem")).unwrap(), "secret");
    drop(folder.set().stage(&[("a.cfg", b"two")]).unwrap().place().unwrap());
    folder.set().fall_back().unwrap();
    assert_eq!(fs::read_to_string(folder.path("key.pem")).unwrap(), "secret");
}

#[test]
fn a_place_that_was_removed_comes_back() {
    let folder = Folder::new();
    drop(folder.place("one", "1"));
    fs::remove_file(folder.path("a.map")).unwrap();
    folder.set().mend().unwrap();
    assert_eq!(folder.says(), ["one", "1"]);
    assert!(!folder.path("a.other").is_symlink());
}

#[test]
fn errors_name_the_file() {
    let error = FileSet::new(Path::new("/proc/nowhere")).stage(&[("a.cfg", b"one")]).unwrap_err().to_string();
    assert!(error.starts_with("make /proc/nowhere/files: "), "{error}");
}
