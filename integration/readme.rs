//! The README as tests read it: what stands below a heading, and the blocks in it.

/// All of it.
pub(crate) fn text() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// What stands below a heading, which is given with its signs (`## Cookbook`), up to the next one of its kind.
pub(crate) fn below<'a>(text: &'a str, heading: &str) -> &'a str {
    let signs = heading.split(' ').next().unwrap_or_default();
    let (_, rest) = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("README.md: no '{heading}'"));
    rest.split(&format!("\n{signs} ")).next().unwrap_or(rest)
}

/// A fenced block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    /// What stands behind the fence: `sh`.
    pub(crate) language: &'a str,
    /// Its lines.
    pub(crate) text: &'a str,
}

/// The blocks of a text, in their order.
pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut parts = text.split("\n```");
    let mut blocks = Vec::new();
    // Outside of a block and inside take turns.
    while let (Some(_), Some(inside)) = (parts.next(), parts.next()) {
        let (language, text) = inside.split_once('\n').expect("a fence ends its line");
        blocks.push(Block { language, text });
    }
    blocks
}

#[test]
fn blocks_are_found() {
    let text = "a\n## B\n\n```sh\nx\ny\n```\nz\n\n```toml\n# f\n```\n## C\n```sh\nno\n```\n";
    let expected = [("sh", "x\ny"), ("toml", "# f")].map(|(language, text)| Block { language, text });
    assert_eq!(blocks(below(text, "## B")), expected);
}
