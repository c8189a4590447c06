//! Whether a HAProxy speaks QUIC, and so HTTP/3: that is decided when it is built.

use backchat_template::ask;

/// What it was built with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quic {
    /// Nothing of it.
    #[default]
    No,
    /// By a layer above a library that has none of its own: only where it is asked for (`limited-quic`).
    Limited,
    /// By its library.
    Yes,
}

impl Quic {
    /// Asks the program, which answers at once. One that does not speaks none.
    pub fn of(program: &str) -> Self {
        Self::read(&ask(program, "-vv").unwrap_or_default())
    }

    fn read(said: &str) -> Self {
        let features = said.lines().find_map(|line| line.strip_prefix("Feature list : ")).unwrap_or_default();
        let has = |feature: &str| features.split(' ').any(|word| word == feature);
        match (has("+QUIC"), has("+QUIC_OPENSSL_COMPAT")) {
            (false, _) => Self::No,
            (true, true) => Self::Limited,
            (true, false) => Self::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 2.6, 3.0 and 3.2 of Debian say it.
    #[test]
    fn features() {
        for (said, expected) in [
            ("Feature list : -EPOLL -QUIC +RT", Quic::No),
            ("x\nFeature list : +PROMEX +QUIC +QUIC_OPENSSL_COMPAT +RT\n", Quic::Limited),
            ("Feature list : +PROMEX +QUIC -QUIC_OPENSSL_COMPAT +RT\n", Quic::Yes),
            ("", Quic::No),
        ] {
            assert_eq!(Quic::read(said), expected, "{said}");
        }
    }
}
