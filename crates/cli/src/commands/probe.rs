//! `abanico probe`: prints a file's facts as JSON. Packets overrule the header.

use std::process::ExitCode;

use abanico_media::MediaInfo;
use tokio_util::sync::CancellationToken;

use super::local::{Toolbox, existing_file, toolbox};
use crate::arguments::Probe;
use crate::config::SandboxMode;
use crate::failure::{Hinted, WORK_FAILED};
use crate::output;

/// Prints a file's facts.
pub async fn run(arguments: Probe) -> anyhow::Result<ExitCode> {
    let info = facts(&toolbox(SandboxMode::default())?, &arguments.file).await?;
    output::json(&info)?;
    Ok(ExitCode::SUCCESS)
}

/// Probes a file and returns its facts.
pub async fn facts(toolbox: &Toolbox, file: &std::path::Path) -> anyhow::Result<MediaInfo> {
    let real = existing_file(file, "check the path and its permissions")?;
    let probed = abanico_ffmpeg::probe(&toolbox.tools, &real, &CancellationToken::new()).await;
    probed.map_err(|error| {
        let hint = "check that it plays; `abanico doctor` checks this machine";
        Hinted::new(WORK_FAILED, error.to_string(), hint).into()
    })
}
