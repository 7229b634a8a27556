//! The package step: joins the encoded streams of an output into the file that the user gets, and lists it for
//! publishing. It never changes what was encoded.

use std::path::PathBuf;

use abanico_ffmpeg::command::{self, StreamFiles};
use abanico_ffmpeg::{Finished, mark_upright};
use abanico_plan::{PackageTask, TaskId};

use crate::failure::{self, Failure};
use crate::files::packaged_files::{PackagedFile, Turn, list};
use crate::kinds::captions::SRT_FILE;
use crate::machine::bounds;
use crate::machine::caged::{Outputs, ffmpeg};
use crate::machine::workbench::Workbench;

/// Joins the streams of one output.
pub(crate) async fn package(
    bench: &Workbench,
    task: &TaskId,
    package: &PackageTask,
) -> Result<Finished, Failure> {
    let PackageTask { file: output, url, content_type } = package;
    let _permit = bench.capacity.light().await?;
    let folder = bench.begin(task.as_str())?;
    let (video, audio) = bench.stream_files(&output.streams);
    let texts = output.texts.iter().map(|text| bench.made(&TaskId::captions(text.captions)).join(SRT_FILE));
    let texts: Vec<PathBuf> = texts.collect();
    let files = StreamFiles { video: video.as_deref(), audio: &audio, texts: &texts };
    let args = command::package(output, files, &folder);
    let inputs: Vec<PathBuf> = video.iter().cloned().chain(audio).chain(texts).collect();
    let outputs = Outputs { folder: &folder, bounds: bounds::of_copies(&inputs) };
    let finished = ffmpeg(bench, "packaging", args, &inputs, outputs, None).await?;
    let name = command::output_file_name(output);
    if video.is_some() && output.container.has_boxes() {
        mark_upright(&folder.join(&name))
            .map_err(|error| failure::from_disk("mark the output as upright", &error))?;
    }
    let file = PackagedFile {
        name,
        url: url.clone(),
        content_type: content_type.clone(),
        is_gzip: false,
        turn: Turn::Media,
    };
    list(&folder, &[file]).map_err(|error| failure::from_disk("list the packaged files", &error))?;
    bench.complete(task.as_str()).await?;
    Ok(finished)
}
