//! The last line of a file of ours: a hash of all above it. It tells a whole file from one cut at a line's
//! end (which may pass the engine's own check), and ours from one that somebody edited. Pure.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

const MARK: &str = "# backchat: end of file ";

/// What a file's last line says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// Whole, and as we wrote it.
    Whole,
    /// Ours, and changed since.
    Edited,
    /// Cut, or never ours.
    Missing,
}

/// The seal of a text beside which it lies, read but once: a file of ten thousand servers is hashed for it.
#[derive(Clone, Debug, Default)]
pub struct SealOnce(OnceLock<Seal>);

impl SealOnce {
    /// The seal of that text.
    pub fn of(&self, file: &str) -> Seal {
        *self.0.get_or_init(|| Seal::of(file))
    }
}

/// It says nothing that the text does not.
impl PartialEq for SealOnce {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for SealOnce {}

/// Text with its seal.
pub fn seal(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let hash = hash(&text);
    text + MARK + &hash + "\n"
}

/// Text without its seal, for people to read.
pub fn unsealed(file: &str) -> &str {
    file.rfind(MARK).map_or(file, |at| &file[..at])
}

impl Seal {
    /// Reads the seal of a file.
    pub fn of(file: &str) -> Self {
        let Some((text, tail)) = file.rfind(MARK).map(|at| file.split_at(at)) else { return Self::Missing };
        let said = tail.strip_prefix(MARK).and_then(|t| t.strip_suffix('\n'));
        match said {
            Some(said) if said == hash(text) => Self::Whole,
            // A seal that is itself cut.
            None => Self::Missing,
            Some(_) => Self::Edited,
        }
    }
}

/// The first 64 bits of SHA-256 in hexadecimal: the same on every machine and in every release of ours.
pub fn hash(text: &str) -> String {
    Sha256::digest(text).iter().take(8).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_tells_whole_from_edited_and_cut() {
        let file = seal("global\ndefaults".into());
        assert_eq!(Seal::of(&file), Seal::Whole);
        assert_eq!(Seal::of(&file.replace("defaults", "defaulty")), Seal::Edited);
        assert_eq!(Seal::of(&(file.clone() + "backend x\n")), Seal::Edited);
        assert_eq!(Seal::of("global\n"), Seal::Missing);
        assert_eq!((unsealed(&file), unsealed("global\n")), ("global\ndefaults\n", "global\n"));
        for cut in 0..file.len() {
            assert_eq!(Seal::of(&file[..cut]), Seal::Missing, "cut at {cut}");
        }
    }
}
