//! Asks a server as fast as it answers, or at a given rate, and prints what came of it as one line of JSON.
//!
//! One thread with one event loop, as the CPUs are the server's too.

mod answer;
mod connection;
mod event_loop;
mod grpc;
mod plan;
mod transport;
mod window;

use std::{error::Error, io::Write};

use clap::Parser;

use crate::plan::{Arguments, Plan};

fn main() -> Result<(), Box<dyn Error>> {
    let plan = Plan::new(&Arguments::parse())?;
    let report = if plan.grpc { grpc::run(&plan)? } else { event_loop::run(&plan)? };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
    Ok(())
}
