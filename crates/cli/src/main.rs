//! The program `abanico`. It writes data to stdout and everything else to stderr.
//!
//! It only parses arguments, runs the command, waits and cleans up. The logic is in the commands and the other crates.

mod arguments;
mod commands;
mod config;
mod credentials;
mod descriptors;
mod failure;
mod job_request;
mod logging;
mod output;
mod own_names;
mod progress;
mod running_server;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::start(arguments.log, !arguments.command.stays_up());
    match run(arguments) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // The sandbox replaces this process, which must not have other threads.
    if let Command::Sandbox(sandbox) = arguments.command {
        return Err(commands::sandbox::enter(&sandbox));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match arguments.command {
            Command::Serve(serve) => commands::serve::run(serve).await,
            Command::Demo(demo) => commands::demo::run(demo).await,
            Command::Transcode(transcode) => commands::transcode::run(transcode).await,
            Command::Probe(probe) => commands::probe::run(probe).await,
            Command::Inspect(inspect) => commands::inspect::run(inspect).await,
            Command::Plan(plan) => commands::plan::run(plan).await,
            Command::Doctor(doctor) => commands::doctor::run(doctor).await,
            Command::DeadLetters(letters) => commands::dead_letters::run(letters).await,
            Command::Receivers(receivers) => commands::receivers::run(receivers).await,
            Command::Records(records) => commands::records::run(&records),
            Command::Gc(gc) => commands::gc::run(gc).await,
            Command::S3(s3) => commands::s3::run(s3).await,
            Command::Backup(backup) => commands::backup::run(backup).await,
            Command::Restore(restore) => commands::backup::put_back(restore).await,
            #[cfg(feature = "aws")]
            Command::Aws(aws) => commands::aws::run(aws).await,
            #[cfg(feature = "fleet")]
            Command::Worker(worker) => commands::fleet::worker::run(worker).await,
            #[cfg(feature = "fleet")]
            Command::Workers(workers) => commands::fleet::workers::run(workers).await,
            Command::Task(task) => commands::task::run(task).await,
            Command::Sandbox(_) => Ok(ExitCode::SUCCESS),
        }
    });
    // Blocking reads of stdin or a slow disk must not delay the exit.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    done
}
