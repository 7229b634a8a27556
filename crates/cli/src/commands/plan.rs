//! `abanico plan`: prints the renditions, tasks and exact ffmpeg commands of a job for a file, without running them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use abanico_ffmpeg::command::{EncodedFrom, StreamFiles};
use abanico_ffmpeg::{capabilities, command, command_line};
use abanico_media::MediaInfo;
use abanico_model::parse;
use abanico_plan::{
    Plan, PlanRequest, PlannedAudio, PlannedOutput, PlannedVideo, SegmentFormat, Streams, Task, TaskId,
    TaskKind,
};

use super::local::{Toolbox, cores, toolbox};
use super::probe::facts;
use crate::arguments::{JobChoice, Plan as Arguments};
use crate::config::SandboxMode;
use crate::failure::{Hinted, WRONG_USAGE};
use crate::own_names::{self, OwnNames};
use crate::{job_request, output};

/// Maximum number of inputs of a job (AWS's service quotas).
const MOST_INPUTS: usize = 150;

/// Prints the plan.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let encoders = arguments.encoders.unwrap_or_else(cores);
    let (_, mut plan) = planned(&arguments.file, &arguments.choice, encoders).await?;
    let warnings = plan.warnings.iter_mut().map(|warning| &mut warning.message);
    for text in plan.notes.iter_mut().chain(warnings) {
        *text = own_names::readable(text).into_owned();
    }
    if arguments.json {
        output::json(&plan)?;
        return Ok(ExitCode::SUCCESS);
    }
    output_table(&plan).into_iter().for_each(output::line);
    for note in &plan.notes {
        output::line(format!("note: {note}"));
    }
    // Every input of the job is this one file.
    let inputs = vec![arguments.file.clone(); MOST_INPUTS];
    for task in &plan.tasks {
        output::line(format!("\n# {} after {}", task.id, listed(task.after())));
        output::line(task_text(task, &inputs));
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns a file's facts and the plan of its job for an engine with `encoders` parallel encoders.
pub async fn planned(file: &Path, choice: &JobChoice, encoders: u32) -> anyhow::Result<(MediaInfo, Plan)> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let url = format!("s3://input/{name}");
    let mut names = OwnNames::default();
    names.add(&url, file.display().to_string());
    names.show();
    plan(&toolbox(SandboxMode::default())?, file, choice, &url, "s3://output/", encoders).await
}

/// Like [`planned`], but with the URLs of the input and the destination given.
pub async fn plan(
    toolbox: &Toolbox,
    file: &Path,
    choice: &JobChoice,
    input: &str,
    destination: &str,
    encoders: u32,
) -> anyhow::Result<(MediaInfo, Plan)> {
    let submission = job_request::submission(choice, input, destination)?;
    let settings = parse::job_settings(submission.settings)?;
    let info = facts(toolbox, file).await?;
    let inputs = vec![info.clone(); settings.inputs.as_ref().map_or(1, Vec::len)];
    let capabilities = capabilities(&toolbox.tools).await?;
    let request = PlanRequest {
        settings: &settings,
        user_metadata: &submission.user_metadata,
        inputs: &inputs,
        capabilities: &capabilities,
        started_epoch_ms: 0,
        chunking: choice.chunks.chunking(encoders),
    };
    let plan = abanico_plan::plan(request).map_err(|error| {
        Hinted::new(WRONG_USAGE, error.to_string(), "correct the setting that the message names")
    })?;
    Ok((info, plan))
}

fn output_table(plan: &Plan) -> Vec<String> {
    let row = |output: &PlannedOutput| {
        let facts = &output.facts;
        let video =
            |tell: &dyn Fn(&PlannedVideo) -> String| facts.video.as_ref().map_or("–".to_owned(), tell);
        let sound = |audio: &PlannedAudio| format!("{} {} ch", audio.codec, audio.channels);
        let sounds: Vec<String> = facts.audio.iter().map(sound).collect();
        vec![
            output.url.trim_start_matches("s3://output/").to_owned(),
            video(&|video| format!("{} {}", video.codec, video.size)),
            video(&|video| format!("{} fps", video.rate)),
            video(&|video| video.frames.to_string()),
            video(&|video| format!("{} kb/s", video.bit_rate_bps / 1000)),
            format!("{} s", facts.duration()),
            if sounds.is_empty() { "no audio".to_owned() } else { sounds.join(", ") },
        ]
    };
    let rows: Vec<Vec<String>> = plan.outputs.iter().map(row).collect();
    output::table(&["output", "video", "frame rate", "frames", "max bit rate", "duration", "audio"], &rows)
}

fn listed<'a>(tasks: impl Iterator<Item = &'a TaskId>) -> String {
    let names: Vec<&str> = tasks.map(TaskId::as_str).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Returns the names of the intermediate files of an output's streams.
fn stream_files(streams: &Streams) -> (Option<PathBuf>, Vec<PathBuf>) {
    let video = streams.video.map(|index| command::video_file_name(index).into());
    let sounds = streams.audio.iter();
    (video, sounds.map(|sound| command::audio_file_name(sound.index, sound.coding.codec).into()).collect())
}

fn task_text(task: &Task, inputs: &[PathBuf]) -> String {
    let here = Path::new("");
    let args = match &task.kind {
        TaskKind::AnalyseVideo(encode) | TaskKind::EncodeVideo(encode) => {
            let analysis = PathBuf::from(TaskId::analysis(encode.chunk).as_str());
            let from = EncodedFrom { inputs, analysis: Some(&analysis), ..Default::default() };
            command::encode_video(encode, from, here, encode.threads)
        }
        TaskKind::SumFirstPasses { chunks, .. } => return format!("sum the first passes of {chunks} chunks"),
        TaskKind::CompareJoint(joint) => {
            return format!("compare the start of chunk {} with the source", joint.chunk);
        }
        TaskKind::JudgeChunks(judged) => return format!("judge {} chunks", judged.chunks),
        TaskKind::EncodeAgain(again) => {
            return format!("encode chunks of rendition {} again, if any must be", again.rendition.index);
        }
        TaskKind::StitchVideo(video) => {
            return format!("join {} chunks of {} renditions", video.chunks, video.renditions.len());
        }
        TaskKind::EncodeAudio(encode) => command::encode_audio(encode, None, inputs, here),
        TaskKind::Package(made) => {
            let (video, audio) = stream_files(&made.file.streams);
            let files = StreamFiles { video: video.as_deref(), audio: &audio, texts: &[] };
            command::package(&made.file, files, here)
        }
        TaskKind::Segment(cut) => match &cut.format {
            SegmentFormat::TransportStream(numbers) => {
                let (video, audio) = stream_files(&cut.streams);
                command::segment(
                    cut,
                    numbers,
                    StreamFiles { video: video.as_deref(), audio: &audio, texts: &[] },
                    here,
                )
            }
            SegmentFormat::Fragmented(_) => {
                return format!(
                    "cut output {} into {} fragmented segments",
                    cut.output,
                    cut.segmentation.count()
                );
            }
        },
        TaskKind::MakeCaptions(captions) => {
            return format!("make captions from {} clips", captions.parts.len());
        }
        TaskKind::CaptureFrames(capture) => command::capture_frames(capture, inputs, here),
        TaskKind::GroupManifests(group) => {
            let urls = group.dash.iter().map(|(url, _)| url).chain(group.hls.iter().map(|(url, _)| url));
            let urls: Vec<&str> = urls.map(String::as_str).collect();
            return format!("list {} streams in {}", group.streams.len(), urls.join(" and "));
        }
        TaskKind::Verify(check) => return format!("check output {} against the plan", check.output),
    };
    command_line(Path::new("ffmpeg"), &args)
}
