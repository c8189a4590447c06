//! The images of `packaging/docker`, built as its Dockerfile says, on a base of Debian's packages and around the program
//! under test. Tests that run at the same time share them; the last one takes them away.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::engine::{Made, docker, run};

/// In the order in which they need one another.
const TARGETS: [&str; 5] = ["built", "agent", "haproxy", "openresty", "web"];

/// All images of this run.
#[derive(Debug)]
pub(super) struct Images {
    /// What stands before the colon in their names.
    pub(super) name: String,
    _made: Vec<Made>,
}

static SHARED: Mutex<Weak<Images>> = Mutex::new(Weak::new());

/// The images, built where nobody has them.
pub(super) fn images() -> Arc<Images> {
    // A test that failed while it built has left nothing here.
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let built = Arc::new(Images::build());
        *shared = Arc::downgrade(&built);
        built
    })
}

impl Images {
    fn build() -> Self {
        let name = format!("backchat-test-{}", std::process::id());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let base = format!("{name}:base");
        // The last one that is made is the first that is taken away: images stand upon one another.
        let mut made = vec![Made::new(&["rmi", "-f", &base])];
        docker(&["import", &base_archive().display().to_string(), &base]);
        let context = context(root);
        let at = context.path().display().to_string();
        let (rust, debian) = (format!("RUST={base}"), format!("DEBIAN={base}"));
        for target in TARGETS {
            let tag = format!("{name}:{target}");
            made.insert(0, Made::new(&["rmi", "-f", &tag]));
            let file = context.path().join("packaging/docker/Dockerfile").display().to_string();
            let args = ["--build-arg", &rust, "--build-arg", &debian, "--build-arg", "PROGRAM=program"];
            docker(&[&["build", "-q", "-f", &file, "--target", target, "-t", &tag], &args[..], &[&at]].concat());
        }
        Self { name, _made: made }
    }

    /// The image of a target.
    pub(super) fn of(&self, target: &str) -> String {
        format!("{}:{target}", self.name)
    }
}

/// What a build is given: the files of `packaging/docker` and the program, without what only a debugger reads.
fn context(root: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("packaging/docker");
    fs::create_dir_all(&files).unwrap();
    for file in fs::read_dir(root.join("packaging/docker")).unwrap().flatten() {
        // A key that somebody made there is nobody's business here.
        if file.file_name() != "key" {
            fs::copy(file.path(), files.join(file.file_name())).unwrap();
        }
    }
    let program = Path::new(env!("CARGO_BIN_EXE_backchat"));
    run(Command::new("strip").arg("-o").arg(folder.path().join("program")).arg(program));
    folder
}

/// Made once, and kept with what cargo builds.
fn base_archive() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let archive = Path::new(env!("CARGO_TARGET_TMPDIR")).join("containers-bookworm.tar");
    run(Command::new(root.join("integration/containers/base.sh")).arg(&archive));
    archive
}
