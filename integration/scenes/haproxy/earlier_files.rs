//! What an earlier version, or somebody with an editor, left in the place of HAProxy's three files.

use backchat::demo::Driver;

use crate::scenes::{
    failpoints::{arm, dies, nothing_is_lost},
    world::{World, free},
};

/// The files as an earlier version wrote them, each by itself, and one that an editor put in a link's place.
#[tokio::test(flavor = "multi_thread")]
async fn killed_while_files_of_before_are_taken_in() {
    for point in ["files:adopted", "1*off->files:linked", "2*off->files:linked"] {
        let (skip, name) = point.split_once("->").map_or(("", point), |(skip, name)| (skip, name));
        let arrow = if skip.is_empty() { "" } else { "->" };
        let mut world = World::with(Driver::Haproxy, &["web1", "web2"]).await;
        world.converges().await;
        world.kill_lb().await;
        let run_dir = world.run_dir("proxy");
        for file in ["haproxy.cfg", "hosts.map", "services.map"] {
            let place = run_dir.join(file);
            let text = std::fs::read(&place).unwrap();
            std::fs::remove_file(&place).unwrap();
            std::fs::write(&place, text).unwrap();
        }
        std::fs::remove_dir_all(run_dir.join("files")).unwrap();
        arm(&mut world, &format!("{name}={skip}{arrow}return"));
        let other = free().to_string();
        world.restart_balancer_with("proxy", &["--listen", &other]);
        dies(&mut world, point).await;
        nothing_is_lost(&mut world, point, &["web1", "web2"], &["web1", "web2"], &["--listen", &other]).await;
    }
}
