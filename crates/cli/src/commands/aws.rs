//! The `aws` commands, which manage the serverless pipeline on AWS. `deploy` and `remove` first show
//! what they will change.

mod deploy;
pub mod estimate;
mod logs;
mod remove;
mod status;
mod submit;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use abanico_deployment::{Account, DEPLOYER_POLICY, ErrorKind, StackEvent, StackState};
use anyhow::Context;

use crate::arguments::{Aws, AwsCommand, AwsPlace};
use crate::failure::{Hinted, MISSING_HERE, WORK_FAILED, WRONG_USAGE};
use crate::output;
use crate::signals::Signals;

/// Runs an `aws` command until it or a signal ends it.
pub async fn run(aws: Aws) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let what = match &aws.command {
        AwsCommand::Submit(_) => "a job that was submitted continues",
        AwsCommand::Deploy(_) | AwsCommand::Remove(_) => {
            "what has begun on AWS continues; `abanico aws status` shows it"
        }
        _ => "nothing was changed",
    };
    tokio::select! {
        done = run_command(aws.place, aws.command) => done,
        ending = signals.first() => Err(ending.error(what)),
    }
}

async fn run_command(place: AwsPlace, command: AwsCommand) -> anyhow::Result<ExitCode> {
    match command {
        AwsCommand::Deploy(deploy) => deploy::run(&place, *deploy).await,
        AwsCommand::Remove(remove) => remove::run(&place, remove).await,
        AwsCommand::Status(status) => status::run(&place, status).await,
        AwsCommand::Logs(logs) => logs::run(&place, logs).await,
        AwsCommand::Submit(submit) => submit::run(&place, submit).await,
        AwsCommand::Estimate(estimate) => estimate::run(place.region.as_deref(), *estimate).await,
        AwsCommand::Policy => {
            output::line(DEPLOYER_POLICY.trim_end());
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn connect(place: &AwsPlace) -> anyhow::Result<Account> {
    Account::connect(place.profile.as_deref(), place.region.as_deref()).await.map_err(hinted)
}

/// Converts an error of the deployment to one with an exit status and a hint.
fn hinted(error: abanico_deployment::Error) -> anyhow::Error {
    let code = match error.kind() {
        ErrorKind::Credentials => MISSING_HERE,
        ErrorKind::Usage => WRONG_USAGE,
        _ => WORK_FAILED,
    };
    Hinted::new(code, error.to_string(), error.hint()).into()
}

/// Asks the user a question and returns whether the answer is `expected`. Returns true without asking if `assumed`.
///
/// # Errors
/// Fails if stdin is not a terminal.
async fn confirmed(question: &str, expected: &str, assumed: bool) -> anyhow::Result<bool> {
    if assumed {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        let hint = "pass --yes to continue without asking";
        return Err(
            Hinted::new(WRONG_USAGE, "cannot ask for confirmation: stdin is not a terminal", hint).into()
        );
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "{question} ").and_then(|()| stderr.flush()).context("cannot ask for confirmation")?;
    let (tell, told) = tokio::sync::oneshot::channel();
    // A thread of its own: reading must delay neither a signal nor the exit.
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer).map(|_| answer);
        let _ = tell.send(read);
    });
    let answer = told.await.context("cannot read the answer")?.context("cannot read the answer")?;
    Ok(answer.trim().eq_ignore_ascii_case(expected))
}

/// Prints a line about a stack event to stderr.
fn tell(event: &StackEvent) {
    let reason = if event.reason.is_empty() { String::new() } else { format!(": {}", event.reason) };
    output::note(format!("  {:<28} {}{reason}", event.status, event.resource));
}

/// Returns the state of the stack, which must exist.
async fn deployed(account: &Account, name: &str) -> anyhow::Result<StackState> {
    let stack = abanico_deployment::Stack::of(account, name).map_err(hinted)?;
    let state = stack.state().await.map_err(hinted)?;
    state.ok_or_else(|| {
        let message =
            format!("there is no stack `{name}` in {} of account {}", account.region(), account.id());
        Hinted::new(
            WRONG_USAGE,
            message,
            "deploy it with `abanico aws deploy`, or choose another stack with --stack",
        )
        .into()
    })
}

/// Returns an output of the stack.
fn stack_output<'a>(state: &'a StackState, name: &str) -> anyhow::Result<&'a str> {
    state.outputs.get(name).map(String::as_str).ok_or_else(|| {
        let message = format!("the stack has no output `{name}`: it is in state {}", state.status);
        Hinted::new(WORK_FAILED, message, "wait until the deployment has finished, or deploy again").into()
    })
}
