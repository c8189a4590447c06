//! What HAProxy says on standard error: a file in the run folder, so that it outlives the daemon, and the
//! only place where 2.6 says why a reload failed.

use std::{collections::HashSet, fs::File, io};

use backchat_template::log;

use crate::paths::Paths;

/// How many alerts a failure tells.
const ALERTS_MAX: usize = 4;

/// Opens the log for a process to append to.
pub(crate) fn open(paths: &Paths) -> io::Result<File> {
    log::open(&paths.log)
}

/// Empties a log that has grown long. HAProxy writes a line whenever a server goes up or down.
pub(crate) fn trim(paths: &Paths) -> io::Result<()> {
    log::trim(&paths.log)
}

/// The log's length in bytes; 0 where there is none.
pub(crate) fn len(paths: &Paths) -> u64 {
    log::len(&paths.log)
}

/// What was written behind the first `offset` bytes; empty where it cannot be read: it only explains.
pub(crate) fn since(paths: &Paths, offset: u64) -> String {
    log::since(&paths.log, offset)
}

/// The reasons among HAProxy's lines, without their prefixes: `parsing [haproxy.cfg:104] : unknown keyword…`.
/// Empty where there is none.
pub(crate) fn alerts(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("[ALERT]"));
    let mut reasons: Vec<&str> = lines.map(|line| line.split_once(") : ").map_or(line, |(_, r)| r).trim()).collect();
    // A running worker's cry about its servers explains no failed start or reload.
    reasons.retain(|reason| !reason.ends_with("has no server available!"));
    // The reply to a reload and the log say the same.
    let mut told = HashSet::new();
    reasons.retain(|reason| told.insert(*reason));
    reasons.truncate(ALERTS_MAX);
    reasons.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(alerts(text), expected);
    }

    #[test]
    fn alerts_are_told_without_their_prefix() {
        let bad = "Success=0\n--\n[NOTICE]   (4839) : haproxy version is 3.0.11\n\
            [ALERT]    (4839) : config : parsing [c.cfg:104] : unknown keyword 'foo' in 'backend' section\n\
            [ALERT]    (4839) : config : Fatal errors found in configuration.\n[WARNING]  (4839) : Loading failure!\n";
        check(
            bad,
            "config : parsing [c.cfg:104] : unknown keyword 'foo' in 'backend' section; \
            config : Fatal errors found in configuration.",
        );
        check("[WARNING]  (1) : All workers exited. Exiting... (137)\n", "");
        check("[ALERT]    (9) : backend 'web' has no server available!\n", "");
        check(&bad.repeat(2), &alerts(bad));
        check("Success=1\n", "");
    }
}
