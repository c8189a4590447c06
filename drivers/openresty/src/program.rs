//! Which program has Lua: OpenResty, where it is built in, or an nginx beside which the module lies.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use backchat_contract::DriverError;
use backchat_nginx::runner::program_of;
use backchat_template::{CommandError, run};
use tokio::process::Command;

/// Where it is looked for, the first that has Lua is taken: by name in PATH, or where OpenResty installs itself, by
/// either of its names.
const CANDIDATES: &[&str] =
    &["openresty", "/usr/local/openresty/bin/openresty", "/usr/local/openresty/nginx/sbin/nginx", "nginx"];

/// How long a program may take to say what it is.
const LIMIT: Duration = Duration::from_secs(5);

/// A program that has Lua, or will have once its modules are loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The binary: a path, or a name looked up in PATH.
    pub program: String,
    /// What must be loaded, in this order; nothing where Lua is built in.
    pub modules: Vec<PathBuf>,
}

/// Finds the program: the one that was named, or the first of the usual ones. The error says what to install.
pub async fn find(named: Option<&str>) -> Result<Program, DriverError> {
    Places::default().find(named).await
}

/// Finds a program for one who needs no Lua: the one that was named, or the first of the usual ones that is here.
pub async fn find_any(named: Option<&str>) -> Result<String, DriverError> {
    Places::default().find_any(named).await
}

/// Finds the program of one that somebody else runs: the one that was named, or what its master was started from; one
/// that does not run yet is taken for the first of the usual ones that is here.
pub async fn find_theirs(named: Option<&str>, pid_file: &Path) -> Result<String, DriverError> {
    match program_of(pid_file).filter(|_| named.is_none()) {
        Some(running) => Ok(running.display().to_string()),
        None => find_any(named).await,
    }
}

/// Where the usual ones are looked for: this machine's root and PATH, unless a test has its own.
#[derive(Default)]
struct Places<'a> {
    root: Option<&'a Path>,
    path: Option<&'a OsStr>,
}

impl Places<'_> {
    async fn find(&self, named: Option<&str>) -> Result<Program, DriverError> {
        let (candidates, mut without_lua) = (self.candidates(named), Vec::new());
        for program in &candidates {
            let Some(said) = self.version(program).await? else { continue };
            match modules(&said, Path::is_file) {
                Some(modules) => return Ok(Program { program: program.clone(), modules }),
                None => without_lua.push(program.as_str()),
            }
        }
        let what = match without_lua[..] {
            [] => format!("none of {} is here", candidates.join(", ")),
            _ => format!("{} has no Lua module", without_lua.join(", ")),
        };
        let remedy = "install OpenResty, or beside nginx the package libnginx-mod-http-lua; or do without Lua \
                      (--openresty-mode reload)";
        Err(DriverError::Unsupported(format!("find an openresty: {what}; {remedy}")))
    }

    async fn find_any(&self, named: Option<&str>) -> Result<String, DriverError> {
        let candidates = self.candidates(named);
        for program in &candidates {
            if self.version(program).await?.is_some() {
                return Ok(program.clone());
            }
        }
        let looked_for = candidates.join(", ");
        Err(DriverError::Unsupported(format!("find an openresty: none of {looked_for} is here; install one")))
    }

    fn candidates(&self, named: Option<&str>) -> Vec<String> {
        let below = |usual: &&str| match (self.root, usual.strip_prefix('/')) {
            (Some(root), Some(place)) => root.join(place).display().to_string(),
            _ => (*usual).to_owned(),
        };
        named.map_or_else(|| CANDIDATES.iter().map(below).collect(), |named| vec![named.to_owned()])
    }

    /// What a program says of itself; `None` where there is none of that name.
    async fn version(&self, program: &str) -> Result<Option<String>, DriverError> {
        let mut command = Command::new(program);
        command.arg("-V");
        if let Some(path) = self.path {
            command.env("PATH", path);
        }
        match run(command, LIMIT).await {
            Ok(output) => Ok(Some(output.stderr)),
            Err(CommandError::Start { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DriverError::Start { program: program.to_owned(), message: error.to_string() }),
        }
    }
}

/// The modules that bring Lua, by what `-V` says; `None` where there is none.
fn modules(said: &str, is_there: impl Fn(&Path) -> bool) -> Option<Vec<PathBuf>> {
    if said.contains("nginx version: openresty/") || said.contains("/ngx_lua") {
        return Some(Vec::new());
    }
    let argument = |name: &str| said.split_whitespace().find_map(|word| word.strip_prefix(name));
    // As nginx's own ./configure has it.
    let built = || Path::new(argument("--prefix=").unwrap_or("/usr/local/nginx")).join("modules");
    let folder = argument("--modules-path=").map_or_else(built, PathBuf::from);
    // Lua needs what the other one brings, where that is no part of nginx itself.
    let [ndk, lua] = ["ndk_http_module.so", "ngx_http_lua_module.so"].map(|name| folder.join(name));
    is_there(&lua).then(|| [ndk, lua].into_iter().filter(|path| is_there(path)).collect())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    const LUA: [&str; 2] = ["ndk_http_module.so", "ngx_http_lua_module.so"];

    fn check(said: &str, files: &[&str], expected: Option<&[&str]>) {
        let found = modules(said, |path| files.contains(&path.to_str().unwrap()));
        assert_eq!(found, expected.map(|list| list.iter().map(PathBuf::from).collect()), "{said}");
    }

    #[test]
    fn lua_is_built_in_or_lies_beside() {
        check("nginx version: openresty/1.27.1.2\nconfigure arguments: --prefix=/x\n", &[], Some(&[]));
        check("nginx version: nginx/1.22.1\nconfigure arguments: --add-module=../ngx_lua-0.10.21\n", &[], Some(&[]));
        let (ndk, lua) = ("/m/ndk_http_module.so", "/m/ngx_http_lua_module.so");
        let said = "nginx version: nginx/1.22.1\nconfigure arguments: --with-cc-opt='-O2 -g' --modules-path=/m --x\n";
        check(said, &[lua, ndk], Some(&[ndk, lua]));
        check(said, &[lua], Some(&[lua]));
        check(said, &[ndk], None);
        let lua = "/usr/share/nginx/modules/ngx_http_lua_module.so";
        check("configure arguments: --prefix=/usr/share/nginx\n", &[lua], Some(&[lua]));
        check("configure arguments:\n", &["/usr/local/nginx/modules/ngx_http_lua_module.so"], {
            Some(&["/usr/local/nginx/modules/ngx_http_lua_module.so"])
        });
    }

    /// A program that says this of itself.
    fn fake(path: &Path, says: &str) -> String {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("#!/bin/sh\n[ \"$1\" = -V ] && echo '{says}' >&2\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
        // A process that another test starts just now has it open, until it has become what it is to be.
        let run = || std::process::Command::new(path).output();
        while run().is_err_and(|error| error.kind() == io::ErrorKind::ExecutableFileBusy) {}
        path.to_str().unwrap().to_owned()
    }

    const OPENRESTY: &str = "nginx version: openresty/1.27.1.2";
    const PLAIN: &str = "nginx version: nginx/1.22.1 --modules-path=/nowhere";

    /// Where OpenResty's own packages and its `make install` put it, in PATH or not, before any nginx.
    #[tokio::test]
    async fn openresty_is_found_where_it_installs_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (root, bin) = (folder.path(), folder.path().join("bin"));
        let places = Places { root: Some(root), path: Some(bin.as_os_str()) };
        let found = async || places.find(None).await.map(|found| (found.program, found.modules));
        let error = found().await.unwrap_err().to_string();
        let [ours, theirs] = ["usr/local/openresty/bin/openresty", "usr/local/openresty/nginx/sbin/nginx"]
            .map(|place| root.join(place).to_str().unwrap().to_owned());
        assert!(error.contains(&format!("none of openresty, {ours}, {theirs}, nginx is here")), "{error}");

        fake(&bin.join("nginx"), PLAIN);
        let error = found().await.unwrap_err().to_string();
        assert!(error.contains("nginx has no Lua module; install"), "{error}");
        assert_eq!(places.find_any(None).await.unwrap(), "nginx");

        // Each that comes is one that is looked for earlier.
        for (place, expected) in [(&theirs, theirs.as_str()), (&ours, &ours), (&"bin/openresty".into(), "openresty")] {
            fake(&root.join(place), OPENRESTY);
            assert_eq!(found().await.unwrap(), (expected.to_owned(), Vec::new()));
            assert_eq!(places.find_any(None).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn the_first_that_has_lua_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        let places = Places { root: Some(folder.path()), path: Some(bin.as_os_str()) };
        fake(&bin.join("openresty"), PLAIN);
        let modules: Vec<PathBuf> = LUA.iter().map(|name| folder.path().join(name)).collect();
        for path in &modules {
            fs::write(path, "").unwrap();
        }
        let said = format!("nginx version: nginx/1.22.1 --modules-path={}", folder.path().display());
        let beside = fake(&bin.join("nginx"), &said);
        let expected = Program { program: "nginx".into(), modules: modules.clone() };
        assert_eq!(places.find(None).await.unwrap(), expected);
        assert_eq!(places.find(Some(&beside)).await.unwrap(), Program { program: beside, modules });
        assert_eq!(places.find_any(None).await.unwrap(), "openresty");

        let missing = folder.path().join("missing").to_str().unwrap().to_owned();
        let error = places.find_any(Some(&missing)).await.unwrap_err().to_string();
        assert!(error.ends_with(&format!("none of {missing} is here; install one")), "{error}");
        let plain = fake(&folder.path().join("plain"), PLAIN);
        assert_eq!(find_any(Some(&plain)).await.unwrap(), plain);
        let error = find(Some(&plain)).await.unwrap_err().to_string();
        assert!(error.contains(&format!("{plain} has no Lua module; install")), "{error}");
        assert!(error.contains("libnginx-mod-http-lua"), "{error}");
        let error = find(Some(&missing)).await.unwrap_err().to_string();
        assert!(error.contains(&format!("none of {missing} is here")), "{error}");
    }

    /// Whoever runs, or does not: who was named counts, and a pid file of nobody's says nothing.
    #[tokio::test]
    async fn theirs_is_the_one_that_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let (pid_file, plain) = (folder.path().join("pid"), fake(&folder.path().join("plain"), PLAIN));
        fs::write(&pid_file, std::process::id().to_string()).unwrap();
        assert_eq!(find_theirs(Some(&plain), &pid_file).await.unwrap(), plain);
        let usual = find_any(None).await.map_err(|error| error.to_string());
        assert_eq!(find_theirs(None, &pid_file).await.map_err(|error| error.to_string()), usual);
    }

    #[tokio::test]
    async fn what_cannot_be_run_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        fs::write(&path, "data").unwrap();
        let error = find(Some(path.to_str().unwrap())).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("start {}: ", path.display())), "{error}");
    }
}
