//! A relay in front of somebody's unix socket that remembers what was asked: the witness of what a daemon sent, with no
//! word of the daemon's own. It must not know what the lines mean.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf},
    task::JoinHandle,
};

/// A relay at a socket's own place. Dropped, it takes no connection any more; those it has live on.
pub(super) struct Recorder {
    asked: Arc<Mutex<Vec<String>>>,
    relay: JoinHandle<()>,
}

impl Recorder {
    /// Moves the socket aside and takes its place: whoever is connected stays so, whoever connects comes through here.
    pub(super) fn before(socket: &Path) -> io::Result<Self> {
        let behind = socket.with_extension("behind");
        std::fs::rename(socket, &behind)?;
        let (listener, asked) = (UnixListener::bind(socket)?, Arc::default());
        let relay = tokio::spawn(accept(listener, behind, Arc::clone(&asked)));
        Ok(Self { asked, relay })
    }

    /// Every line that was asked so far, in the order they came, the empty ones left out.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics with it").clone()
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.asked.lock().expect("nobody panics with it").len()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

async fn accept(listener: UnixListener, behind: PathBuf, asked: Arc<Mutex<Vec<String>>>) {
    while let Ok((client, _)) = listener.accept().await {
        let (behind, asked) = (behind.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            let Ok(server) = UnixStream::connect(&behind).await else { return };
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            // Each way ends by itself: who has said `quit` still wants the answer.
            tokio::join!(pass(from_client, to_server, Some(&asked)), pass(from_server, to_client, None));
        });
    }
}

/// Passes all on until either side is gone.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: Option<&Mutex<Vec<String>>>) {
    let (mut piece, mut line) = ([0; 4096], Vec::new());
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        if let Some(asked) = asked {
            take_lines(&mut line, &piece[..read], &mut asked.lock().expect("nobody panics with it"));
        }
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
    if let (Some(asked), false) = (asked, line.is_empty()) {
        asked.lock().expect("nobody panics with it").push(String::from_utf8_lossy(&line).into_owned());
    }
}

/// Lines may come in pieces, several commands in one line apart by `;`.
fn take_lines(begun: &mut Vec<u8>, piece: &[u8], asked: &mut Vec<String>) {
    for byte in piece {
        if matches!(byte, b'\n' | b';') {
            let line = String::from_utf8_lossy(begun).trim().to_owned();
            asked.extend((!line.is_empty()).then_some(line));
            begun.clear();
        } else {
            begun.push(*byte);
        }
    }
}
