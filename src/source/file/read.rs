//! Reads a file as it is now, bounded. Blocks on the disk.

use std::{fs, io, io::Read as _, path::Path};

use super::Unread;
use crate::model::words::without_errno;

/// The most that is read: 10,000 endpoints take one mebibyte.
const MOST: u64 = 16 << 20;

/// The bytes of the file. A pipe or a device could not be read again, or never ends.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Unread> {
    let unread = |why: &str| Unread(format!("{}: {why}", path.display()));
    let failed = |e: io::Error| unread(&without_errno(&e.to_string()));
    // Looked at before it is opened: opening a pipe waits for its writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(unread("not a regular file, which could be read again"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(failed)?.take(MOST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST {
        return Err(unread("longer than 16 MiB"));
    }
    Ok(bytes)
}
