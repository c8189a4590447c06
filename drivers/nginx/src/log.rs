//! What nginx says of a configuration that it would not take, among all that it says. Pure but for the reading.

use std::collections::HashSet;

/// How many reasons a failure tells.
const MOST: usize = 4;

/// The reasons among nginx's lines, without time and pid: `bind() to 0.0.0.0:80 failed (98: Address already in use)`.
/// Empty where there is none.
pub fn emergencies(text: &str) -> String {
    let mut reasons: Vec<&str> = text.lines().filter_map(emergency).collect();
    // It tries a port five times, and the check says what the file says.
    let mut told = HashSet::new();
    reasons.retain(|reason| told.insert(*reason));
    reasons.truncate(MOST);
    reasons.join("; ")
}

/// Whether nginx has given up, by its own word: a port that is taken it tries again for 2.5 s.
pub fn gave_up(text: &str) -> bool {
    text.lines().filter_map(emergency).any(|reason| !reason.starts_with("bind() to "))
}

/// `2026/11/23 02:28:21 [emerg] 23921#23921: reason`, or on standard error `nginx: [emerg] reason`.
fn emergency(line: &str) -> Option<&str> {
    let (before, reason) = line.split_once("[emerg] ")?;
    if before.starts_with("nginx: ") {
        return Some(reason.trim());
    }
    let (ids, reason) = reason.split_once(": ")?;
    let reason =
        if ids.bytes().all(|b| b.is_ascii_digit() || b == b'#') { reason } else { line.split_once("[emerg] ")?.1 };
    Some(reason.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_once_and_without_their_prefix() {
        let check = |text: &str, told: &str, over: bool| {
            assert_eq!((emergencies(text).as_str(), gave_up(text)), (told, over), "{text}");
        };
        let bind =
            "2026/11/23 02:28:21 [emerg] 23921#23921: bind() to 0.0.0.0:80 failed (98: Address already in use)\n";
        let refused = "bind() to 0.0.0.0:80 failed (98: Address already in use)";
        check(&bind.repeat(3), refused, false);
        let over = "2026/11/23 02:28:24 [emerg] 23921#23921: still could not bind()\n";
        check(&format!("{bind}{over}"), &format!("{refused}; still could not bind()"), true);
        check(
            "nginx: [emerg] host not found in upstream \"x\" in /a.conf:4\nnginx: configuration file /a.conf test failed\n",
            "host not found in upstream \"x\" in /a.conf:4",
            true,
        );
        check("2026/11/23 02:28:21 [error] 1#1: *1 connect() failed [emerg], client: x\n", "", false);
        check("2026/11/23 02:28:21 [notice] 1#1: reconfiguring\n", "", false);
    }
}
