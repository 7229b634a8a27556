//! Code shared by the commands that use ffmpeg: it finds the tools, sets up the sandbox and makes a work folder.
//!
//! ffmpeg runs in the sandbox unless the configuration turns it off. `weaknesses` says which parts this machine lacks.

use std::fmt::Display;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use abanico_engine::{ResultsOptions, Sandboxing};
use abanico_ffmpeg::Tools;
use abanico_ffmpeg::sandbox::{Launcher, Policy, support};
use abanico_process::{WorkFolder, WorkPlace};
use anyhow::Context;

use crate::config::SandboxMode;
use crate::failure::{Hinted, MISSING_HERE, WRONG_USAGE};
use crate::signals::Ending;

/// Free disk space in bytes below which jobs are likely to fail.
pub const LOW_DISK_BYTES: u64 = 2_000_000_000;

/// Returns options that keep finished encodes in `folder`, up to `gib` GiB but no more than a fifth of the disk space
/// that is free now. Encodes are removed when the disk runs low.
pub fn results(folder: PathBuf, gib: u64) -> ResultsOptions {
    // The folder may not exist yet. Its closest existing parent is on the same disk.
    let there = folder.ancestors().find(|place| place.exists()).unwrap_or(Path::new("."));
    let free = nix::sys::statvfs::statvfs(there);
    let free_bytes = free.map_or(u64::MAX, |stats| stats.blocks_available() * stats.fragment_size());
    let most_bytes = gib.saturating_mul(1 << 30).min(free_bytes / 5);
    ResultsOptions { folder, most_bytes, spare_bytes: LOW_DISK_BYTES }
}

/// ffmpeg, ffprobe and the sandbox that they run in.
pub struct Toolbox {
    /// The programs. ffprobe already starts in the sandbox.
    pub tools: Tools,
    /// How ffmpeg is sandboxed.
    pub sandboxing: Sandboxing,
    /// What the sandbox does not hold on this machine, one sentence each.
    pub weaknesses: Vec<String>,
}

/// Finds the tools.
///
/// # Errors
/// Fails if one is missing, or if the sandbox is required and this machine lacks a part of it. The hint says how to
/// mend that.
pub fn toolbox(mode: SandboxMode) -> anyhow::Result<Toolbox> {
    let tools = Tools::find(None, None).map_err(|error| {
        let hint = "run `apt-get install ffmpeg`, then `abanico doctor`";
        anyhow::Error::new(error).context(Hinted::new(MISSING_HERE, "ffmpeg cannot be used", hint))
    })?;
    let weaknesses = weaknesses(mode, support().weaknesses())?;
    if mode == SandboxMode::Off {
        return Ok(Toolbox { tools, sandboxing: Sandboxing::off(), weaknesses });
    }
    let exe = std::env::current_exe()
        .context("cannot find the executable file of abanico, which the sandbox needs")?;
    let launcher = Launcher::new(exe, vec!["__sandbox".to_owned()]).with_namespaces_if_possible();
    let tools = tools.with_launcher(launcher.clone().for_reading(Policy::for_probing()));
    Ok(Toolbox { tools, sandboxing: Sandboxing::with(launcher), weaknesses })
}

/// Returns what the sandbox does not hold in this mode, given what it lacks on this machine.
fn weaknesses(mode: SandboxMode, lacks: Vec<String>) -> anyhow::Result<Vec<String>> {
    match mode {
        SandboxMode::Off => Ok(vec![
            "the sandbox is off: a hostile video that takes over ffmpeg can do whatever this user can"
                .to_owned(),
        ]),
        SandboxMode::Required if !lacks.is_empty() => {
            let message =
                format!("the sandbox is required, but this machine lacks a part of it: {}", lacks.join("; "));
            let hint = "use Linux 6.2 or newer with Landlock and seccomp switched on, also in the container's profile, \
                        or accept less with `sandbox = \"best-effort\"` under [engine]";
            Err(Hinted::new(MISSING_HERE, message, hint).into())
        }
        SandboxMode::Required | SandboxMode::BestEffort => Ok(lacks),
    }
}

/// Returns the real path of a file that a user named.
///
/// # Errors
/// Fails if there is none, with `hint`, or if what is there is no file: a folder, a pipe or a device.
pub fn existing_file(path: &Path, hint: &str) -> anyhow::Result<PathBuf> {
    let name = path.display();
    let found = path.canonicalize().and_then(|real| Ok((real.metadata()?.file_type(), real)));
    let (kind, real) = found.map_err(|error| {
        let said = Hinted::new(WRONG_USAGE, format!("cannot find `{name}`"), hint);
        anyhow::Error::new(error).context(said)
    })?;
    let (what, remedy) = if kind.is_file() {
        return Ok(real);
    } else if kind.is_dir() {
        ("a folder", format!("name the files in it, such as {name}/*.mp4"))
    } else if kind.is_fifo() || kind.is_socket() {
        ("a pipe", "save what comes out of it as a file: a film is read more than once".to_owned())
    } else {
        ("a device", "name a file".to_owned())
    };
    Err(Hinted::new(WRONG_USAGE, format!("`{name}` is {what}, not a file"), &remedy).into())
}

/// Returns the number of processors of this machine, at least 1.
pub fn cores() -> u32 {
    std::thread::available_parallelism().ok().and_then(|cores| u32::try_from(cores.get()).ok()).unwrap_or(1)
}

/// Creates a work folder in `place` for this process, and removes those whose processes were killed.
///
/// # Errors
/// Fails if the place cannot be written to.
pub fn work_folder(place: WorkPlace<'_>) -> anyhow::Result<WorkFolder> {
    let removed = place.remove_abandoned();
    if removed > 0 {
        tracing::info!(removed, folder = %place.folder.display(), "removed work folders of runs that were killed");
    }
    let made = place.create();
    made.with_context(|| {
        format!("cannot create a folder for work in progress in `{}`", place.folder.display())
    })
}

/// Removes the work folder of a command that a signal ended, and returns the error to exit with. `kept` says what else
/// is left of its work.
pub fn interrupted(ending: Ending, work: Option<WorkFolder>, kept: impl Display) -> anyhow::Error {
    let place = work.as_ref().map(|work| work.path().display().to_string()).unwrap_or_default();
    match work.map_or(Ok(()), WorkFolder::remove) {
        Ok(()) => ending.error(format!("removed unfinished files, {kept}")),
        Err(error) => ending.error(format!("cannot remove `{place}`: {error}; {kept}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_sandbox_must_be_whole() {
        let lacks = || vec!["this kernel has no Landlock".to_owned()];
        let error = weaknesses(SandboxMode::Required, lacks()).unwrap_err();
        assert!(error.to_string().contains("this kernel has no Landlock"), "{error}");
        assert_eq!(weaknesses(SandboxMode::Required, Vec::new()).unwrap(), Vec::<String>::new());
        assert_eq!(weaknesses(SandboxMode::BestEffort, lacks()).unwrap(), lacks());
        assert!(weaknesses(SandboxMode::Off, Vec::new()).unwrap()[0].contains("off"));
    }
}
