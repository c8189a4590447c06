//! What becomes of an edited template, with a clock of our own.

use std::fs;

use tempfile::TempDir;

use super::*;

struct Rig {
    folder: TempDir,
    templates: Templates,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("my.jinja"), "one").unwrap();
        let templates = Self::templates(&folder);
        Self { folder, templates, now: Instant::now() }
    }

    /// As a daemon in this folder begins.
    fn templates(folder: &TempDir) -> Templates {
        let path = folder.path().join("my.jinja");
        let template = Template { name: "my.jinja".into(), text: read_template(&path).unwrap() };
        Templates::followed(template, &path, folder.path().join("template.good"))
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("my.jinja")
    }

    /// One look, this many milliseconds later; what would be rendered by after it.
    async fn look(&mut self, later: u64) -> Vec<String> {
        self.now += Duration::from_millis(later);
        self.templates.look(self.now).await;
        self.templates.candidates().iter().map(|template| template.text.clone()).collect()
    }

    async fn accept(&mut self) {
        let newest = self.templates.candidates().swap_remove(0);
        self.templates.accept(&newest).await;
    }

    fn refuse(&mut self, why: &str) -> bool {
        let newest = self.templates.candidates().swap_remove(0);
        let error = DriverError::Check { file: "my.jinja:1".into(), message: why.into() };
        self.templates.refuse(&newest, &error, self.now)
    }
}

#[tokio::test]
async fn a_change_is_taken_once_it_stays() {
    let mut rig = Rig::new();
    assert_eq!(rig.look(0).await, ["one"]);
    rig.accept().await;
    fs::write(rig.path(), "").unwrap();
    assert_eq!(rig.look(0).await, ["one"]);
    assert_eq!(rig.look(50).await, ["one"], "half of what an editor writes");
    fs::write(rig.path(), "two").unwrap();
    assert_eq!(rig.look(60).await, ["one"]);
    assert_eq!(rig.look(99).await, ["one"]);
    assert_eq!(rig.look(1).await, ["two", "one"]);
    rig.accept().await;
    assert_eq!(rig.look(0).await, ["two"]);
    assert_eq!(rig.templates.trouble(7), None);
}

#[tokio::test]
async fn a_refused_one_is_left_alone_and_tried_again() {
    let mut rig = Rig::new();
    rig.accept().await;
    fs::write(rig.path(), "two").unwrap();
    rig.look(0).await;
    assert_eq!(rig.look(100).await, ["two", "one"]);
    assert!(rig.refuse("no"));
    assert_eq!(rig.look(1000).await, ["one"]);
    assert!(rig.templates.untried().is_none());
    assert_eq!(rig.templates.trouble(7).as_deref(), Some("my.jinja:1: no; generation 7 serves on"));
    assert_eq!(rig.look(9000).await, ["two", "one"], "tried again");
    assert!(rig.templates.untried().is_some_and(|(_, refused)| refused) && rig.templates.trouble(7).is_some());
    rig.refuse("did you mean 'x'?");
    assert_eq!(rig.templates.trouble(7).as_deref(), Some("my.jinja:1: did you mean 'x'? generation 7 serves on"));
    fs::write(rig.path(), "three").unwrap();
    rig.look(0).await;
    assert_eq!(rig.look(100).await, ["three", "one"], "another text is tried at once");
    assert_eq!(rig.templates.trouble(7), None);
}

#[tokio::test]
async fn what_is_undone_is_good_at_once() {
    let mut rig = Rig::new();
    rig.accept().await;
    fs::write(rig.path(), "two").unwrap();
    rig.look(0).await;
    rig.look(100).await;
    rig.refuse("no");
    fs::write(rig.path(), "one").unwrap();
    rig.look(0).await;
    assert_eq!(rig.look(100).await, ["one"]);
    assert!(rig.templates.untried().is_none() && rig.templates.trouble(7).is_none());
}

/// To load is not to check: it may hold up new connections.
#[tokio::test]
async fn one_that_could_not_be_loaded_is_left_alone_for_longer() {
    let mut rig = Rig::new();
    rig.accept().await;
    fs::write(rig.path(), "two").unwrap();
    rig.look(0).await;
    let newest = rig.look(100).await;
    assert_eq!(newest, ["two", "one"]);
    let newest = rig.templates.candidates().swap_remove(0);
    assert!(rig.templates.refuse(&newest, &DriverError::Reload { message: "no".into() }, rig.now));
    assert_eq!(rig.templates.trouble(7).as_deref(), Some("my.jinja: reload: no; generation 7 serves on"));
    assert_eq!(rig.look(59_999).await, ["one"]);
    assert_eq!(rig.look(1).await, ["two", "one"]);
}

/// Without another one to go on with, the failure is the step's.
#[tokio::test]
async fn the_only_one_is_not_refused() {
    let mut rig = Rig::new();
    assert!(!rig.refuse("no"));
    assert_eq!(rig.look(0).await, ["one"]);
    rig.accept().await;
    assert!(!rig.refuse("no"), "it is the good one itself");
    assert_eq!(rig.templates.trouble(7), None);
}

#[tokio::test]
async fn a_file_that_goes_is_said_and_may_come_back() {
    let mut rig = Rig::new();
    rig.accept().await;
    fs::remove_file(rig.path()).unwrap();
    rig.look(0).await;
    assert_eq!(rig.templates.trouble(7), None, "an editor may be about to write it");
    assert_eq!(rig.look(100).await, ["one"]);
    let trouble = rig.templates.trouble(7).unwrap();
    assert!(trouble.ends_with("my.jinja: No such file or directory; generation 7 serves on"), "{trouble}");
    fs::write(rig.path(), "one").unwrap();
    rig.look(0).await;
    assert_eq!(rig.look(100).await, ["one"]);
    assert_eq!(rig.templates.trouble(7), None);
    fs::remove_file(rig.path()).unwrap();
    fs::create_dir(rig.path()).unwrap();
    rig.look(0).await;
    rig.look(100).await;
    assert!(rig.templates.trouble(7).unwrap().contains("my.jinja: "), "a folder in its place");
}

#[tokio::test]
async fn a_refused_one_that_goes_is_said_to_be_gone() {
    let mut rig = Rig::new();
    rig.accept().await;
    fs::write(rig.path(), "two").unwrap();
    rig.look(0).await;
    rig.look(100).await;
    rig.refuse("no");
    fs::remove_file(rig.path()).unwrap();
    rig.look(0).await;
    rig.look(100).await;
    let trouble = rig.templates.trouble(7).unwrap();
    assert!(trouble.contains("No such file"), "{trouble}");
    fs::write(rig.path(), "two").unwrap();
    rig.look(0).await;
    rig.look(100).await;
    assert_eq!(rig.templates.trouble(7).as_deref(), Some("my.jinja:1: no; generation 7 serves on"));
}

/// Kubernetes mounts a folder of links, and turns the one in the middle.
#[tokio::test]
async fn a_link_that_is_turned_and_a_rename_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, text) in [("v1", "one"), ("v2", "two")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("my.jinja"), text).unwrap();
    }
    let turn = |version: &str| {
        std::os::unix::fs::symlink(version, at("..tmp")).unwrap();
        fs::rename(at("..tmp"), at("..data")).unwrap();
    };
    turn("v1");
    std::os::unix::fs::symlink("..data/my.jinja", at("my.jinja")).unwrap();
    let mut rig = Rig { templates: Rig::templates(&folder), folder, now: Instant::now() };
    rig.accept().await;
    rig.look(0).await;
    let seen =
        async |rig: &Rig, limit| tokio::time::timeout(Duration::from_millis(limit), rig.templates.changed()).await;
    assert!(seen(&rig, 500).await.is_err(), "nothing has changed");
    std::os::unix::fs::symlink("v2", rig.folder.path().join("..tmp")).unwrap();
    fs::rename(rig.folder.path().join("..tmp"), rig.folder.path().join("..data")).unwrap();
    seen(&rig, 20_000).await.unwrap();
    rig.look(0).await;
    seen(&rig, 20_000).await.expect("what was found is to be looked at again");
    assert_eq!(rig.look(100).await, ["two", "one"]);
}

#[tokio::test]
async fn a_good_one_is_there_for_the_next_daemon() {
    let mut rig = Rig::new();
    rig.accept().await;
    assert_eq!(Rig::templates(&rig.folder).candidates().len(), 1, "the same text is good");
    fs::write(rig.path(), "{{ broken").unwrap();
    rig.templates = Rig::templates(&rig.folder);
    assert_eq!(rig.look(0).await, ["{{ broken", "one"]);
    assert!(rig.refuse("no"));
    assert_eq!(rig.look(0).await, ["one"]);
}

#[test]
fn what_could_not_be_read_again_is_no_template() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    assert_eq!(read_template(&path).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    fs::write(&path, [0xff]).unwrap();
    assert_eq!(read_template(&path).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    fs::write(&path, vec![b'x'; 1024 * 1024 + 1]).unwrap();
    assert_eq!(read_template(&path).unwrap_err().to_string(), "longer than 1 MiB");
    assert!(
        read_template(std::path::Path::new("/dev/null")).unwrap_err().to_string().starts_with("not a regular file")
    );
    assert_eq!(read_template(folder.path()).unwrap_err().kind(), std::io::ErrorKind::IsADirectory);
}

/// While the structure of a new template is held, endpoints flow by the one that runs; nothing else does.
#[tokio::test]
async fn what_is_held_flows_by_the_one_that_runs() {
    let mut rig = Rig::new();
    rig.look(0).await;
    rig.accept().await;
    let step = |rig: &Rig, newest: Step<&'static str>, before: Step<&'static str>| {
        let by = |template: &Arc<Template>| Ok(if template.text == "one" { before.clone() } else { newest.clone() });
        rig.templates.step_held(by).unwrap()
    };
    let waits = || Step::Waiting { why: "approval".into(), recheck: RETRY };
    assert_eq!(step(&rig, waits(), waits()), waits(), "there is no other");
    fs::write(rig.path(), "two").unwrap();
    rig.look(0).await;
    assert_eq!(rig.look(200).await, ["two", "one"]);
    assert_eq!(step(&rig, waits(), Step::Change("endpoints")), Step::Change("endpoints"));
    assert_eq!(step(&rig, waits(), Step::Converged), waits());
    assert_eq!(step(&rig, Step::Converged, Step::Change("back")), Step::Converged, "never back to it");
    assert_eq!(step(&rig, Step::Change("all"), Step::Change("back")), Step::Change("all"));
}
