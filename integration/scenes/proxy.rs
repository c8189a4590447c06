//! What most scenes do to the balancer called `proxy`, and ask of it.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;

use super::world::{PATIENCE, World, backchat};

impl World {
    /// SIGKILL for the daemon, until it is gone; its data plane serves on.
    pub(super) async fn kill_lb(&mut self) {
        let lb = &mut self.balancers.get_mut("proxy").unwrap().process;
        lb.kill().unwrap();
        lb.ended(PATIENCE).await.unwrap().expect("it was killed");
    }

    /// SIGTERM, until it has ended well.
    pub(super) async fn end_lb(&mut self) {
        let lb = &mut self.balancers.get_mut("proxy").unwrap().process;
        lb.terminate().unwrap();
        let status = lb.ended(PATIENCE).await.unwrap();
        assert_eq!(status.and_then(|s| s.code()), Some(0), "{}", self.last_words());
    }

    /// Its status, `null` where it does not answer.
    pub(super) async fn status(&self) -> Value {
        self.json("proxy", &["status"]).await.unwrap_or_default()
    }

    /// Its status as people read it, and the exit status of the command.
    pub(super) async fn status_text(&self) -> (String, Option<i32>) {
        let admin = format!("unix:{}", self.run_dir("proxy").join("admin.sock").display());
        let asked = tokio::process::Command::new(backchat()).args(["status", "--admin", &admin]).output();
        let output = asked.await.unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
    }

    /// Waits until it has nothing left to do, and all went well.
    pub(super) async fn converges(&self) {
        self.converges_at("proxy").await;
    }

    /// The same of another one.
    pub(super) async fn converges_at(&self, balancer: &str) {
        let done = |status: Value| status["converged"] == true && status["up"] == true && status["error"].is_null();
        let is_planned = |change: &Value| change["status"] == "planned";
        let seen = || async {
            // Answered between two steps, by what the sources say then: what is under way is over, and its status is the one
            // that follows.
            let plan = self.json(balancer, &["plan"]).await.unwrap_or_default();
            let changes = plan["changes"].as_array().is_some_and(|changes| !changes.iter().any(is_planned));
            changes && done(self.json(balancer, &["status"]).await.unwrap_or_default())
        };
        self.eventually(&format!("{balancer} has converged"), seen).await;
    }

    /// Whether it knows these agents, so many, and has nothing left to do.
    pub(super) async fn is_settled(&self, agents: usize) -> bool {
        let status = self.status().await;
        status["synced"] == true && status["converged"] == true && status["members"]["alive"] == agents + 1
    }

    /// Waits until its data plane gives this server no new request; says how long that took.
    pub(super) async fn out(&self, server: SocketAddr) -> Duration {
        let out = self.plane("proxy").out(server, PATIENCE).await;
        out.unwrap_or_else(|| panic!("{server} stays in\n{}", self.last_words()))
    }
}
