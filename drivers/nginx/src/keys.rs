//! The files of chain and key beside a configuration: written before it is checked, removed once no configuration that
//! may be loaded names them. For the owner's eyes alone: nginx's master reads them. Blocks on the disk.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use backchat_contract::DriverError;
use backchat_template::blocking;

use crate::certificates::{Certificates, file};

/// What follows a name while the file is written. Always the same: the next attempt overwrites what a crash leaves.
const STAGED: &str = ".staged";

/// Has all that these certificates need in the folder. What is there already is called by what is in it.
pub async fn keep(folder: &Path, certificates: &Certificates) -> Result<(), DriverError> {
    if certificates.is_empty() {
        return Ok(());
    }
    let (folder, certificates) = (folder.to_owned(), certificates.clone());
    blocking(move || {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(DriverError::file("make", &folder))?;
        for (name, certificate) in &certificates {
            let path = folder.join(file(name, certificate));
            let Some(pem) = certificate.pem.as_ref().filter(|_| !path.exists()) else { continue };
            write(&path, pem.secret()).map_err(DriverError::file("write", path))?;
        }
        File::open(&folder).and_then(|opened| opened.sync_all()).map_err(DriverError::file("sync", &folder))
    })
    .await
}

/// Removes what none of these texts names. One that stays is a file for its owner alone, and the next time tries again.
pub async fn sweep(folder: &Path, texts: Vec<String>) {
    let folder = folder.to_owned();
    let work = move || {
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // However a template writes it: nothing else has such a name.
            if !texts.iter().any(|text| text.contains(&name)) {
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    };
    // Nothing in it fails.
    let _ = blocking(work).await;
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let staged = PathBuf::from(format!("{}{STAGED}", path.display()));
    match fs::remove_file(&staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()?;
    fs::rename(staged, path)
}
