//! Reuses kept encodes: finds renditions that an earlier job has already encoded, and keeps new ones for later jobs. A
//! rendition is reused only if the input's bytes and the settings are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use abanico_artifacts::{ArtifactKey, NamedFile};
use abanico_ffmpeg::command;
use abanico_plan::{Pass, TaskId, VideoEncode, VideoRendition};

use crate::failure::{self, Failure};
use crate::files::sums::hash_of;
use crate::kept::results::{self, Circumstances, Results};
use crate::machine::workbench::Workbench;

/// The keys of an encode's renditions, by their index.
pub(crate) struct Keys(BTreeMap<u32, ArtifactKey>);

impl Keys {
    /// Computes the keys; there are none if no encodes are kept.
    pub async fn of(bench: &Workbench, encode: &VideoEncode) -> Result<Self, Failure> {
        if bench.machine.results.is_none() {
            return Ok(Self(BTreeMap::new()));
        }
        let inputs = bench.input_hashes().await?;
        let statistics = statistics_hashes(bench, encode).await?;
        let around = Circumstances { ffmpeg: &bench.machine.ffmpeg_version, inputs, first_passes: &[] };
        let key_of = |rendition: &VideoRendition| {
            let Pass::Second(index) = rendition.pass else {
                return results::key(encode, rendition.index, around);
            };
            // The bit rate of a chunk follows from the first passes of all chunks and is part of its settings; apart
            // from that, its frames depend only on the statistics of its own first pass.
            let first_passes = statistics.get(&index)?;
            results::key(encode, rendition.index, Circumstances { first_passes, ..around })
        };
        let keys = encode.encoded().filter_map(|(_, rendition)| Some((rendition.index, key_of(rendition)?)));
        Ok(Self(keys.collect()))
    }

    /// Links kept renditions into `folder`. Returns the renditions that are still to be encoded.
    pub async fn missing(
        &self,
        bench: &Workbench,
        encode: &VideoEncode,
        folder: &Path,
    ) -> Result<Vec<u32>, Failure> {
        let (results, wanted) = (bench.machine.results.clone(), self.wanted(encode, folder));
        // All bytes of what is kept are compared with their hashes.
        let taken = tokio::task::spawn_blocking(move || untaken(results.as_deref(), wanted)).await;
        taken.map_err(|_| failure::broken("the search for kept encodes was lost"))
    }

    fn wanted(&self, encode: &VideoEncode, folder: &Path) -> Vec<Wanted> {
        let wanted = |rendition: &VideoRendition| Wanted {
            index: rendition.index,
            key: self.0.get(&rendition.index).copied(),
            files: files(rendition, folder),
        };
        encode.encoded().map(|(_, rendition)| wanted(rendition)).collect()
    }

    /// Keeps the renditions in `encoded` for later jobs. A failure is only logged, because this job does not need the
    /// copies.
    pub async fn keep(&self, bench: &Workbench, encode: &VideoEncode, folder: &Path, encoded: &[u32]) {
        let Some(results) = bench.machine.results.clone() else { return };
        let mut made = self.wanted(encode, folder);
        made.retain(|one| encoded.contains(&one.index));
        let kept = tokio::task::spawn_blocking(move || {
            for Wanted { key, files, .. } in made {
                // An empty file is a measurement that failed; it may succeed next time.
                let is_empty = |path: &Path| std::fs::metadata(path).is_ok_and(|file| file.len() == 0);
                let Some(key) = key.filter(|_| !files.iter().any(|file| is_empty(&file.path))) else {
                    continue;
                };
                if let Err(error) = results.keep(&key, &files) {
                    tracing::warn!(%error, "cannot keep a finished encode for later jobs");
                }
            }
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, "cannot keep finished encodes for later jobs");
        }
    }
}

/// A rendition, its key if it has one, and where its files are to be.
struct Wanted {
    index: u32,
    key: Option<ArtifactKey>,
    files: Vec<NamedFile>,
}

/// Links what is kept, and returns the renditions that are not.
fn untaken(results: Option<&Results>, wanted: Vec<Wanted>) -> Vec<u32> {
    let is_taken = |one: &Wanted| match (results, &one.key) {
        (Some(results), Some(key)) => results.take(key, &one.files),
        _ => false,
    };
    wanted.into_iter().filter(|one| !is_taken(one)).map(|one| one.index).collect()
}

/// Returns the files that an encode writes to `folder` for a rendition, with the names under which they are kept.
fn files(rendition: &VideoRendition, folder: &Path) -> Vec<NamedFile> {
    match rendition.pass {
        Pass::First => first_pass_files(rendition.index, folder).into(),
        Pass::Sample(_) => {
            vec![results::file("quality.log", folder.join(command::quality_file(rendition.index)))]
        }
        Pass::Only | Pass::Second(_) | Pass::Levelled(_) => {
            vec![results::file("video.mp4", folder.join(command::video_file_name(rendition.index)))]
        }
    }
}

/// Returns the files of a first pass in `folder`, with the names under which they are kept.
fn first_pass_files(index: u32, folder: &Path) -> [NamedFile; 2] {
    let statistics = command::statistics_file(index);
    let trees = folder.join(format!("{statistics}.mbtree"));
    [results::file("first-pass.log", folder.join(statistics)), results::file("first-pass.log.mbtree", trees)]
}

/// Returns the folder of the first passes that an encode reads, if it reads any.
pub(crate) fn analysis_folder(bench: &Workbench, encode: &VideoEncode) -> Option<PathBuf> {
    let is_second = |pass| matches!(pass, Pass::Second(_));
    let reads = encode.renditions().any(|(_, rendition)| is_second(rendition.pass));
    reads.then(|| bench.made(&TaskId::analysis(encode.chunk)))
}

/// Returns the hashes of the statistics that the second passes of an encode read, by the index of the first pass.
async fn statistics_hashes(
    bench: &Workbench,
    encode: &VideoEncode,
) -> Result<BTreeMap<u32, Vec<String>>, Failure> {
    let Some(folder) = analysis_folder(bench, encode) else { return Ok(BTreeMap::new()) };
    let passes: BTreeSet<u32> = encode
        .renditions()
        .filter_map(|(_, rendition)| match rendition.pass {
            Pass::Second(index) => Some(index),
            _ => None,
        })
        .collect();
    let hashed = tokio::task::spawn_blocking(move || -> std::io::Result<BTreeMap<u32, Vec<String>>> {
        let hashes = |index: u32| -> std::io::Result<Vec<String>> {
            first_pass_files(index, &folder).iter().map(|file| hash_of(&file.path)).collect()
        };
        passes.into_iter().map(|index| Ok((index, hashes(index)?))).collect()
    });
    let hashed = hashed.await.map_err(|_| failure::broken("hashing the statistics ended early"))?;
    hashed.map_err(|error| failure::from_disk("read the statistics of a first pass", &error))
}
