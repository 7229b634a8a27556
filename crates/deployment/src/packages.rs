//! Reads the functions' zip files, which `make functions` builds, and adds the user's own job to them if there is one.
//! It does not build the functions, because that needs Rust.

use std::io::{Cursor, Write};
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use crate::Error;

/// The functions, by the first part of their zip files' names.
const FUNCTIONS: [&str; 3] = ["transcode-video", "job-finished", "bucket-notification"];
/// Path of the user's own job in the zip file of `transcode-video`.
const OWN_JOB: &str = "jobs/own.json";

/// Processor architecture of the functions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Architecture {
    /// Intel and AMD.
    #[default]
    X86_64,
    /// AWS Graviton, about a fifth cheaper.
    Arm64,
}

impl Architecture {
    /// Returns AWS's name for the architecture.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

/// Zip files to upload.
pub struct Packages {
    /// Name and bytes of each.
    pub files: Vec<(String, Vec<u8>)>,
    /// Key prefix of the uploaded objects. It changes whenever the content of a file does.
    pub prefix: String,
}

impl Packages {
    /// Reads the files from `folder` and adds `own_job` to the zip file of `transcode-video`.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Usage`](crate::ErrorKind::Usage) if a file is missing, or if the file that the job must be
    /// added to is not a zip file.
    pub fn find(folder: &Path, architecture: Architecture, own_job: Option<&Value>) -> Result<Self, Error> {
        let mut files = Vec::new();
        let mut hash = Sha256::new();
        for function in FUNCTIONS {
            let name = format!("{function}-{}.zip", architecture.name());
            let path = folder.join(&name);
            let mut bytes = std::fs::read(&path).map_err(|error| {
                let hint = format!(
                    "build the functions with `make functions ARCH={}` in a checkout of abanico, or name their folder with --functions",
                    architecture.name()
                );
                Error::usage(format!("cannot read the function `{}`: {error}", path.display()), hint)
            })?;
            if let Some(job) = own_job.filter(|_| function == "transcode-video") {
                bytes = with_job(&bytes, job).map_err(|error| {
                    let message = format!("`{}` is not the zip file of a function: {error}", path.display());
                    Error::usage(message, "rebuild it with `make functions`")
                })?;
            }
            hash.update(&bytes);
            files.push((name, bytes));
        }
        let digest: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { files, prefix: format!("abanico/{digest}/") })
    }
}

/// Returns the zip file with the job added, or replaced if it already has one. The same input gives the same bytes.
fn with_job(archive: &[u8], job: &Value) -> Result<Vec<u8>, zip::result::ZipError> {
    let mut source = ZipArchive::new(Cursor::new(archive))?;
    let mut target = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..source.len() {
        let entry = source.by_index_raw(index)?;
        if entry.name() != OWN_JOB {
            target.raw_copy_file(entry)?;
        }
    }
    let options =
        SimpleFileOptions::default().last_modified_time(zip::DateTime::default()).unix_permissions(0o644);
    target.start_file(OWN_JOB, options)?;
    target.write_all(job.to_string().as_bytes())?;
    Ok(target.finish()?.into_inner())
}

/// Returns the user's own job from a zip file.
#[cfg(test)]
fn job_in(archive: &[u8]) -> Option<String> {
    use std::io::Read;
    let mut source = ZipArchive::new(Cursor::new(archive)).ok()?;
    let mut text = String::new();
    source.by_name(OWN_JOB).ok()?.read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for function in FUNCTIONS {
            let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
            zip.start_file("bootstrap", SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
            zip.write_all(function.as_bytes()).unwrap();
            let bytes = zip.finish().unwrap().into_inner();
            std::fs::write(folder.path().join(format!("{function}-x86_64.zip")), bytes).unwrap();
        }
        folder
    }

    #[test]
    fn prefix_depends_on_the_content_only() {
        let folder = folder();
        let find = |job: Option<&Value>| Packages::find(folder.path(), Architecture::X86_64, job).unwrap();
        assert_eq!(find(None).prefix, find(None).prefix);
        let (one, two) = (json!({"settings": 1}), json!({"settings": 2}));
        assert_eq!(find(Some(&one)).prefix, find(Some(&one)).prefix);
        assert_ne!(find(Some(&one)).prefix, find(Some(&two)).prefix);
    }

    #[test]
    fn job_is_added_or_replaced() {
        let folder = folder();
        let first = Packages::find(folder.path(), Architecture::X86_64, Some(&json!({"a": 1}))).unwrap();
        let again = with_job(&first.files[0].1, &json!({"b": 2})).unwrap();
        assert_eq!(job_in(&again).unwrap(), r#"{"b":2}"#);
        let mut archive = ZipArchive::new(Cursor::new(&again)).unwrap();
        assert_eq!(archive.len(), 2);
        assert_eq!(archive.by_name("bootstrap").unwrap().unix_mode().unwrap() & 0o777, 0o755);
        assert_eq!(job_in(&first.files[1].1), None);
    }

    #[test]
    fn missing_file_error_names_the_build_command() {
        let error = Packages::find(folder().path(), Architecture::Arm64, None).err().unwrap();
        assert!(error.to_string().contains("transcode-video-arm64.zip"), "{error}");
        assert!(error.hint().contains("make functions ARCH=arm64"));
    }
}
