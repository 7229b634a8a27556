//! Probes a file without a job. The file is not kept, and only a few files are probed at a time.

use std::path::Path;
use std::time::Duration;

use abanico_media::MediaInfo;
use abanico_process::WorkPlace;
use abanico_store::{FetchedFile, without_secrets};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::ErrorKind;
use crate::failure::{self, codes};
use crate::jobs::job_machine::Failure;
use crate::records::items::ItemKind;
use crate::site::fetching::check_policy;

/// Longest time to fetch and probe one file.
const LIMIT: Duration = Duration::from_secs(120);

/// Returns where files are probed, below the engine's folder.
pub(crate) fn probe_folders(folder: &Path) -> WorkPlace<'_> {
    WorkPlace { folder, prefix: "probe-", suffix: "" }
}

impl Engine {
    /// Fetches and probes a file.
    ///
    /// # Errors
    /// Returns the failure that a job with this input would report, with MediaConvert's code.
    pub async fn probe(&self, url: &str) -> Result<(FetchedFile, MediaInfo), Failure> {
        let policy = self.item(ItemKind::Policy, "").await.map_err(|error| match error.kind() {
            ErrorKind::PutAside => failure::unreadable_policy(&error),
            _ => failure::broken_storage(&error),
        })?;
        check_policy(&policy.unwrap_or_default(), url)?;
        let workshop = self.workshop();
        // At most one per processor at once; the others wait.
        let _permit = workshop.turns.for_light_work().await?;
        let folder = probe_folders(self.folder())
            .create()
            .map_err(|error| failure::from_disk("create a folder to probe a file", &error))?;
        let file = folder.path().join("input");
        let cancel = CancellationToken::new();
        let _stopped = cancel.clone().drop_guard();
        let look = async {
            let fetched = workshop.fetch(url, &file).await?;
            let probed = abanico_ffmpeg::probe(&workshop.machine.tools, &file, &cancel).await;
            let info =
                probed.map_err(|error| failure::from_probe(url, &file.display().to_string(), &error))?;
            Ok((fetched, info))
        };
        tokio::time::timeout(LIMIT, look).await.unwrap_or_else(|_| {
            let url = without_secrets(url);
            let message = format!("probing `{url}` took longer than {} s", LIMIT.as_secs());
            Err(Failure::new(codes::UNKNOWN, message, true))
        })
    }
}
