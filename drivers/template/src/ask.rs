//! What a program says of itself: asked before there is anything to wait for, so without a runtime, and not for ever.

use std::{
    io::Read,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How much of each output is read.
const KEPT: u64 = 64 * 1024;

/// Both outputs of a program that is given one argument, one after the other.
///
/// # Errors
/// Why it said nothing: it is not there, or did not end in 5 s and was killed.
pub fn ask(program: &str, argument: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (sender, receiver) = mpsc::channel();
    let outputs = (child.stdout.take(), child.stderr.take());
    thread::spawn(move || {
        let read = |output: Option<Box<dyn Read>>| {
            let mut bytes = Vec::new();
            // What was read until it failed is what it said.
            let _ = output.map(|output| output.take(KEPT).read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (out, err) = outputs;
        let said = read(out.map(|out| Box::new(out) as _)) + &read(err.map(|err| Box::new(err) as _));
        // Nobody listens where the time was up.
        let _ = sender.send(said);
    });
    let said = receiver.recv_timeout(LIMIT);
    // Most often it has ended; one that says no more and stays is not waited for.
    let _ = child.kill();
    child.wait().map_err(|error| error.to_string())?;
    said.map_err(|_| format!("'{program} {argument}' did not end within {LIMIT:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        assert_eq!(ask("echo", "hello").as_deref(), Ok("hello\n"));
        assert!(ask("/nowhere/at/all", "-v").unwrap_err().contains("No such file"));
    }
}
