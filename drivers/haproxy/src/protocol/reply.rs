//! What each command must be answered. Every other answer is a refusal that carries the command and the answer;
//! severity alone does not tell (2.6 answers an unknown command with a mere notice).

use backchat_contract::Refusal;

use super::{Command, MapVersion};

/// What an answer comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// The version of the map that was prepared.
    Prepared(MapVersion),
    /// Not now: the server has connections yet. To be asked again after the next look.
    NotYet(Refusal),
    /// No.
    Refused(Refusal),
}

/// Takes the line ends, and the `+ ` that 2.6 and 3.0 put in front for each line of a payload, off an answer.
pub fn trim(reply: &str) -> &str {
    let mut reply = reply.trim();
    while let Some(rest) = reply.strip_prefix('+') {
        reply = rest.trim_start();
    }
    reply
}

/// Says what an answer to a command means.
pub fn judge(command: &Command, reply: &str) -> Outcome {
    let reply = trim(reply);
    let refusal = || Refusal { command: first_line(command), reply: reply.to_owned() };
    let done = match command {
        Command::Add { .. } => reply == "[6]: New server registered.",
        // A server that is gone is what was asked for: somebody else was quicker.
        Command::Delete(_) => matches!(reply, "[6]: Server deleted." | "[3]: No such server."),
        Command::Addr(..) => reply.strip_prefix("[4]: ").is_some_and(addr_changed),
        // One that an earlier push left half-made is as good.
        Command::NewCert(_) => reply.starts_with("[5]: New empty") || reply.contains("already exists"),
        Command::SetCert(..) => reply.starts_with("[5]: Transaction "),
        Command::CommitCert(_) | Command::ListCert(_) => reply.ends_with("Success!"),
        Command::UnlistCert(_) | Command::DeleteCert(_) => reply.starts_with("[5]: ") && reply.contains("deleted"),
        Command::AbortCert(_) => reply.starts_with("[5]: ") || reply.contains("No ongoing transaction"),
        Command::PrepareMap(_) => {
            let version = reply.strip_prefix("[6]: New version created: ").and_then(|n| n.parse().ok());
            return version.map_or_else(|| Outcome::Refused(refusal()), |n| Outcome::Prepared(MapVersion(n)));
        }
        _ => reply.is_empty(),
    };
    match command {
        _ if done => Outcome::Done,
        Command::Delete(_) if not_yet(reply) => Outcome::NotYet(refusal()),
        _ => Outcome::Refused(refusal()),
    }
}

fn not_yet(reply: &str) -> bool {
    reply.starts_with("[3]: Server still has connections attached to it")
        || reply == "[3]: Only servers in maintenance mode can be deleted."
}

/// `nothing changed`, or up to two parts, and since 2.8 or so without the tail where nothing changed.
fn addr_changed(text: &str) -> bool {
    let Some(parts) = text.strip_suffix(" by 'stats socket command'") else { return text == "nothing changed" };
    let mut parts = parts.split(", ");
    let first = parts.next().is_some_and(|part| addr_part(part) || port_part(part));
    first && parts.next().is_none_or(port_part) && parts.next().is_none()
}

fn addr_part(part: &str) -> bool {
    part == "no need to change the addr" || changed(part, "IP changed from ")
}

fn port_part(part: &str) -> bool {
    part == "no need to change the port" || changed(part, "port changed from ")
}

fn changed(part: &str, head: &str) -> bool {
    let Some(rest) = part.strip_prefix(head) else { return false };
    let mut quoted = rest.split('\'');
    // 'a' to 'b' splits into: nothing, a, " to ", b, nothing.
    let shape = (quoted.next(), quoted.next().is_some(), quoted.next(), quoted.next().is_some(), quoted.next());
    shape == (Some(""), true, Some(" to "), true, Some("")) && quoted.next().is_none()
}

fn first_line(command: &Command) -> String {
    command.to_string().lines().next().unwrap_or_default().to_owned()
}
