//! Endpoints: in a few words behind one another, or one a line.

use crate::{
    admin::answers::{ExplainedEndpoint, Standing},
    cli::output::table::Table,
};

/// So many names are shown that need no further word.
const SHOWN: usize = 12;

/// `web1, web4 ready; web2 drain (suspect); web3 gone (failed 9 s)`.
pub(super) fn words(pool: &[ExplainedEndpoint]) -> String {
    let all = [Standing::Ready, Standing::Drain, Standing::Down, Standing::Coming, Standing::Going, Standing::Gone];
    let of = |standing: Standing| {
        let (plain, told): (Vec<_>, Vec<_>) = pool
            .iter()
            .filter(|e| e.state == standing)
            .map(|e| (e.name.clone(), short(e)))
            .partition(|(_, why)| why.is_empty());
        let names: Vec<_> = plain.into_iter().map(|(name, _)| name).collect();
        let more = names.len().saturating_sub(SHOWN);
        let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
        let plain = (!names.is_empty()).then(|| {
            format!("{}{rest} {}", names.into_iter().take(SHOWN).collect::<Vec<_>>().join(", "), word(standing))
        });
        plain.into_iter().chain(told.into_iter().map(move |(name, why)| format!("{name} {} ({why})", word(standing))))
    };
    all.into_iter().flat_map(of).collect::<Vec<_>>().join("; ")
}

/// The endpoints, one a line; with their services in front where those are several.
pub(super) fn rows(endpoints: &[ExplainedEndpoint], with_service: bool) -> Vec<String> {
    let mut table = Table::new(&["", "", "", "", ""], true);
    for endpoint in endpoints {
        table.row(row(endpoint, with_service));
    }
    table.text().lines().map(str::to_owned).collect()
}

/// Name, state, address, weight, why.
pub(super) fn row(e: &ExplainedEndpoint, with_service: bool) -> [String; 5] {
    let name = if with_service { format!("{}/{}", e.service, e.name) } else { e.name.clone() };
    let dash = || "-".to_owned();
    [
        name,
        word(e.state).to_owned(),
        e.addr.map_or_else(dash, |addr| addr.to_string()),
        e.weight.map_or_else(dash, |weight| format!("weight {weight}")),
        whole(e),
    ]
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Ready => "ready",
        Standing::Drain => "drain",
        Standing::Down => "down",
        Standing::Coming => "coming",
        Standing::Going => "going",
        Standing::Gone => "gone",
    }
}

fn whole(e: &ExplainedEndpoint) -> String {
    let why = e.reason.as_ref().map(|r| r.text.clone());
    let check = (e.state == Standing::Down).then(|| "fails the data plane's own check".to_owned());
    [why, check, e.drift.clone()].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The same in a word or two, for a line that has many.
fn short(e: &ExplainedEndpoint) -> String {
    let first = |text: &str| text.split(',').next().unwrap_or_default().trim_end_matches(" ago").to_owned();
    let why = e.reason.as_ref().map(|r| first(&r.text));
    let check = (e.state == Standing::Down).then(|| "fails its check".to_owned());
    let weightless =
        (e.state == Standing::Ready && e.weight == Some(0) && e.drift.is_none()).then(|| "weight 0".to_owned());
    [why, check, weightless, e.drift.clone()].into_iter().flatten().collect::<Vec<_>>().join("; ")
}
