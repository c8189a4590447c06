//! What nginx calls a service's upstream. Pure.

use std::fmt::Write;

use backchat_contract::ServiceName;

/// The service's own name; nginx tells upper from lower case nowhere in it, so an upper-case letter is written as `~`
/// and the lower-case one: no service's name holds a `~`, so no two services share an upstream.
pub fn upstream(service: &ServiceName) -> String {
    service.as_str().chars().fold(String::new(), |mut name, c| {
        // Writing to a string does not fail.
        let _ = if c.is_ascii_uppercase() { write!(name, "~{}", c.to_ascii_lowercase()) } else { write!(name, "{c}") };
        name
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_an_upstream_each() {
        let check = |name: &str, expected: &str| assert_eq!(upstream(&name.parse().unwrap()), expected);
        check("web", "web");
        check("Web", "~web");
        check("a.B-c_0", "a.~b-c_0");
        check("MASTER", "~m~a~s~t~e~r");
    }
}
