//! One conversation with HAProxy's runtime socket: prompt mode, one command a line, one answer for each.
//! It knows where an answer ends and when to give up; not what a command or an answer means.
//!
//! Short commands go a few at a time: each is answered on its own, and on a busy machine the turns, not the
//! commands, are what takes time. Nothing further is sent before all of them are answered.
//!
//! One connection, because HAProxy serves ten at a time and leaves the eleventh waiting. A deadline on each
//! exchange, because a stopped HAProxy accepts a connection and a command and never answers.

use std::{path::Path, time::Duration};

use backchat_contract::DriverError;
use backchat_template::failpoint::point_async;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use crate::protocol::{Command, Outcome, Query, judge};

/// What ends every answer in prompt mode.
const PROMPT: &[u8] = PROMPT_TEXT.as_bytes();
const PROMPT_TEXT: &str = "\n> ";

/// The most of one answer: 10,000 servers take 1.5 MB. More than this is no HAProxy.
const ANSWER_MAX: usize = 64 << 20;

/// The most of one question: behind it HAProxy closes the connection or answers nothing at all (16,321 bytes).
const QUESTION_MAX: usize = 16_000;

/// Commands that go at a time. The longest `add server` has some 400 bytes, so that they fit HAProxy's 16 KB.
const BATCH: usize = 24;

/// How long one exchange may take. The longest measured is a table of 10,000 servers in 16 ms.
pub const EXCHANGE: Duration = Duration::from_secs(3);

/// An open conversation. After an error it is of no more use: what was sent may still be answered.
#[derive(Debug)]
pub struct Session {
    stream: UnixStream,
    plane: String,
    limit: Duration,
    answer: Vec<u8>,
}

impl Session {
    /// Connects and sets the tone: prompts, and a number in front of each message. Each exchange has `limit`.
    pub async fn open(socket: &Path, limit: Duration) -> Result<Self, DriverError> {
        let plane = format!("haproxy at unix:{}", socket.display());
        let unreachable = |cause: String| DriverError::Unreachable { plane: plane.clone(), cause };
        let stream = timeout(limit, UnixStream::connect(socket)).await;
        let stream = stream.map_err(|_| unreachable(format!("no connection within {limit:?}")))?;
        let stream = stream.map_err(|e| unreachable(e.to_string()))?;
        let mut session = Self { stream, plane, limit, answer: Vec::new() };
        session.exchange("prompt").await?;
        let said = session.exchange("set severity-output number").await?;
        if said.trim().is_empty() { Ok(session) } else { Err(refused("set severity-output number", &said)) }
    }

    /// Sends a command and says what came of it. An error means that the answer is not known.
    pub async fn run(&mut self, command: &Command) -> Result<Outcome, DriverError> {
        let answer = self.exchange(&command.wire()).await?;
        Ok(judge(command, &answer))
    }

    /// Sends commands in their order, each a line without a payload, and says what came of each. An error means
    /// that not all answers are known.
    pub async fn run_all(&mut self, commands: &[&Command]) -> Result<Vec<Outcome>, DriverError> {
        let mut outcomes = Vec::with_capacity(commands.len());
        for batch in commands.chunks(BATCH) {
            let lines: Vec<String> = batch.iter().map(ToString::to_string).collect();
            let answers = self.exchanges(&lines.join("\n"), batch.len()).await?;
            point_async("push:some").await;
            // Nothing stands between two answers but the prompt.
            outcomes
                .extend(batch.iter().zip(answers.split(PROMPT_TEXT)).map(|(command, answer)| judge(command, answer)));
        }
        Ok(outcomes)
    }

    /// Asks and gives the answer as it came.
    pub async fn ask(&mut self, query: &Query) -> Result<String, DriverError> {
        self.exchange(&query.to_string()).await
    }

    /// The same with a deadline of its own. After it the session is of no more use.
    pub async fn ask_within(&mut self, limit: Duration, query: &Query) -> Result<String, DriverError> {
        let usual = std::mem::replace(&mut self.limit, limit);
        let answer = self.ask(query).await;
        self.limit = usual;
        answer
    }

    async fn exchange(&mut self, question: &str) -> Result<String, DriverError> {
        self.exchanges(question, 1).await
    }

    /// Sends lines that are answered by `answers` prompts; all answers with the prompts between them.
    async fn exchanges(&mut self, question: &str, answers: usize) -> Result<String, DriverError> {
        if question.len() > QUESTION_MAX {
            return Err(refused(question, "not sent: HAProxy takes at most 16 KB at a time"));
        }
        let talk = timeout(self.limit, talk(&mut self.stream, &mut self.answer, (question, answers)));
        match talk.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(cause)) => Err(DriverError::Unreachable { plane: self.plane.clone(), cause }),
            Err(_) => {
                let line = first_line(question);
                Err(DriverError::Deadline {
                    what: format!("get an answer to '{line}' from {}", self.plane),
                    limit: self.limit,
                })
            }
        }
    }

    /// Ends when HAProxy closes the connection. Cancel-safe. To be called between exchanges only.
    pub async fn closed(&self) {
        // Between exchanges HAProxy says nothing: readable means closed.
        // An error means the same, so there is nothing to tell apart.
        let _ = self.stream.readable().await;
    }
}

async fn talk(
    stream: &mut UnixStream,
    answer: &mut Vec<u8>,
    (question, answers): (&str, usize),
) -> Result<String, String> {
    let line = format!("{question}\n");
    stream.write_all(line.as_bytes()).await.map_err(|e| e.to_string())?;
    answer.clear();
    loop {
        let read = stream.read_buf(answer).await.map_err(|e| e.to_string())?;
        // Nothing follows a prompt until we ask again, so one at the end of what came is the end.
        if answer.ends_with(PROMPT) && (answers == 1 || prompts(answer) == answers) {
            let body = &answer[..answer.len() - PROMPT.len()];
            return Ok(String::from_utf8_lossy(body).into_owned());
        }
        if read == 0 {
            return Err(format!("closed the connection on '{}'", first_line(question)));
        }
        if answer.len() > ANSWER_MAX {
            return Err(format!("answered '{}' with more than {} MB", first_line(question), ANSWER_MAX >> 20));
        }
    }
}

fn prompts(answer: &[u8]) -> usize {
    answer.windows(PROMPT.len()).filter(|window| *window == PROMPT).count()
}

fn refused(question: &str, reply: &str) -> DriverError {
    DriverError::Refused { command: first_line(question).to_owned(), reply: reply.trim().to_owned() }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::{io::AsyncBufReadExt, net::UnixListener};

    use super::*;
    use crate::maps::MapEntry;
    use crate::protocol::{MapFile, MapVersion};

    /// What the other side does with each line; `None` closes.
    type Script = fn(&str) -> Option<&'static str>;

    fn listen(folder: &Path, script: Script) -> std::path::PathBuf {
        let path = folder.join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (read, mut write) = stream.into_split();
            let mut lines = tokio::io::BufReader::new(read).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Some(answer) = script(&line) else { break };
                // In pieces, as a busy HAProxy sends it.
                for piece in answer.as_bytes().chunks(3) {
                    write.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        path
    }

    async fn check(script: Script, expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let path = listen(folder.path(), script);
        let mut session = Session::open(&path, Duration::from_millis(200)).await.unwrap();
        let answer = session.ask(&Query::Generation).await;
        let answer = answer.map_err(|e| e.to_string().replace(&path.display().to_string(), "PATH"));
        assert_eq!(answer.as_deref().map_err(String::as_str), expected);
    }

    #[tokio::test]
    async fn answers_end_at_the_prompt() {
        check(|line| Some(if line.starts_with("get") { "a\nb >\n c\n\n> " } else { "\n> " }), Ok("a\nb >\n c\n")).await;
    }

    #[tokio::test]
    async fn a_silent_haproxy_is_given_up_on() {
        let expected = "get an answer to 'get var proc.backchat_gen' from haproxy at unix:PATH within 200ms";
        check(|line| Some(if line.starts_with("get") { "half" } else { "\n> " }), Err(expected)).await;
    }

    #[tokio::test]
    async fn a_closed_connection_is_told() {
        let expected = "reach haproxy at unix:PATH: closed the connection on 'get var proc.backchat_gen'";
        check(|line| (!line.starts_with("get")).then_some("\n> "), Err(expected)).await;
    }

    #[tokio::test]
    async fn nobody_there_is_told() {
        let begun = Instant::now();
        let error = Session::open(Path::new("/nowhere/haproxy.sock"), EXCHANGE).await.unwrap_err();
        assert!(error.to_string().starts_with("reach haproxy at unix:/nowhere/haproxy.sock: No such file"), "{error}");
        assert!(begun.elapsed() < EXCHANGE);
    }

    #[tokio::test]
    async fn what_haproxy_would_lose_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = listen(folder.path(), |_| Some("\n> "));
        let mut session = Session::open(&path, Duration::from_secs(5)).await.unwrap();
        let entries = vec![MapEntry::read(&format!("{}/ web", "a".repeat(250))); 70];
        let map = MapFile::new(Path::new("/hosts.map")).unwrap();
        let error = session.run(&Command::AddMap(map, MapVersion(1), entries)).await.unwrap_err();
        assert!(error.to_string().contains("at most 16 KB"), "{error}");
        // The conversation goes on.
        assert_eq!(session.ask(&Query::Generation).await.unwrap(), "");
    }
}
