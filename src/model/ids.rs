//! Short ids for what people let go by hand. Knows nothing of what it names.

/// A letter and four digits: the same for the same text in every build (FNV-1a, 16 bits of it).
pub(super) fn short_id(letter: char, text: &str) -> String {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    format!("{letter}{:04x}", (hash >> 16) ^ (hash & 0xffff))
}
