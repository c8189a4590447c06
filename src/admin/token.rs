//! The token that the admin API asks for over TCP: read from a file, compared in constant time, never shown.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use ctutils::CtEq as _;
use sha2::{Digest as _, Sha256};

use crate::private_file::{self, Unread};

/// Shorter ones could be tried out.
const LEAST: usize = 16;
const MOST: usize = 4096;

/// A secret that lets in whoever says it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The system said no.
    #[error("read token file {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Users other than its owner may read or write it.
    #[error("read token file {}: its mode is {mode:03o}, so others may read it; run 'chmod 600 {}'", path.display(), path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What is in it is no token.
    #[error("read token file {}: {source}", path.display())]
    Form {
        /// Which file.
        path: PathBuf,
        /// What a token looks like.
        source: TokenForm,
    },
}

/// Why a text is no token. Never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use one line of 16 to 4096 visible characters, as 'backchat keygen' prints one")]
pub struct TokenForm;

impl Token {
    /// Reads a file that holds nothing but a token. One that others can read is refused, as a key file is.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let path = path.to_owned();
        // One byte more than there may be, and a line's end: what is too long must not pass for what is not.
        let text = match private_file::read(&path, MOST as u64 + 3) {
            Ok(text) => text,
            Err(Unread::Io(source)) => return Err(TokenError::Io { path, source }),
            Err(Unread::Exposed(mode)) => return Err(TokenError::Exposed { path, mode }),
        };
        text.trim().parse().map_err(|source| TokenError::Form { path, source })
    }

    /// Whether this is it. How long it takes says nothing of how much of it is right, nor of its length.
    pub fn is(&self, said: &[u8]) -> bool {
        let [own, said] = [self.0.as_bytes(), said].map(|bytes| <[u8; 32]>::from(Sha256::digest(bytes)));
        own.ct_eq(&said).to_bool()
    }

    /// What a request says of itself by this token. The only way its text leaves.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl FromStr for Token {
    type Err = TokenForm;

    fn from_str(text: &str) -> Result<Self, TokenForm> {
        let is_sound = (LEAST..=MOST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        is_sound.then(|| Self(text.to_owned())).ok_or(TokenForm)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn load(text: &str, mode: u32) -> Result<Token, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Token::load(&path).map_err(|e| e.to_string().replace(&dir.path().display().to_string(), "DIR"))
    }

    #[test]
    fn a_token_is_one_line_that_its_owner_alone_reads() {
        let token = load("0123456789abcdef\n", 0o600).unwrap();
        assert!(token.is(b"0123456789abcdef") && !token.is(b"0123456789abcdeF") && !token.is(b""));
        assert_eq!(token.bearer(), "Bearer 0123456789abcdef");
        assert_eq!(format!("{token:?}"), "Token");
        let exposed = "read token file DIR/token: its mode is 640, so others may read it; run 'chmod 600 DIR/token'";
        assert_eq!(load("0123456789abcdef", 0o640).unwrap_err(), exposed);
        for wrong in
            ["", "0123456789abcde", "0123456789abcdef\n0123456789abcdef", "0123456789 abcdef", "0123456789äbcdef"]
        {
            let error = load(wrong, 0o600).unwrap_err();
            assert!(error.contains("use one line of 16 to 4096") && !error.contains("0123"), "{error}");
        }
        assert!(load(&"x".repeat(4096), 0o600).is_ok());
        assert!(load(&"x".repeat(4097), 0o600).is_err());
        assert!(load(&"x".repeat(9000), 0o600).is_err());
    }
}
