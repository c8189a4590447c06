//! Sends what a plan says, with no choices left: one refusal never stops the rest, an answer that is not known
//! stops all.

use std::collections::BTreeSet;

use backchat_contract::{DriverError, Refusal};

use crate::{
    certificates::CertFile,
    maps::MapEntry,
    plan::Action,
    protocol::{Command, MapFile, MapVersion, Outcome, ServerPath},
    socket::Session,
};

/// What came of the actions.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Commands that HAProxy confirmed.
    pub applied: usize,
    /// Commands that it refused.
    pub refused: Vec<Refusal>,
    /// Servers that it would not take.
    pub not_added: BTreeSet<ServerPath>,
    /// Servers of which a command was refused, whichever.
    pub denied: BTreeSet<ServerPath>,
    /// Whether a certificate was refused, whichever.
    pub certificate_refused: bool,
    /// Whether a server could not be deleted yet, or its sessions were told to end and may take a moment.
    pub not_yet: bool,
}

/// Sends the actions in order. An error means that an answer is missing: what was sent may have been done.
pub(crate) async fn send(session: &mut Session, actions: &[Action]) -> Result<Sent, DriverError> {
    let mut sent = Sent::default();
    let mut commands = Vec::new();
    for action in actions {
        match action {
            Action::Run(command) => commands.push(command),
            Action::ReplaceMap(map, entries) => {
                run(session, &mut commands, &mut sent).await?;
                replace(session, map, entries, &mut sent).await?;
            }
            Action::Certificate(file, steps) => {
                run(session, &mut commands, &mut sent).await?;
                certificate(session, file, steps, &mut sent).await?;
            }
        }
    }
    run(session, &mut commands, &mut sent).await?;
    Ok(sent)
}

/// Sends what was gathered.
async fn run(session: &mut Session, commands: &mut Vec<&Command>, sent: &mut Sent) -> Result<(), DriverError> {
    let outcomes = session.run_all(commands).await?;
    for (command, outcome) in commands.drain(..).zip(outcomes) {
        // What else was planned for a server that was not added is refused too: once is enough to tell.
        if matches!(outcome, Outcome::Refused(_)) {
            sent.denied.extend(command.server().cloned());
        }
        let known = command.server().is_some_and(|server| sent.not_added.contains(server));
        if known && matches!(outcome, Outcome::Refused(_)) {
            continue;
        }
        let done = sent.take(outcome);
        sent.not_yet |= matches!(command, Command::ShutdownSessions(_));
        if let (Command::Add { server, .. }, false) = (command, done) {
            sent.not_added.insert(server.clone());
        }
    }
    Ok(())
}

/// Prepares, fills, commits. A map that was not filled whole is never committed: HAProxy drops it with the next commit.
async fn replace(
    session: &mut Session,
    map: &MapFile,
    entries: &[MapEntry],
    sent: &mut Sent,
) -> Result<(), DriverError> {
    let outcome = session.run(&Command::PrepareMap(map.clone())).await?;
    let Outcome::Prepared(version) = outcome else {
        sent.take(outcome);
        return Ok(());
    };
    sent.applied += 1;
    for command in fill(map, entries, version) {
        if !sent.take(session.run(&command).await?) {
            return Ok(());
        }
    }
    Ok(())
}

/// Up to the first refusal; then what was set is forgotten, so that another may be.
async fn certificate(
    session: &mut Session,
    file: &CertFile,
    steps: &[Command],
    sent: &mut Sent,
) -> Result<(), DriverError> {
    for command in steps {
        if !sent.take(session.run(command).await?) {
            sent.certificate_refused = true;
            // Where there is nothing to forget, that is fine.
            session.run(&Command::AbortCert(file.clone())).await?;
            return Ok(());
        }
    }
    Ok(())
}

fn fill(map: &MapFile, entries: &[MapEntry], version: MapVersion) -> impl Iterator<Item = Command> {
    let action = Action::ReplaceMap(map.clone(), entries.to_vec());
    action.commands(version).into_iter().skip(1)
}

impl Sent {
    /// Counts an outcome; whether it was a yes.
    fn take(&mut self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Done | Outcome::Prepared(_) => {
                self.applied += 1;
                return true;
            }
            Outcome::NotYet(refusal) => {
                tracing::debug!(command = refusal.command, reply = refusal.reply, "not yet");
                self.not_yet = true;
            }
            Outcome::Refused(refusal) => self.refused.push(refusal),
        }
        false
    }
}

#[cfg(test)]
mod tests;
