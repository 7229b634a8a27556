//! The package step: joins the encoded streams of an output into the file that the user gets, and lists it for
//! publishing. It never changes what was encoded.

use std::path::PathBuf;

use abanico_ffmpeg::command::{self, StreamFiles};
use abanico_ffmpeg::{Finished, mark_upright};
use abanico_plan::{FileOutput, PlannedOutput, TaskId};

use super::JobContext;
use super::bounds;
use super::captions::{SRT_FILE, captions_folder};
use super::encode::{Outputs, begin, complete, ffmpeg, light, stream_files};
use super::packaged_files::{PackagedFile, Turn, list};
use crate::failure;
use crate::job_machine::Failure;

/// Joins the streams of one output.
pub(crate) async fn package(
    context: &JobContext,
    task: &TaskId,
    output: &FileOutput,
    planned: &PlannedOutput,
) -> Result<Finished, Failure> {
    let _permit = light(context).await?;
    let folder = begin(context, task)?;
    let (video, audio) = stream_files(context, &output.streams);
    let texts = output.texts.iter().map(|text| captions_folder(context, text.captions).join(SRT_FILE));
    let texts: Vec<PathBuf> = texts.collect();
    let files = StreamFiles { video: video.as_deref(), audio: &audio, texts: &texts };
    let args = command::package(output, files, &folder);
    let inputs: Vec<PathBuf> = video.iter().cloned().chain(audio).chain(texts).collect();
    let outputs = Outputs { folder: &folder, bounds: bounds::of_copies(&inputs) };
    let finished = ffmpeg(context, "packaging", args, &inputs, outputs, None).await?;
    let name = command::output_file_name(output);
    if video.is_some() && output.container.has_boxes() {
        mark_upright(&folder.join(&name))
            .map_err(|error| failure::from_disk("mark the output as upright", &error))?;
    }
    let file = PackagedFile {
        name,
        url: planned.url.clone(),
        content_type: planned.content_type.clone(),
        is_gzip: false,
        turn: Turn::Media,
    };
    list(&folder, &[file]).map_err(|error| failure::from_disk("list the packaged files", &error))?;
    complete(context, task).await?;
    Ok(finished)
}
