//! `abanico backup` and `abanico restore`: a copy of the data folder, and the way back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use abanico_server::backup::{BackupError, BackupOptions, RestoreOptions, back_up, restore};

use crate::arguments::{Backup, Restore};
use crate::failure::{Hinted, WORK_FAILED, WRONG_USAGE};
use crate::output;

/// How many missing files are named.
const MISSING_TOLD: usize = 10;

/// Makes a backup.
pub async fn run(arguments: Backup) -> anyhow::Result<ExitCode> {
    let standard = PathBuf::from("abanico.toml");
    let settings = arguments.config.or_else(|| standard.is_file().then_some(standard));
    let to = arguments.to.clone();
    let options = BackupOptions { data: arguments.data, settings, to: arguments.to };
    let made = tokio::task::spawn_blocking(move || back_up(&options)).await?.map_err(told)?;
    output::line(format!("{} files, {}, in `{}`", made.files, output::bytes(made.bytes), to.display()));
    Ok(status(&made.missing))
}

/// Puts a backup in place.
pub async fn put_back(arguments: Restore) -> anyhow::Result<ExitCode> {
    let data = arguments.data.clone();
    let options = RestoreOptions { from: arguments.from, data: arguments.data, replace: arguments.replace };
    let restored = tokio::task::spawn_blocking(move || restore(&options)).await?.map_err(told)?;
    let (files, bytes) = (restored.files, output::bytes(restored.bytes));
    output::line(format!("{files} files, {bytes}, of {} in `{}`", restored.created, data.display()));
    if let Some(old) = &restored.moved_away {
        output::note(format!("the earlier data folder is now `{}`", old.display()));
    }
    if let Some(settings) = &restored.settings {
        output::note(format!(
            "the configuration of that time is `{}`; it is used only if you say so",
            settings.display()
        ));
    }
    Ok(status(&restored.missing))
}

/// Tells what was missing before the backup, and returns the exit status.
fn status(missing: &[PathBuf]) -> ExitCode {
    if missing.is_empty() {
        return ExitCode::SUCCESS;
    }
    output::note(format!("{} files were missing in the data folder already:", missing.len()));
    missing
        .iter()
        .take(MISSING_TOLD)
        .for_each(|path: &PathBuf| output::note(Path::display(path).to_string()));
    output::note(
        "run `abanico s3 fsck` on the stopped server's data folder to see which objects they belong to",
    );
    ExitCode::from(WORK_FAILED)
}

fn told(error: BackupError) -> anyhow::Error {
    let (code, hint) = match &error {
        BackupError::Refused(_) => (WRONG_USAGE, "docs/BACKUP.md shows the commands"),
        BackupError::Database(_) => {
            (WORK_FAILED, "a backup may be made at any time, but stop the server to restore one")
        }
        _ => (WORK_FAILED, "check that the disk has room and that you may read and write both folders"),
    };
    anyhow::Error::new(error).context(Hinted::new(code, "nothing was put in place", hint))
}
