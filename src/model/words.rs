//! What the system says, as people read it. Pure.

/// The text without the numbers of errnos, which help nobody: ` (os error 2)`.
pub fn without_errno(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(')').map_or("", |(_, rest)| rest))
}

/// What somebody who wrote `word` probably meant, of what there is.
pub fn nearest<'a, T: AsRef<str> + ?Sized + 'a>(word: &str, known: impl IntoIterator<Item = &'a T>) -> Option<&'a str> {
    let near = known.into_iter().map(|k| (strsim::osa_distance(word, k.as_ref()), k.as_ref())).min();
    near.filter(|(distance, _)| *distance <= 2).map(|(_, near)| near)
}

/// A text of somebody else's, in quotes and with what controls a terminal escaped: so many characters of it, as it may be
/// of any length. (`{text:.80?}` would show all: `Debug` knows no precision.)
pub fn quoted(text: &str, most: usize) -> String {
    format!("{:?}", text.chars().take(most).collect::<String>())
}

/// The same without quotes, for words in a sentence of ours.
pub fn escaped(text: &str, most: usize) -> String {
    let escape = |c: char| match c {
        '"' | '\'' | '\\' => c.to_string(),
        c => c.escape_debug().to_string(),
    };
    text.chars().take(most).map(escape).collect()
}

/// The first few of what may be many: `a, b and 3 more`.
pub fn first_of<T: ToString>(all: &[T], most: usize) -> String {
    let named = all.iter().take(most).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(most) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
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

    #[test]
    fn what_others_wrote_is_quoted_and_cut() {
        assert_eq!(quoted("a\"b\n\u{1b}c", 80), r#""a\"b\n\u{1b}c""#);
        assert_eq!(quoted("äöü", 2), "\"äö\"");
        assert_eq!(escaped("ä \"b\"\r\n\u{1b}[31m\u{202e}", 80), r#"ä "b"\r\n\u{1b}[31m\u{202e}"#);
        assert_eq!(escaped("\n\n\n", 2), r"\n\n");
    }

    #[test]
    fn what_is_many_is_named_in_part() {
        assert_eq!(first_of(&["a", "b"], 2), "a, b");
        assert_eq!(first_of(&["a", "b", "c", "d"], 2), "a, b and 2 more");
        assert_eq!(first_of::<String>(&[], 2), "");
    }
}
