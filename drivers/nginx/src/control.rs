//! The control socket: what nginx says of the configuration that it runs.

use std::{io::ErrorKind, path::Path, time::Duration};

use backchat_contract::DriverError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

/// How long an answer may take that costs nginx nothing.
const ANSWER: Duration = Duration::from_secs(1);

/// More than any answer has.
const ANSWER_MAX: u64 = 4096;

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Which rendering of ours.
    pub generation: u64,
    /// The hash of all in it that only a reload can change.
    pub structure: String,
    /// nginx's version.
    pub version: String,
    /// The worker that answered.
    pub pid: u32,
}

/// Asks. `None` where nobody listens, or somebody does who knows nothing of us. An error where the question was taken
/// and not answered.
pub async fn ask(socket: &Path) -> Result<Option<Running>, DriverError> {
    let what = || format!("get an answer from nginx at unix:{}", socket.display());
    let unreachable = |error: std::io::Error| DriverError::Unreachable {
        plane: format!("nginx at unix:{}", socket.display()),
        cause: error.to_string(),
    };
    match timeout(ANSWER, exchange(socket)).await {
        Ok(Ok(answer)) => Ok(parse(&answer)),
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Ok(Err(error)) => Err(unreachable(error)),
        Err(_) => Err(DriverError::Deadline { what: what(), limit: ANSWER }),
    }
}

async fn exchange(socket: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"GET /generation HTTP/1.0\r\nHost: backchat\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn parse(answer: &str) -> Option<Running> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if head.split(' ').nth(1) != Some("200") {
        return None;
    }
    let words: Vec<&str> = body.split_whitespace().collect();
    let [generation, structure, version, pid] = words[..] else { return None };
    Some(Running {
        generation: generation.parse().ok()?,
        structure: structure.to_owned(),
        version: version.to_owned(),
        pid: pid.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str, expected: Option<(u64, &str)>) {
        let running = parse(answer);
        assert_eq!(running.as_ref().map(|r| (r.generation, &*r.structure)), expected, "{answer}");
    }

    #[test]
    fn answers() {
        check("HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n7 ab 1.22.1 14\n", Some((7, "ab")));
        check("HTTP/1.1 404 Not Found\r\n\r\n7 ab 1.22.1 14\n", None);
        check("HTTP/1.1 200 OK\r\n\r\nwelcome\n", None);
        check("HTTP/1.1 200 OK\r\n\r\nx ab 1.22.1 14\n", None);
        check("", None);
    }

    #[tokio::test]
    async fn nobody_and_silence_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        assert_eq!(ask(&socket).await.unwrap(), None);
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let error = ask(&socket).await.unwrap_err().to_string();
        assert!(error.starts_with("get an answer from nginx at unix:") && error.ends_with(" within 1s"), "{error}");
        drop(listener);
        assert_eq!(ask(&socket).await.unwrap(), None);
    }
}
