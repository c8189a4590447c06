//! What is packaged: the script that installs what a command of the Makefile needs, on a machine that has nothing yet; and
//! what the shipped program is linked with.

use std::{
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

/// What the script says it would install, where neither the PATH nor the system's folders hold anything of it.
fn missing(purpose: &str) -> Output {
    let path = tempfile::tempdir().unwrap();
    // A cargo is all that it asks for and does not bring; apt-get need only be there.
    for stand_in in ["cargo", "apt-get"] {
        symlink("/bin/true", path.path().join(stand_in)).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/install-deps.sh");
    let mut command = Command::new("/bin/sh");
    command.arg(script).args(["--print", purpose]).env_clear();
    command.env("PATH", path.path()).env("BACKCHAT_DEPS_FOLDERS", "").output().unwrap()
}

fn check(purpose: &str, packages: &[&str]) {
    let Output { status, stdout, stderr } = missing(purpose);
    let said = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{purpose}: {status}, {said}{}", String::from_utf8_lossy(&stderr));
    let wanted = said.lines().last().unwrap_or_default();
    let named: Vec<_> = wanted.split_whitespace().collect();
    assert!(packages.iter().all(|package| named.contains(package)), "{purpose}: {wanted}");
}

#[test]
fn a_bare_machine_is_told_all_that_is_missing() {
    check("build", &["gcc"]);
    check("demo", &["gcc", "haproxy"]);
    check("demo-nginx", &["nginx-light"]);
    check("demo-openresty", &["nginx-light"]);
    check(
        "test",
        &[
            "haproxy",
            "nginx-light",
            "iproute2",
            "nftables",
            "faketime",
            "etcd-server",
            "docker.io",
            "docker-compose",
            "debootstrap",
        ],
    );
    check("test-versions", &["haproxy", "debootstrap"]);
    check("bench", &["haproxy", "serf", "wrk", "nginx-light"]);
    check("chaos", &["haproxy", "iproute2", "nftables"]);
}

/// Copying and comparing memory as the shipped program does it, beside the C library's own way.
#[cfg(target_arch = "x86_64")]
#[test]
fn memory_is_copied_and_compared_as_the_c_library_does() {
    let folder = tempfile::tempdir().unwrap();
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let built = folder.path().join("mem_test");
    let cc = |args: &[&str], sources: &[&Path], into: &Path| {
        let status = Command::new("cc").args(args).args(sources).arg("-o").arg(into).status().unwrap();
        assert!(status.success(), "cc {args:?}");
    };
    let object = folder.path().join("mem.o");
    let flags = ["-O2", "-ffreestanding", "-fno-builtin", "-fno-tree-loop-distribute-patterns", "-c"];
    cc(&flags, &[&packaging.join("mem.c")], &object);
    cc(&["-O1", "-fno-builtin"], &[&packaging.join("mem_test.c"), &object], &built);
    let Output { status, stdout, .. } = Command::new(built).output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stdout));
}
