//! One question on a connection of its own: for the master's socket, which serves nothing else, and for
//! asking whether a *new* connection reaches the new worker.

use std::{io, path::Path, time::Duration};

use backchat_contract::DriverError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

/// No answer that is asked for here comes near it.
const ANSWER_MAX: u64 = 1024 * 1024;

/// Sends one command line and reads the answer to its end, all within `limit`.
pub(crate) async fn ask(socket: &Path, command: &str, limit: Duration) -> Result<String, DriverError> {
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
        io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    match timeout(limit, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            let plane = format!("haproxy at {}", socket.display());
            Err(DriverError::Unreachable { plane, cause: error.to_string() })
        }
        Err(_) => {
            let what = format!("get an answer to '{command}' from {}", socket.display());
            Err(DriverError::Deadline { what, limit })
        }
    }
}
