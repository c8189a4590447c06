//! The part of nginx that passes bytes on: built in, or a module that lies beside it.

use std::path::{Path, PathBuf};

use backchat_contract::DriverError;
use backchat_template::ask;

/// The module to load for it; none where it is built in.
///
/// # Errors
/// Where this program has neither.
pub fn module(program: &str) -> Result<Option<PathBuf>, DriverError> {
    let said = ask(program, "-V").map_err(|message| DriverError::Start { program: program.to_owned(), message })?;
    found(&said, Path::exists).ok_or_else(|| {
        let remedy = "install libnginx-mod-stream or nginx-full";
        DriverError::Unsupported(format!("listen for TCP: {program} has no stream module; {remedy}"))
    })
}

/// `None` where there is none; a path where it is to be loaded.
#[expect(clippy::option_option, reason = "there, and to be loaded or not")]
fn found(said: &str, is_there: impl Fn(&Path) -> bool) -> Option<Option<PathBuf>> {
    let words = || said.split_whitespace();
    if words().any(|word| word == "--with-stream") {
        return Some(None);
    }
    let argument = |name: &str| words().find_map(|word| word.strip_prefix(name));
    // As nginx's own ./configure has it.
    let built = || Path::new(argument("--prefix=").unwrap_or("/usr/local/nginx")).join("modules");
    let folder = argument("--modules-path=").map_or_else(built, PathBuf::from);
    let path = folder.join("ngx_stream_module.so");
    is_there(&path).then_some(Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_or_beside() {
        let path = PathBuf::from("/m/ngx_stream_module.so");
        let dynamic = "configure arguments: --modules-path=/m --with-stream=dynamic";
        assert_eq!(found("configure arguments: --with-stream --with-x", |_| false), Some(None));
        assert_eq!(found(dynamic, |there| there == path), Some(Some(path.clone())));
        assert_eq!(found(dynamic, |_| false), None);
    }
}
