//! Reads the inputs of tasks at their sources, which are objects of a store: in ranges where that is possible and worth
//! it, otherwise whole. It makes sure that an input is the one that the job was planned for.

use std::path::Path;

use abanico_artifacts::{RangedSource, Source, WholeSources};
use abanico_media::ExactTime;
use abanico_package::TimeRun;
use abanico_process::with_causes;
use abanico_store::{Error, ErrorKind, FillOptions, ObjectMeta, ObjectStore, ObjectUrl};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, codes};

/// Where an input is, and which version of it a job was planned for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceFile {
    /// URL of the object, which begins with `s3://`.
    pub url: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its entity tag, with quotes.
    pub e_tag: String,
    /// Start of the file's own clock.
    pub clock_start: ExactTime,
}

impl SourceFile {
    /// Describes an object; `None` if its store gives it no entity tag, so that a later version would not be noticed, or
    /// if it is a file of this machine.
    pub fn of(object: &ObjectMeta, clock_start: ExactTime) -> Option<Self> {
        let (ObjectUrl::S3 { .. }, Some(e_tag)) = (&object.url, &object.e_tag) else { return None };
        let (url, size_bytes) = (object.url.to_string(), object.size_bytes);
        Some(Self { url, size_bytes, e_tag: e_tag.clone(), clock_start })
    }

    /// Refuses what an assignment from elsewhere must not have: files of the machine that does it.
    pub(crate) fn refuse_odd(&self) -> Result<(), Failure> {
        self.object().map(drop)
    }

    fn object(&self) -> Result<ObjectUrl, Failure> {
        match self.url.parse() {
            Ok(url @ ObjectUrl::S3 { .. }) => Ok(url),
            _ => {
                let odd = self.url.escape_debug();
                let message = format!("`{odd}` is no source of an input: use the `s3://` URL of an object");
                Err(Failure::new(codes::UNKNOWN, message, false))
            }
        }
    }
}

/// Reads inputs at their sources.
#[derive(Clone, Copy)]
pub struct SourceReader<'a> {
    /// Where they are.
    pub store: &'a dyn ObjectStore,
    /// Keeps inputs that are fetched whole for all tasks of this machine; `None` fetches them for each task.
    pub whole: Option<&'a WholeSources>,
}

impl SourceReader<'_> {
    /// Makes the file `destination` from an input: with what `run` needs if that is less than half of it, otherwise whole.
    /// Whatever is left out reads as zeros. `None` needs the whole input.
    ///
    /// # Errors
    /// Fails if the object is not there, is another one than the job was planned for, or cannot be read.
    pub(crate) async fn read(
        &self,
        source: &SourceFile,
        run: Option<TimeRun>,
        destination: &Path,
    ) -> Result<(), Failure> {
        let url = source.object()?;
        let failed = |error: Error| from_source(&url, &error);
        if let Some(run) = run {
            match Source::open(self.store, &url).await.map_err(failed)? {
                Source::InRanges(ranged) => {
                    refuse_other(source, ranged.object())?;
                    let options = FillOptions::default();
                    if is_worth_it(&ranged, &run, &options) {
                        let filled = ranged.fetch(self.store, &run, destination, &options).await;
                        let size_bytes = filled.map_err(failed)?.bytes + ranged.known_bytes();
                        tracing::debug!(url = source.url, size_bytes, "fetched a part of an input");
                        return Ok(());
                    }
                }
                Source::Whole { why, .. } => {
                    tracing::debug!(
                        url = source.url,
                        reason = why,
                        "an input cannot be read in ranges: fetching it whole"
                    );
                }
            }
        }
        let (size_bytes, e_tag) = (source.size_bytes, Some(source.e_tag.clone()));
        let object = ObjectMeta { url: url.clone(), size_bytes, e_tag };
        match self.whole {
            Some(whole) => whole.place(self.store, &object, destination).await.map_err(failed),
            None => refuse_other(source, &self.store.fetch(&url, destination).await.map_err(failed)?),
        }
    }
}

/// Whether reading in ranges is worth it: a whole input is fetched once for all tasks of a machine.
fn is_worth_it(ranged: &RangedSource, run: &TimeRun, options: &FillOptions) -> bool {
    let wanted: u64 = ranged.requests(run, options).iter().map(|range| range.end - range.start).sum();
    wanted < ranged.object().size_bytes / 2
}

fn refuse_other(source: &SourceFile, found: &ObjectMeta) -> Result<(), Failure> {
    match (found.size_bytes, found.e_tag.as_ref()) == (source.size_bytes, Some(&source.e_tag)) {
        true => Ok(()),
        false => Err(replaced(&source.url)),
    }
}

fn replaced(url: &str) -> Failure {
    let message = format!("the input `{url}` was replaced after the job was planned: create the job again");
    Failure::new(codes::NOT_READABLE, message, false)
}

fn from_source(url: &ObjectUrl, error: &Error) -> Failure {
    let code = match error.kind() {
        ErrorKind::Changed => return replaced(&url.to_string()),
        ErrorKind::NotFound => codes::NOT_FOUND,
        ErrorKind::Denied => codes::DENIED,
        _ => codes::UNKNOWN,
    };
    Failure::new(code, with_causes(error), error.is_retryable())
}
