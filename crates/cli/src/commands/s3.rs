//! `abanico s3 fsck`: prints what is wrong with the objects of a stopped server, and repairs it if asked.

use std::process::ExitCode;

use abanico_s3::{FsckOptions, FsckReport, Problem, fsck};

use crate::arguments::{Fsck, S3, S3Command};
use crate::failure::{Hinted, WORK_FAILED, WRONG_USAGE};
use crate::output;

/// Runs the command.
pub async fn run(arguments: S3) -> anyhow::Result<ExitCode> {
    let S3Command::Fsck(arguments) = arguments.command;
    check(arguments).await
}

async fn check(arguments: Fsck) -> anyhow::Result<ExitCode> {
    let folder = arguments.data.join("s3");
    if !folder.is_dir() {
        let message = format!("`{}` is not a data folder of abanico", arguments.data.display());
        let hint = "give the data folder of `abanico serve` with --data";
        return Err(Hinted::new(WRONG_USAGE, message, hint).into());
    }
    let options = FsckOptions { repair: arguments.repair, verify: arguments.verify };
    let checked = tokio::task::spawn_blocking(move || fsck(&folder, options)).await?;
    let report = checked.map_err(|error| {
        let hint = "stop the server first: it must not change the folder meanwhile";
        anyhow::Error::new(error).context(Hinted::new(WRONG_USAGE, "the check could not run", hint))
    })?;
    print(&report, &arguments);
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(WORK_FAILED) })
}

fn print(report: &FsckReport, arguments: &Fsck) {
    let mut rows = vec![
        vec!["objects".to_owned(), report.objects.to_string()],
        vec!["parts of uploads".to_owned(), report.parts.to_string()],
    ];
    let is_told = |problem: &Problem| *problem != Problem::WrongChecksum || arguments.verify;
    let counts = Problem::ALL.into_iter().filter(is_told);
    rows.extend(counts.map(|problem| vec![problem.name().to_owned(), report.count(problem).to_string()]));
    output::table(&["what", "count"], &rows).iter().for_each(output::line);
    if !report.is_clean() {
        output::line("");
        let mut findings = report.findings.clone();
        findings.sort_by(|a, b| (a.problem, &a.name).cmp(&(b.problem, &b.name)));
        let rows: Vec<Vec<String>> = findings
            .into_iter()
            .map(|it| vec![it.problem.name().to_owned(), it.name.escape_debug().to_string(), it.detail])
            .collect();
        output::table(&["problem", "name", "detail"], &rows).iter().for_each(output::line);
    }
    match &report.repaired {
        Some(repaired) => {
            if let Some(old) = &repaired.old_index {
                output::note(format!("the index was rebuilt; the old one is kept in `{}`", old.display()));
            } else {
                output::note("the index was rebuilt");
            }
            if let Some(folder) = &repaired.quarantine {
                output::note(format!("unused files were moved to `{}`", folder.display()));
            }
        }
        None if report.is_clean() => output::note("nothing is wrong"),
        None if arguments.repair => output::note("nothing could be repaired"),
        None => output::note("nothing was changed; run it again with --repair to repair it"),
    }
}
