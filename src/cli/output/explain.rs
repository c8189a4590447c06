//! What is known of a node, a service or a request, a line a fact: what it is about in front, as in `status`.

mod member;
mod pool;
mod request;
mod service;
#[cfg(test)]
mod tests;

use super::{paint, safe};
use crate::admin::answers::{Explain, ExplainedPlane, Flapping, Hold, Rejection, Route};

/// What it is about, and the words, a line or several: each stays one whatever it holds.
type Fact = (&'static str, Vec<String>);

fn line(about: &'static str, words: String) -> Fact {
    (about, vec![words])
}

pub(in crate::cli) fn text(told: &Explain) -> String {
    // It has no name until it was read once.
    let of = |driver: &str| if driver.is_empty() { String::new() } else { format!("{driver}: ") };
    let trouble = |p: &ExplainedPlane| {
        let driver = of(&p.driver);
        p.trouble.iter().map(move |why| line("plane", format!("{driver}{why}"))).collect::<Vec<_>>()
    };
    let troubles = told.plane.iter().flat_map(trouble);
    let member = told.member.iter().flat_map(member::facts);
    let service = told.service.iter().flat_map(service::facts);
    let request = told.request.iter().flat_map(request::facts);
    let ask = (!told.ask.is_empty())
        .then(|| line("ask", format!("{}: what a balancer made of it is known there", told.ask.join(", "))));
    let text: String =
        troubles.chain(member).chain(service).chain(request).chain(ask).map(|fact| lines(&fact)).collect();
    paint::lines(&text, |line| match line.split_whitespace().next() {
        Some("hold") => Some(paint::HELD),
        Some("plane") => Some(paint::BAD),
        Some("refused" | "flaps" | "drift") => Some(paint::ODD),
        _ => None,
    })
}

/// The words behind what they are about; further lines below the first.
fn lines((about, words): &Fact) -> String {
    let mut about = *about;
    words.iter().fold(String::new(), |text, line| {
        let line = format!("{about:<8}{}", safe(line));
        about = "";
        text + line.trim_end() + "\n"
    })
}

/// `shop.example.com/ → api`, who said so, who was refused.
fn route(r: &Route) -> String {
    let said = if r.said_by.is_empty() { String::new() } else { format!("said by {}", r.said_by.join(", ")) };
    let refused = if r.refused.is_empty() { String::new() } else { format!("{} refused", r.refused.join(", ")) };
    let words: Vec<_> = [said, refused].into_iter().filter(|words| !words.is_empty()).collect();
    let gap = if words.is_empty() { "" } else { "   " };
    format!("{}{} → {}{gap}{}", r.host, r.path, r.service, words.join("; "))
}

fn hold(hold: &Hold) -> Fact {
    line("hold", format!("{}: {}; 'backchat release {}' lets it go", hold.id, hold.why, hold.id))
}

fn flaps(f: &Flapping) -> Fact {
    let held = if f.let_in {
        "let in all the same, for too few others are ready".to_owned()
    } else {
        format!("held down for {} s more; 'backchat release {}' lets it in", f.left_ms.div_ceil(1000), f.id)
    };
    let service = f.service.as_ref().map_or_else(String::new, |service| format!("/{service}"));
    line("flaps", format!("{}{service}: {}; {held}", f.node, f.why))
}

fn refused(r: &Rejection) -> Fact {
    line("refused", format!("{}: {}: {}", r.node, r.subject, r.why))
}
