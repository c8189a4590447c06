//! Times as people say them.

/// For how long: `0s`, `5m`, `3h`, `2d`.
pub(super) fn since(ms: u64) -> String {
    match ms / 1000 {
        s @ 0..60 => format!("{s}s"),
        s @ 60..3600 => format!("{}m", s / 60),
        s @ 3600..86400 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86400),
    }
}

/// How long ago: `0.3 s ago`, `12 s ago`, `5 min ago`, `3 h ago`.
pub(super) fn ago(ms: u64) -> String {
    match ms / 1000 {
        s @ 0..10 => format!("{s}.{} s ago", ms % 1000 / 100),
        s @ 10..120 => format!("{s} s ago"),
        s @ 120..7200 => format!("{} min ago", s / 60),
        s @ 7200..172_800 => format!("{} h ago", s / 3600),
        s => format!("{} days ago", s / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ms: u64, expected_since: &str, expected_ago: &str) {
        assert_eq!((since(ms).as_str(), ago(ms).as_str()), (expected_since, expected_ago), "{ms}");
    }

    #[test]
    fn one_unit_is_enough() {
        check(0, "0s", "0.0 s ago");
        check(349, "0s", "0.3 s ago");
        check(9_999, "9s", "9.9 s ago");
        check(10_000, "10s", "10 s ago");
        check(119_000, "1m", "119 s ago");
        check(120_000, "2m", "2 min ago");
        check(3_600_000, "1h", "60 min ago");
        check(86_400_000, "1d", "24 h ago");
        check(172_800_000, "2d", "2 days ago");
    }
}
