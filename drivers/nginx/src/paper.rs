//! An nginx on paper, for tests and benchmarks: it runs by its file once that is loaded, and its workers of before end
//! what they have.

use std::{path::Path, sync::Arc, time::Duration};

use backchat_contract::{
    Desired, Driver, DriverError, EndpointId, Idle, Mode, PlanView, Plane, Report, Step, paper::OnPaper,
};
use backchat_template::{Template, seal};

use crate::{
    ages::Worker,
    config::{self, ConfigSettings, Rendered, Renderer},
    control::Running,
    layout::Layout,
    lines::{self, Kept},
    observe::Observed,
    paths::Paths,
    plan::{Plan, Planner, part},
    runner::Look,
};

/// Where its file lies.
pub(crate) const FILE: &str = "/r/nginx.conf";
const ASIDE: &str = "/r/nginx.conf.edited";

/// An nginx that is a variable.
#[derive(Clone)]
pub struct Paper {
    pub(crate) look: Look,
    pub(crate) by: By,
    /// What it took last, where it is not asked again for the like.
    pub(crate) taken: Option<String>,
    is_busy: bool,
}

/// What its file is rendered by.
#[derive(Clone)]
pub(crate) enum By {
    /// What the real rendering says, in short; the word stands for settings and template. None renders nothing.
    Word(&'static str),
    /// The real rendering.
    Settings(Arc<ConfigSettings>),
}

impl By {
    fn plan(&self, by: impl FnOnce(&Structure<'_>, &Text<'_>) -> Step<Plan>) -> Step<Plan> {
        match self {
            Self::Word(word) => {
                let text = |layout: &Layout, generation, _: &str| Ok(render(layout, generation, word)?.text);
                by(&|layout| Ok(render(layout, 0, word)?.structure), &text)
            }
            Self::Settings(settings) => {
                let renderer = Renderer::new(settings);
                by(&|layout| renderer.structure(layout), &|layout, generation, of| {
                    renderer.file(layout, generation, of)
                })
            }
        }
    }
}

type Structure<'a> = dyn Fn(&Layout) -> Result<String, DriverError> + 'a;
type Text<'a> = dyn Fn(&Layout, u64, &str) -> Result<String, DriverError> + 'a;

impl Paper {
    /// One of ours, as it starts for the first time, by this text as its template.
    pub fn by(template: &str) -> Self {
        Self::rendered(template, false)
    }

    /// The same as a part of somebody else's.
    pub fn attached(template: &str) -> Self {
        Self::rendered(template, true)
    }

    fn rendered(template: &str, is_include: bool) -> Self {
        let template = Template { name: "nginx.conf.jinja".into(), text: template.to_owned() };
        let paths = Paths::new(Path::new("/r")).unwrap();
        let settings = ConfigSettings::new(template, paths, vec![([0, 0, 0, 0], 80).into()]);
        let settings = ConfigSettings { is_include, ..settings };
        let first = config::render(&settings, &Layout::default(), 1).unwrap();
        Self::on(first.text, By::Settings(Arc::new(settings)))
    }

    /// The same, rendered in short: quicker.
    #[expect(clippy::missing_panics_doc, clippy::new_without_default, reason = "it renders; and it is no value")]
    pub fn new() -> Self {
        Self::on(render(&Layout::default(), 1, "t").unwrap().text, By::Word("t"))
    }

    fn on(file: String, by: By) -> Self {
        let mut paper = Self { look: Look { master: 7, file, ..Look::default() }, by, taken: None, is_busy: false };
        paper.load();
        paper
    }

    /// It runs by its file from now on, with another worker; those of before end what they have.
    fn load(&mut self) {
        let kept = lines::parse(&self.look.file).unwrap();
        for worker in &mut self.look.workers {
            worker.retiring = true;
        }
        let pid = 100 + u32::try_from(kept.generation).unwrap();
        self.look.workers.push(Worker { pid, born: kept.generation, retiring: false });
        let (generation, structure) = (kept.generation, kept.structure);
        self.look.running = Some(Running { generation, structure, version: "1.22.1".into(), pid });
        self.look.distrusted = false;
    }

    pub(crate) fn step(&self, desired: &Desired, observed: &Observed, mode: Mode) -> Step<Plan> {
        let (file, aside) = (Path::new(FILE), Path::new(ASIDE));
        self.by.plan(|structure, render| {
            Planner { file, aside, check: "nginx -t", taken: self.taken.as_deref(), structure, render }
                .plan(desired, observed, mode)
        })
    }

    pub(crate) fn take(&mut self, plan: &Plan) {
        self.look.last_good = std::mem::replace(&mut self.look.file, plan.text.clone());
        if plan.reload.is_some() {
            self.load();
        }
    }
}

impl Driver for Paper {
    type Observed = Observed;
    type Plan = Plan;

    async fn ensure(&mut self) -> Result<(), DriverError> {
        Ok(())
    }

    async fn observe(&mut self) -> Result<Observed, DriverError> {
        Ok(Observed::of(self.look.clone()))
    }

    fn live(&self, observed: &Observed) -> Desired {
        observed.live.desired()
    }

    fn plane(&self, observed: &Observed) -> Plane {
        Plane {
            name: "nginx",
            version: observed.look.running.as_ref().map(|r| r.version.clone()).unwrap_or_default(),
            generation: observed.generation(),
            old_workers: observed.retiring(),
            blocked: observed.look.edited(Path::new(FILE), Path::new(ASIDE)),
            template: None,
            access_log: None,
            asks_failing: true,
        }
    }

    fn part(&self, desired: &Desired) -> Desired {
        part(desired)
    }

    fn plan(&self, desired: &Desired, observed: &Observed, mode: Mode) -> Step<Plan> {
        self.step(desired, observed, mode)
    }

    fn view(&self, plan: &Plan) -> PlanView {
        plan.view()
    }

    async fn apply(&mut self, plan: Plan) -> Result<Report, DriverError> {
        self.take(&plan);
        let applied = plan.reload.as_ref().map_or(0, |reload| reload.commands.len());
        Ok(Report { applied, reloaded: plan.reload.is_some(), ..Report::default() })
    }

    fn idle(&self, observed: &Observed, id: &EndpointId) -> Idle {
        observed.idle(id)
    }

    fn down(&self, _: &Observed) -> std::collections::BTreeSet<EndpointId> {
        std::collections::BTreeSet::new()
    }

    fn endpoints_reload(&self) -> bool {
        true
    }

    async fn attention(&mut self) {
        std::future::pending::<()>().await;
    }

    async fn stop(&mut self, _: Duration) -> Result<(), DriverError> {
        Ok(())
    }
}

impl OnPaper for Paper {
    fn pass(&mut self, _: Duration) {
        if self.is_busy {
            return;
        }
        self.look.workers.retain(|worker| !worker.retiring);
    }

    /// Requests keep workers of before, and nothing else tells of them.
    fn busy(&mut self, requests: u64) {
        self.is_busy = requests > 0;
    }

    fn weigh(&mut self, _: &EndpointId, _: u16) -> bool {
        false
    }

    fn edit(&mut self) {
        self.look.file.insert_str(0, "# by hand\n");
    }

    fn alter(&mut self) {
        match &mut self.by {
            By::Word(word) => *word = "altered",
            By::Settings(settings) => Arc::make_mut(settings).no_route_status += 1,
        }
    }

    fn retemplate(&mut self, text: &str) {
        if let By::Settings(settings) = &mut self.by {
            text.clone_into(&mut Arc::make_mut(settings).template.text);
        }
    }
}

/// A template in one line a service that serves.
pub(crate) fn render(layout: &Layout, generation: u64, of: &str) -> Result<Rendered, DriverError> {
    if of.is_empty() {
        return Err(DriverError::Check { file: "t".into(), message: "no".into() });
    }
    let serving = layout.servers().filter(|(_, server)| server.serves());
    let servers = serving.map(|(id, server)| format!("server {id} {} {}", server.addr, server.weight));
    let routes = layout.routes.iter().map(|(route, service)| format!("route {route} {service}"));
    let count = |service: &crate::layout::Service| service.servers.values().filter(|s| s.serves()).count();
    let services = layout.services.iter().map(|(name, service)| format!("service {name} {}", count(service)));
    let lines: Vec<String> = std::iter::once(of.to_owned()).chain(servers).chain(routes).chain(services).collect();
    let structure = backchat_template::hash(&lines.join("\n"));
    let mut text = lines.join("\n") + &format!("\nsays {generation} {structure}\n");
    text += &lines::print(&Kept { generation, structure: structure.clone(), layout: layout.clone() });
    Ok(Rendered { text: seal(text), structure })
}
