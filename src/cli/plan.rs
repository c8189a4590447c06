//! `backchat plan`: what the daemon would do now, without doing it.

mod saved;

use std::path::PathBuf;

use super::{
    Exit,
    client::{Answer, Client},
    connection::{Connection, Show},
    output,
};
use crate::{
    admin::answers::{Plan, PlanRequest, TemplateText},
    config::FileError,
    drivers,
    model::Assumption,
    settings,
};

/// What the balancer of this host would change now, or if; status 2 where there is something
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  backchat plan
  backchat plan --assume gone=web1               what if it were gone
  backchat plan --assume template=my.jinja       what would that template of yours change
  backchat plan --out new.plan                   save it; 'backchat apply new.plan' does exactly this
  backchat plan | grep '^[-!]'                   what is dangerous in it

Status: 0 nothing to change, 2 changes, 75 nothing but changes that are held or wait, or
nothing yet, for not all sources are synced; 69 the daemon or the data plane does not answer,
78 a template that does not render; anything else is an error.")]
pub(super) struct Flags {
    #[command(flatten)]
    connection: Connection,

    /// What if: drain=NODE, gone=NODE, template=FILE [repeatable]
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = assumption)]
    assume: Vec<Assumed>,

    /// Save it for 'backchat apply', with mode 0600
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    show: Show,

    /// Long diffs and command lists in full
    #[arg(long)]
    full: bool,
}

/// What is assumed: a word for the daemon, or a file that is read here, where its user may read it.
#[derive(Clone, Debug)]
enum Assumed {
    Word(String),
    Template(PathBuf),
}

fn assumption(text: &str) -> Result<Assumed, String> {
    match text.strip_prefix("template=") {
        Some("") => Err("template= needs a FILE".into()),
        Some(path) => Ok(Assumed::Template(path.into())),
        None => text.parse::<Assumption>().map(|_| Assumed::Word(text.to_owned())),
    }
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<Exit> {
    if flags.out.is_some() && !flags.assume.is_empty() {
        let text = "--out: what is only assumed cannot be applied; leave out --assume, or --out";
        return Err(settings::Error::Flags(text.into()).into());
    }
    let request = request(flags.assume)?;
    let answer = ask(&flags.connection.open()?, &request).await?;
    if let Some(path) = &flags.out {
        // Before it is shown: what somebody has read can be applied.
        saved::save(path, &answer.text)?;
    }
    flags.show.print(&answer, |plan| output::plan::text(plan, flags.full))?;
    for note in notes(&answer.value, flags.out.as_deref()) {
        output::note(&note);
    }
    Ok(exit(&answer.value))
}

fn request(assumed: Vec<Assumed>) -> Result<PlanRequest, FileError> {
    let mut request = PlanRequest::default();
    for assumed in assumed {
        match assumed {
            Assumed::Word(word) => request.assume.push(word),
            Assumed::Template(path) => {
                let wrong = |source| FileError::Read { path: path.clone(), source };
                let text = drivers::read_template(&path).map_err(wrong)?;
                request.template = Some(TemplateText { name: path.display().to_string(), text });
            }
        }
    }
    Ok(request)
}

async fn ask(client: &Client, request: &PlanRequest) -> anyhow::Result<Answer<Plan>> {
    if request.template.is_some() {
        return Ok(client.post("/v1/plan", request).await?);
    }
    // Node names need no escaping in a query.
    Ok(client.get(&format!("/v1/plan?assume={}", request.assume.join(","))).await?)
}

/// What is said beside the plan.
fn notes(plan: &Plan, out: Option<&std::path::Path>) -> Vec<String> {
    let saved = out.map(|path| {
        let path = path.display();
        format!("saved as {path}: 'backchat apply {path}' does exactly this, or says what has moved")
    });
    let how = if out.is_some() { "that" } else { "'backchat plan --out FILE' and 'backchat apply FILE'" };
    let waits = plan.waits_for_approval.then(|| format!("the reload waits for {how}; endpoints flow"));
    saved.into_iter().chain(waits).collect()
}

/// How a command ends that has shown this plan.
pub(super) fn exit(plan: &Plan) -> Exit {
    // Not synced, nothing is removed: what will be to change is not known yet.
    let is_all = plan.synced && plan.holds.is_empty() && plan.summary.waiting == 0;
    match (plan.changes_anything(), is_all) {
        (true, _) => Exit::Changes,
        (false, false) => Exit::Held,
        (false, true) => Exit::Done,
    }
}
