//! `make bench`: backchat and what it replaces, side by side in one run.

mod figures;
mod rows;
mod serf;
mod side;
mod usage;
mod wrk;

use std::time::Duration;

use anyhow::Result;

#[tokio::main]
async fn main() -> Result<()> {
    let effort = rows::Effort { rounds: 3, crowd: 50, crowds: 2, events: 20, idle: Duration::from_secs(10) };
    let _serf = rows::measure::<serf::Serf>(effort).await?;
    Ok(())
}
