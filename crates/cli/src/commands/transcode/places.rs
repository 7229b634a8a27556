//! Where the inputs of `abanico transcode` come from and where its outputs go. Folders are presented as buckets, so that
//! the engine only sees URLs. Nothing here looks at the outputs' names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use abanico_process::{WorkFolder, WorkPlace};
use abanico_store::{FolderBucket, RemoteOptions, RemoteS3, Router};
use anyhow::Context;

use crate::arguments::Transcode;
use crate::commands::local::{existing_file, work_folder};
use crate::failure::{Hinted, WRONG_USAGE};
use crate::own_names::OwnNames;

/// How the names of work folders beside outputs begin.
pub(crate) const WORK_PREFIX: &str = ".abanico-work-";
/// URL of the output folder for the engine.
pub(super) const OUTPUT: &str = "s3://output/";

/// An input: its URL for the engine and, for a file, its path.
pub(super) struct Input {
    pub url: String,
    pub file: Option<PathBuf>,
}

/// Where inputs come from and outputs go.
pub(super) struct Places {
    router: Router,
    /// The inputs, in the order of the arguments.
    pub inputs: Vec<Input>,
    /// The user's names for the engine's URLs.
    pub names: OwnNames,
    /// URL of the outputs' folder.
    pub destination: String,
    /// The outputs' folder, unless they go to a bucket.
    pub out: Option<PathBuf>,
}

impl Places {
    pub fn new(arguments: &Transcode) -> anyhow::Result<Self> {
        let mut router = Router::new().with_other_buckets(Arc::new(RemoteS3::new(RemoteOptions::default())));
        let (mut inputs, mut names) = (Vec::new(), OwnNames::default());
        for (index, text) in arguments.inputs.iter().enumerate() {
            if text.starts_with("s3://") {
                inputs.push(Input { url: text.clone(), file: None });
                continue;
            }
            let file = existing_file(Path::new(text), "check the path; write S3 objects as s3://bucket/key")?;
            // A symbolic link has a name of its own, which the outputs get.
            let name = Path::new(text).file_name().and_then(|name| name.to_str());
            let (Some(folder), Some(real), Some(name)) = (file.parent(), file.file_name(), name) else {
                return Err(Hinted::new(
                    WRONG_USAGE,
                    format!("`{text}` is not a file with a UTF-8 name"),
                    "rename it",
                )
                .into());
            };
            let bucket = format!("input-{index}");
            let films = FolderBucket::new(folder)?.with_alias(name, real);
            router = router.with_bucket(bucket.clone(), Arc::new(films));
            let url = format!("s3://{bucket}/{name}");
            names.add(&url, file.display().to_string());
            inputs.push(Input { url, file: Some(file.clone()) });
        }
        if arguments.out.starts_with("s3://") {
            let destination = if arguments.out.ends_with('/') {
                arguments.out.clone()
            } else {
                format!("{}/", arguments.out)
            };
            return Ok(Self { router, inputs, names, destination, out: None });
        }
        let out = out_folder(&arguments.out)?;
        std::fs::create_dir_all(&out)
            .with_context(|| format!("cannot create the output folder `{}`", out.display()))?;
        names.add(OUTPUT, format!("{}/", trimmed(&out)));
        Ok(Self { router, inputs, names, destination: OUTPUT.to_owned(), out: Some(out) })
    }

    /// Creates a hidden folder for work in progress beside the outputs, so that publishing does not cross file
    /// systems. It is removed at the end.
    pub fn work_folder(&self) -> anyhow::Result<WorkFolder> {
        let folder = self.out.clone().unwrap_or_else(std::env::temp_dir);
        work_folder(WorkPlace { folder: &folder, prefix: WORK_PREFIX, suffix: "" })
    }

    /// Returns the store of inputs and outputs. Outputs are written in the work folder before they get their names.
    pub fn router(&self, work: &WorkFolder) -> anyhow::Result<Router> {
        let Some(out) = &self.out else { return Ok(self.router.clone()) };
        let bucket = FolderBucket::new(out)
            .with_context(|| format!("cannot use `{}` as the output folder", out.display()))?;
        Ok(self.router.clone().with_bucket("output", Arc::new(bucket.with_staging(work.path()))))
    }

    /// Returns the text with the engine's URLs replaced by the user's own paths.
    pub fn readable(&self, text: &str) -> String {
        self.names.readable(text)
    }
}

pub(super) fn trimmed(folder: &Path) -> String {
    let text = folder.display().to_string();
    text.trim_end_matches('/').to_owned()
}

/// Returns the folder for outputs. A name that is a file's, or looks like one's, is refused: outputs get their names from
/// the inputs and the job.
fn out_folder(text: &str) -> anyhow::Result<PathBuf> {
    let refused = |why: String, hint: &str| Err(Hinted::new(WRONG_USAGE, why, hint).into());
    let (out, is_folder_name) = (PathBuf::from(text), text.ends_with('/'));
    if text.is_empty() || text == "-" {
        let hint = "give a folder; outputs are several files, so they do not go to stdout";
        return refused(format!("`{text}` is no folder for outputs"), hint);
    }
    if out.exists() && !out.is_dir() {
        let hint = "give a folder; each output is named after its input";
        return refused(format!("`{text}` is a file, and --out takes a folder"), hint);
    }
    if !out.exists() && !is_folder_name && abanico_trigger::is_media_name(text) {
        let hint = format!(
            "give a folder; each output is named after its input. For a folder of that name: --out {text}/"
        );
        return refused(format!("`{text}` looks like the name of a file, and --out takes a folder"), &hint);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_for_outputs_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let inside = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(inside("a"), "text").unwrap();
        std::fs::create_dir(inside("films.mp4")).unwrap();
        for good in [".".to_owned(), inside("new"), inside("films.mp4"), inside("new.mp4/"), inside("v1.2")] {
            assert_eq!(out_folder(&good).unwrap(), PathBuf::from(&good));
        }
        for bad in [String::new(), "-".to_owned(), inside("a"), inside("new.mp4"), inside("new.MKV")] {
            let error = out_folder(&bad).unwrap_err().to_string();
            assert!(error.contains(&format!("`{bad}`")), "{error}");
        }
    }
}
