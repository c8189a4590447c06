//! What one version of nginx is told otherwise than another.

use std::process::{Command, Stdio};

/// Since when HTTP/2 is a directive of its own, and a parameter of `listen` no more (nginx 1.25.1).
const DIRECTIVE: (u32, u32, u32) = (1, 25, 1);

/// How HTTP/2 is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http2 {
    /// `listen … ssl http2`.
    #[default]
    Listen,
    /// `http2 on`.
    Directive,
}

impl Http2 {
    /// Asks the program, which answers at once. One that does not is told the older way, which newer ones take with a
    /// warning.
    pub fn of(program: &str) -> Self {
        let asked = Command::new(program).arg("-v").stdin(Stdio::null()).output();
        let said = asked.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
        Self::read(&said)
    }

    fn read(said: &str) -> Self {
        let version = said.split('/').nth(1).unwrap_or_default();
        let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        if (next(), next(), next()) >= DIRECTIVE { Self::Directive } else { Self::Listen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (said, expected) in [
            ("nginx version: nginx/1.22.1\n", Http2::Listen),
            ("nginx version: nginx/1.25.0", Http2::Listen),
            ("nginx version: nginx/1.25.1 (Ubuntu)", Http2::Directive),
            ("nginx version: openresty/1.27.1.2", Http2::Directive),
            ("", Http2::Listen),
        ] {
            assert_eq!(Http2::read(said), expected, "{said}");
        }
    }
}
