//! A page of cases, one for each driver, for a reviewer to read: `snapshots/…page_haproxy.snap` and its neighbours.

use std::time::Duration;

use backchat_contract::paper::OnPaper;
use tokio::time::advance;

use super::{
    super::text,
    world::{World, for_each_paper, member},
};
use crate::{
    cli::plan::exit,
    model::{Liveness, Member, RawRecord, State, Verdict},
};

/// What is live before each case: three web servers, an api of two with a host, all there for half a minute.
fn before() -> Vec<Member> {
    vec![
        member("web1", 7, "web"),
        member("web2", 8, "web"),
        member("web3", 6, "web"),
        member("api1", 4, "api@shop.example.com"),
        member("api2", 5, "api@shop.example.com"),
    ]
}

fn change(members: &mut [Member], name: &str, how: impl Fn(&mut Member)) {
    members.iter_mut().filter(|member| member.name.as_str() == name).for_each(how);
}

fn says(members: &mut [Member], name: &str, how: impl Fn(&mut RawRecord)) {
    change(members, name, |member| {
        let record = member.record.as_mut().unwrap();
        record.version += 1;
        how(record);
    });
}

/// A case of the page: what happens after all is settled, and what is known then.
async fn case<D: OnPaper>(title: &str, paper: D, happens: impl AsyncFnOnce(&mut World<D>, &mut Vec<Member>)) -> String {
    let mut world = World::new(paper);
    let mut members = before();
    world.settle(&members).await;
    happens(&mut world, &mut members).await;
    advance(Duration::from_secs(2)).await;
    shown(title, &mut world, &members).await
}

async fn shown<D: OnPaper>(title: &str, world: &mut World<D>, members: &[Member]) -> String {
    let plan = world.plan(members).await;
    let text = anstream::adapter::strip_str(&text(&plan, false)).to_string();
    format!("== {title}\n\n{text}\nstatus {:?}\n\n", exit(&plan))
}

/// All of the page.
async fn page<D: OnPaper>(paper: impl Fn() -> D, template: &str) -> String {
    members_change(&paper).await + &all_else_changes(&paper, template).await
}

async fn members_change<D: OnPaper>(paper: &impl Fn() -> D) -> String {
    let mut world = World::new(paper());
    let mut all = vec![shown("first start", &mut world, &before()).await];
    all.push(
        case("one join", paper(), async |world, members| {
            members.push(Member { since: world.now(), ..member("web4", 9, "web") });
        })
        .await,
    );
    all.push(
        case("one drain", paper(), async |_, members| says(members, "web2", |record| record.state = State::Draining))
            .await,
    );
    all.push(
        case("one fails its check", paper(), async |_, members| {
            says(members, "web2", |record| record.services[0].healthy = false);
        })
        .await,
    );
    all.push(
        case("one of everything", paper(), async |world, members| {
            let now = world.now();
            members.push(Member { since: now, ..member("web4", 9, "web@new.example.com") });
            says(members, "web1", |record| record.services[0].weight = Some(50));
            change(members, "web2", |member| (member.liveness, member.verdict) = (Liveness::Suspect, Verdict::Silent));
            change(members, "web3", |member| {
                (member.liveness, member.verdict, member.since) = (Liveness::Failed, Verdict::Refused, now);
            });
        })
        .await,
    );
    all.push(
        case("mass failure held", paper(), async |world, members| {
            let now = world.now();
            for name in ["web1", "web2", "api1", "api2"] {
                change(members, name, |member| {
                    (member.liveness, member.verdict, member.since) = (Liveness::Failed, Verdict::Silent, now);
                });
            }
        })
        .await,
    );
    all.push(
        case("service added", paper(), async |world, members| {
            members.push(Member { since: world.now(), ..member("blog1", 9, "blog@blog.example.com") });
        })
        .await,
    );
    all.push(
        case("more services than spares", paper(), async |world, members| {
            for (host, name) in [(11, "a"), (12, "b"), (13, "c")] {
                let offer = format!("{name}@{name}.example.com");
                members.push(Member { since: world.now(), ..member(name, host, &offer) });
            }
        })
        .await,
    );
    all.push(
        case("host moved", paper(), async |_, members| {
            for name in ["api1", "api2"] {
                says(members, name, |record| record.services[0].hosts = vec!["api.example.com".into()]);
            }
            says(members, "web1", |record| record.services[0].hosts = vec!["shop.example.com".into()]);
        })
        .await,
    );
    all.push(
        case("host refused", paper(), async |world, members| {
            members.push(Member { since: world.now(), ..member("web9", 9, "web@shop.example.com") });
        })
        .await,
    );
    all.concat()
}

async fn all_else_changes<D: OnPaper>(paper: &impl Fn() -> D, template: &str) -> String {
    let mut all = Vec::new();
    all.push(
        case("template changed", paper(), async |world, _| {
            world.paper().retemplate(&format!("{template}# mine\n"));
        })
        .await,
    );
    all.push(
        case("drift", paper(), async |world, _| {
            let id =
                backchat_contract::EndpointId { service: "web".parse().unwrap(), endpoint: "web1".parse().unwrap() };
            world.paper().weigh(&id, 7);
        })
        .await,
    );
    all.push(
        case("edited by hand, and a service that needs structure", paper(), async |world, members| {
            world.paper().edit();
            for (host, name) in [(9, "blog"), (10, "docs"), (11, "shop")] {
                members.push(Member { since: world.now(), ..member(name, host, name) });
            }
        })
        .await,
    );
    all.push(
        case("one leaves and its requests are not done", paper(), async |world, members| {
            let now = world.now();
            says(members, "web2", |record| record.state = State::Left);
            change(members, "web2", |member| (member.liveness, member.since) = (Liveness::Left, now));
            world.paper().busy(1_000);
            world.act(members).await;
        })
        .await,
    );
    all.push(case("nothing", paper(), async |_, _| {}).await);
    all.concat()
}

#[tokio::test(start_paused = true)]
async fn pages_of_cases() {
    for_each_paper!(|name, paper, template| {
        insta::assert_snapshot!(format!("page_{name}"), page(paper, template).await);
    });
}
