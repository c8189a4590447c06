//! Laws of what is said, over all drivers: text and JSON say the same, and the JSON is what its schema says.

use std::time::Duration;

use backchat_contract::paper::OnPaper;
use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    super::text,
    read::{Line, Said, read},
    world::{World, for_each_paper, member},
};
use crate::{
    admin::answers::{Change, PLAN_SCHEMA, Plan, Tagged},
    model::{Liveness, Member, Verdict},
};

/// What somebody says of himself, or others of him.
fn members() -> impl Strategy<Value = Vec<Member>> {
    let offers =
        select(vec!["web", "web*50", "web@a.example.com", "api", "api@a.example.com api", "db web", "bc-x", ""]);
    let state = select(vec![
        (Liveness::Alive, Verdict::Unasked),
        (Liveness::Alive, Verdict::Unasked),
        (Liveness::Suspect, Verdict::Silent),
        (Liveness::Failed, Verdict::Silent),
        (Liveness::Failed, Verdict::Refused),
        (Liveness::Left, Verdict::Unasked),
    ]);
    vec((0..6_u8, offers, state), 0..7).prop_map(|all| {
        let one = |(n, offers, (liveness, verdict)): (u8, &str, _)| Member {
            liveness,
            verdict,
            ..member(&format!("n{n}"), n + 1, offers)
        };
        all.into_iter().map(one).collect()
    })
}

/// A plan from one set of members to another.
async fn planned<D: OnPaper>(paper: D, before: &[Member], after: &[Member], edited: bool) -> Plan {
    let mut world = World::new(paper);
    world.settle(before).await;
    if edited {
        world.paper().edit();
    }
    let since = world.now();
    let after: Vec<Member> = after.iter().map(|member| Member { since, ..member.clone() }).collect();
    tokio::time::advance(Duration::from_secs(2)).await;
    world.plan(&after).await
}

/// What the text must say, by the JSON.
fn expected(plan: &Plan) -> Said {
    let s = plan.summary;
    let (commands, files) = (s.commands, plan.files.len());
    let some = s.add + s.change + s.remove + commands + files > 0;
    let drains = if s.drain > 0 { format!(" ({} drain)", s.drain) } else { String::new() };
    let mut summary = if some {
        format!("{} to add, {} to change{drains}, {} to remove", s.add, s.change, s.remove)
    } else {
        format!("nothing to change{}", if s.waiting > 0 { " now" } else { "" })
    };
    for (count, what) in [(s.waiting, "waiting"), (s.held, "held"), (s.refused, "refused")] {
        if count > 0 {
            summary = format!("{summary}, {count} {what}");
        }
    }
    if some {
        let plural = if commands == 1 { "" } else { "s" };
        let reload = plan.reload.as_ref().map_or("no reload".to_owned(), |why| format!("reload: {why}"));
        summary = format!("{summary}; {commands} command{plural}, {reload}");
    }
    let diff = |diff: &str| diff.lines().skip(2).filter(|l| !l.starts_with("@@")).map(str::to_owned).collect();
    let name = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    Said {
        lines: plan.changes.iter().map(line).collect(),
        ready: Vec::new(),
        waits: plan.waiting.clone(),
        holds: plan.holds.iter().map(|hold| (hold.id.clone(), hold.why.clone())).collect(),
        files: plan.files.iter().map(|file| (name(&file.path), diff(&file.diff))).collect(),
        commands: plan.commands.iter().map(|command| command.trim_end().to_owned()).collect(),
        summary: summary + ".",
    }
}

fn line(c: &Change) -> Line {
    let sign = match (c.status.as_str(), c.action.as_str()) {
        ("planned", "add") => '+',
        ("planned", "remove") => '-',
        ("planned", _) => '~',
        _ => '!',
    };
    let sides = [&c.after, &c.before].into_iter().flatten().next();
    let addr = sides.map(|side| side.split("  ").next().unwrap().to_owned());
    let is = |kind: &str| c.kind == kind;
    Line {
        sign,
        kind: ["endpoint", "route", "service"].into_iter().find(|kind| is(kind)).unwrap(),
        id: c.id.clone(),
        addr: addr.filter(|_| is("endpoint")),
        to: sides.cloned().filter(|_| is("route")),
        why: c.reason.as_ref().unwrap().text.clone(),
    }
}

/// The counts of the changes themselves.
fn count(plan: &Plan, status: &str, actions: &[&str]) -> usize {
    let counts = |c: &&Change| c.status == status && actions.contains(&c.action.as_str());
    plan.changes.iter().filter(counts).count()
}

fn check(plan: &Plan) -> Result<(), TestCaseError> {
    let json = serde_json::to_value(Tagged::from(plan.clone())).unwrap();
    let schema = serde_json::from_str(PLAN_SCHEMA).unwrap();
    let schema = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let wrong: Vec<String> = schema.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path())).collect();
    prop_assert!(wrong.is_empty(), "{wrong:#?}\n{json:#}");
    let said = read(&anstream::adapter::strip_str(&text(plan, true)).to_string());
    let any = ["add", "update", "drain", "remove"];
    let s = plan.summary;
    prop_assert_eq!(s.add, count(plan, "planned", &["add"]));
    prop_assert_eq!(s.change, count(plan, "planned", &["update", "drain"]));
    prop_assert_eq!(s.drain, count(plan, "planned", &["drain"]));
    prop_assert_eq!(s.remove, count(plan, "planned", &["remove"]));
    prop_assert_eq!(s.waiting, count(plan, "waiting", &any));
    prop_assert_eq!(s.held, plan.holds.iter().map(|hold| hold.endpoints.len()).sum::<usize>());
    prop_assert_eq!(s.held, count(plan, "held", &any));
    prop_assert_eq!((s.refused, s.refused), (plan.rejections.len(), count(plan, "refused", &any)));
    for ready in &said.ready {
        let is_in =
            |r: &&crate::admin::answers::Ready| ready.starts_with(&format!("{} {} → {}", r.service, r.before, r.after));
        prop_assert!(plan.ready.iter().any(|r| is_in(&r)), "{ready}");
    }
    let moved = plan.ready.iter().filter(|r| r.before != r.after || r.hold.is_some()).count();
    prop_assert!(moved <= said.ready.len());
    prop_assert_eq!(Said { ready: Vec::new(), ..said }, expected(plan));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn text_and_json_say_the_same(before in members(), after in members(), edited in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        for_each_paper!(|_name, paper, _template| {
            check(&runtime.block_on(planned(paper(), &before, &after, edited)))?;
        });
    }
}
