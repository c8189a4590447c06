//! Paths that every parser reads alike: an engine's configuration, its socket's commands, its arguments. What else would
//! need quoting, they quote differently. Pure.

use std::path::Path;

use backchat_contract::DriverError;

/// What [`is_plain`] asks for.
pub const PLAIN: &str = "use an absolute path of letters, digits and / . _ - + @";

/// A unix socket's address holds so many bytes.
const SOCKET_MAX: usize = 107;

/// Whether a path is absolute, and one word that needs no quotes.
pub fn is_plain(path: &Path) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._-+@".contains(b);
    path.is_absolute() && path.as_os_str().as_encoded_bytes().iter().all(plain)
}

/// Refuses a run folder whose name is not plain, or too long for a socket of this name in it.
pub fn check_run_folder(folder: &Path, longest_socket: &str) -> Result<(), DriverError> {
    let refuse = |rule: &str| Err(DriverError::Unsupported(format!("run folder {}: {rule}", folder.display())));
    if !is_plain(folder) {
        return refuse(PLAIN);
    }
    if folder.join(longest_socket).as_os_str().len() > SOCKET_MAX {
        return refuse("too long for a unix socket; choose a shorter one");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(folder: &str, taken: bool) {
        assert_eq!(check_run_folder(Path::new(folder), "engine.sock").is_ok(), taken, "{folder}");
    }

    #[test]
    fn folders() {
        check("/run/backchat/proxy-1", true);
        check("run", false);
        check("/run/my proxy", false);
        check("/run/a,b", false);
        check("/run/a;b", false);
        check("/run/${HOME}", false);
        check(&format!("/{}", "a".repeat(94)), true);
        check(&format!("/{}", "a".repeat(95)), false);
    }
}
