//! What nginx says of a configuration that it would not take, among all that it says. Pure but for the reading.

use std::collections::HashSet;

/// How it begins that Lua failed which runs before there are workers.
const LUA: [&str; 2] = ["init_by_lua error: ", "init_by_lua_file error: "];

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

/// `2026/11/23 02:28:21 [emerg] 23921#23921: reason`, or on standard error `nginx: [emerg] reason`. Lua that fails before
/// there are workers ends a start or a reload too, and is no emergency to nginx but an error; `nginx -t` does not run it.
fn emergency(line: &str) -> Option<&str> {
    let Some((before, said)) = line.split_once("[emerg] ") else {
        let (_, said) = line.split_once("[error] ")?;
        return Some(without_ids(said)).filter(|reason| LUA.iter().any(|begins| reason.starts_with(begins)));
    };
    Some(if before.starts_with("nginx: ") { said.trim() } else { without_ids(said) })
}

/// What was said, without the process and thread before it.
fn without_ids(said: &str) -> &str {
    let reason = said.split_once(": ").filter(|(ids, _)| ids.bytes().all(|b| b.is_ascii_digit() || b == b'#'));
    reason.map_or(said, |(_, reason)| reason).trim()
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
        let lua = "init_by_lua error: init_by_lua(nginx.conf:48):2: '=' expected near 'bar'";
        check(&format!("2026/11/23 02:28:21 [error] 7#7: {lua}\n"), lua, true);
        let file = "init_by_lua_file error: cannot open /etc/nginx/init.lua";
        check(&format!("2026/11/23 02:28:21 [error] 7#7: {file}\n"), file, true);
        check("2026/11/23 02:28:21 [error] 7#7: *1 lua entry thread aborted: x: init_by_lua error: y\n", "", false);
        check("2026/11/23 02:28:21 [error] 1#1: *1 connect() failed [emerg], client: x\n", "", false);
        check("2026/11/23 02:28:21 [notice] 1#1: reconfiguring\n", "", false);
    }
}
