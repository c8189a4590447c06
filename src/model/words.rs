//! What the system says, as people read it. Pure.

/// The text without the numbers of errnos, which help nobody: ` (os error 2)`.
pub fn without_errno(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(')').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_errnos_are_left_out() {
        let check = |text: &str, expected: &str| assert_eq!(without_errno(text), expected);
        check("No such file or directory (os error 2)", "No such file or directory");
        check("a (os error 2): b (os error 13), c", "a: b, c");
        check("a (os error 2", "a");
        check("a (b)", "a (b)");
        check("", "");
    }
}
