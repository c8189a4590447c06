//! What most scenes do to the balancer called `proxy`, and ask of it.

use std::{net::SocketAddr, time::Duration};

use backchat::demo::plane;
use serde_json::Value;

use super::world::{PATIENCE, World, backchat};

impl World {
    /// SIGKILL for the daemon, until it is gone; its HAProxy serves on.
    pub(super) async fn kill_lb(&mut self) {
        let lb = &mut self.balancers.get_mut("proxy").unwrap().process;
        lb.kill().unwrap();
        lb.ended(PATIENCE).await.unwrap().expect("it was killed");
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
        let done = |status: Value| status["converged"] == true && status["up"] == true && status["error"].is_null();
        self.eventually("the lb has converged", || async { done(self.status().await) }).await;
    }

    /// Waits until its HAProxy gives this server no new request; says how long that took.
    pub(super) async fn out(&self, server: SocketAddr) -> Duration {
        let socket = self.run_dir("proxy").join("haproxy.sock");
        let out = plane::wait(&socket, PATIENCE, |servers| !plane::takes(servers, server)).await;
        out.unwrap_or_else(|| panic!("{server} stays in\n{}", self.last_words()))
    }
}
