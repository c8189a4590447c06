//! What a balancer makes of the checks of its data plane: questions, and those in measure.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// A balancer that knows these, and is so slow to look after them by itself that what it does is done for the checks.
fn slow(kind: Kind, names: &[&str]) -> Lone {
    let mut lone = Lone::profiled(kind, Profile { probe_period: Duration::from_secs(1000), ..Profile::LAN });
    let all: Vec<_> = names.iter().map(|name| Member::alive(id(name, 1))).collect();
    lone.packet(&id(names[0], 1), &id("me", 1000), &all);
    lone
}

fn failing(lone: &mut Lone, names: &[&str]) -> Vec<Effect> {
    let names: BTreeSet<NodeName> = names.iter().map(|name| name.parse().unwrap()).collect();
    lone.input(Input::Failing(&names))
}

/// Whom the effects connect to, a question being three connects.
fn asked(effects: &[Effect]) -> Vec<String> {
    let who = |effect: &Effect| match effect {
        Effect::AskTcp { who, .. } => Some(who.name().to_string()),
        _ => None,
    };
    effects.iter().filter_map(who).collect()
}

/// Runs in steps of 10 ms; what came of it.
fn run(lone: &mut Lone, time: Duration) -> Vec<Effect> {
    let end = lone.now + time;
    let mut effects = Vec::new();
    while lone.now < end {
        effects.extend(lone.at(lone.now + Duration::from_millis(10)));
    }
    effects
}

fn seen(lone: &Lone, name: &str) -> (Liveness, Verdict) {
    let member = &lone.node.snapshot().members[&name.parse::<NodeName>().unwrap()];
    (member.liveness, member.verdict)
}

fn outcome(lone: &mut Lone, who: &str, outcome: Outcome) -> Vec<Effect> {
    lone.input(Input::Asked { who: id(who, 1), outcome })
}

#[test]
fn a_failed_check_is_a_question_at_once() {
    let mut lone = slow(Kind::Balancer, &["a", "b"]);
    assert_eq!(asked(&failing(&mut lone, &["b"])), ["b"]);
    // Its answer is no news, and that goes for the next of its answers too.
    let effects = outcome(&mut lone, "b", Outcome::Connected);
    assert!(!effects.contains(&Effect::Changed), "{effects:?}");
    assert_eq!(seen(&lone, "b"), (Liveness::Alive, Verdict::Unasked));
    assert_eq!(asked(&run(&mut lone, Duration::from_secs(20))), [""; 0], "the same failure is asked about once");
}

#[test]
fn what_is_refused_or_silent_is_judged_as_a_suspect_is() {
    let mut lone = slow(Kind::Balancer, &["a", "b", "c"]);
    failing(&mut lone, &["b", "c"]);
    outcome(&mut lone, "b", Outcome::Refused);
    let effects = run(&mut lone, Duration::from_millis(500));
    assert_eq!(seen(&lone, "b"), (Liveness::Failed, Verdict::Refused));
    assert_eq!(seen(&lone, "a"), (Liveness::Alive, Verdict::Unasked));
    // Others are asked first: the balancer's own way may be bad.
    assert!(!sent(&effects, &id("a", 1)).is_empty());
    // Nobody was heard since: until all were asked nothing is said of it.
    assert_eq!(seen(&lone, "c"), (Liveness::Alive, Verdict::Unasked));
    lone.packet(&id("a", 1), &id("me", 1000), &[]);
    run(&mut lone, Duration::from_secs(1));
    assert_eq!(seen(&lone, "c"), (Liveness::Suspect, Verdict::Silent));
    run(&mut lone, Profile::LAN.suspicion.saturating_sub(Duration::from_secs(1)));
    assert_eq!(seen(&lone, "c").0, Liveness::Suspect, "the check takes nothing off the time to refute");
}

/// One that fails and passes by turns is asked now and then, and one that fails in the end is asked in the end.
#[test]
fn a_check_that_flaps_asks_seldom() {
    let mut lone = slow(Kind::Balancer, &["a", "b"]);
    let mut questions = 0;
    for _ in 0..60 {
        for names in [&["b"][..], &[]] {
            let effects = failing(&mut lone, names);
            questions += asked(&effects).len();
            if !asked(&effects).is_empty() {
                outcome(&mut lone, "b", Outcome::Connected);
            }
            let more = asked(&run(&mut lone, Duration::from_millis(500)));
            assert_eq!(more, [""; 0]);
        }
    }
    assert_eq!(questions, 12, "one each five seconds of sixty");
    // The last was asked about before the limit: this failure waits, and is not forgotten.
    let mut lone = Lone::new(Kind::Balancer);
    lone.packet(&id("b", 1), &id("me", 1000), &[]);
    failing(&mut lone, &["b"]);
    outcome(&mut lone, "b", Outcome::Connected);
    failing(&mut lone, &[]);
    failing(&mut lone, &["b"]);
    let waits = |lone: &Lone| !lone.node.doubts.waiting.is_empty();
    assert!(waits(&lone));
    lone.at(Duration::from_millis(4900));
    assert!(waits(&lone));
    lone.at(Duration::from_millis(5400));
    assert!(!waits(&lone));
}

/// What a cut cable does: they are asked a few at a time, each once.
#[test]
fn many_failures_at_once_make_no_storm() {
    let names: Vec<String> = (0..18).map(|nth| format!("web{nth:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut lone = Lone::new(Kind::Balancer);
    let all: Vec<_> = names.iter().map(|name| Member::alive(id(name, 1))).collect();
    lone.packet(&id("web00", 1), &id("me", 1000), &all);
    let mut first: BTreeMap<String, Moment> = BTreeMap::new();
    let mut effects = failing(&mut lone, &names);
    assert_eq!(asked(&effects).len(), 4);
    // Told again and again in between it is no faster.
    for _ in 0..30 {
        for name in asked(&effects) {
            first.entry(name).or_insert(lone.now);
        }
        effects = lone.at(lone.now + Duration::from_millis(10));
        effects.extend(failing(&mut lone, &names[1..]));
        effects.extend(failing(&mut lone, &names));
    }
    assert_eq!(first.len(), names.len(), "{first:?}");
    let by = |ms: u64| first.values().filter(|at| **at < Duration::from_millis(ms)).count();
    assert!(by(40) <= 4 && by(80) <= 8, "{first:?}");
}

#[test]
fn nobody_else_is_asked() {
    // Agents have no data plane.
    let mut lone = slow(Kind::Agent, &["a", "b"]);
    assert_eq!(asked(&failing(&mut lone, &["b"])), [""; 0]);
    let mut lone = slow(Kind::Balancer, &["a", "b"]);
    lone.packet(&id("a", 1), &id("me", 1000), &[Member::new(id("b", 1), 0, State::Down)]);
    lone.at(Duration::from_millis(10));
    outcome(&mut lone, "b", Outcome::Refused);
    run(&mut lone, Duration::from_secs(1));
    assert_eq!(seen(&lone, "b").0, Liveness::Failed);
    assert_eq!(asked(&failing(&mut lone, &["b", "nobody"])), [""; 0], "who failed, and who is not known");
}
