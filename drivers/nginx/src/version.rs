//! What one nginx is told otherwise than another, by its version and by what it was built with.

use backchat_template::ask;

/// Since when HTTP/2 is a directive of its own, and a parameter of `listen` no more (nginx 1.25.1).
const DIRECTIVE: (u32, u32, u32) = (1, 25, 1);

/// What it speaks over TLS, beside HTTP/1.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speaks {
    /// How HTTP/2 is asked for.
    pub http2: Http2,
    /// Whether it was built with HTTP/3.
    pub http3: bool,
}

/// How HTTP/2 is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http2 {
    /// `listen … ssl http2`.
    #[default]
    Listen,
    /// `http2 on`.
    Directive,
}

impl Speaks {
    /// Asks the program, which answers at once. One that does not is told the older way, which newer ones take with a
    /// warning.
    pub fn of(program: &str) -> Self {
        Self::read(&ask(program, "-V").unwrap_or_default())
    }

    fn read(said: &str) -> Self {
        let version = said.lines().next().unwrap_or_default().split('/').nth(1).unwrap_or_default();
        let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        let http2 = if (next(), next(), next()) >= DIRECTIVE { Http2::Directive } else { Http2::Listen };
        Self { http2, http3: said.split_whitespace().any(|word| word == "--with-http_v3_module") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (said, http2, http3) in [
            ("nginx version: nginx/1.22.1\nconfigure arguments: --with-http_v2_module\n", Http2::Listen, false),
            ("nginx version: nginx/1.25.0", Http2::Listen, false),
            (
                "nginx version: nginx/1.25.1 (Ubuntu)\nconfigure arguments: --with-http_v3_module",
                Http2::Directive,
                true,
            ),
            ("nginx version: openresty/1.27.1.2\nconfigure arguments: --prefix=/1/2/3", Http2::Directive, false),
            ("", Http2::Listen, false),
        ] {
            assert_eq!(Speaks::read(said), Speaks { http2, http3 }, "{said}");
        }
    }
}
