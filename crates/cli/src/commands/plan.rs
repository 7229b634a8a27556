//! `abanico plan`: in a file and a job, out what would be done: renditions, tasks and the exact ffmpeg commands.
//! Never a frame encoded.

use std::path::Path;
use std::process::ExitCode;

use abanico_ffmpeg::{capabilities, command, command_line};
use abanico_media::MediaInfo;
use abanico_model::generated::JobSettings;
use abanico_plan::{Plan, PlanRequest, PlannedOutput, Task, TaskId, TaskKind};

use super::local::{Toolbox, toolbox};
use super::probe::facts;
use crate::arguments::{JobChoice, Plan as Arguments};
use crate::failure::{Hinted, WRONG_USAGE};
use crate::{job_request, output};

/// Prints the plan.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (_, plan) = planned(&arguments.file, &arguments.choice).await?;
    if arguments.json {
        output::json(&plan)?;
        return Ok(ExitCode::SUCCESS);
    }
    output_table(&plan).into_iter().for_each(output::line);
    for note in &plan.notes {
        output::line(format!("note: {note}"));
    }
    for task in &plan.tasks {
        output::line(format!("\n# {} after {}", task.id, listed(&task.after)));
        output::line(task_text(task, &arguments.file));
    }
    Ok(ExitCode::SUCCESS)
}

/// Facts of a file and the plan of the job for it, as the engine will make it.
pub async fn planned(file: &Path, choice: &JobChoice) -> anyhow::Result<(MediaInfo, Plan)> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    plan(&toolbox(true)?, file, choice, &format!("s3://input/{name}"), "s3://output/").await
}

/// As [`planned`], with a name for the input and a place for the outputs.
pub async fn plan(
    toolbox: &Toolbox,
    file: &Path,
    choice: &JobChoice,
    input: &str,
    destination: &str,
) -> anyhow::Result<(MediaInfo, Plan)> {
    let submission = job_request::submission(choice, input, destination)?;
    let settings: JobSettings = serde_json::from_value(submission.settings)?;
    let info = facts(toolbox, file).await?;
    let capabilities = capabilities(&toolbox.tools).await?;
    let request = PlanRequest {
        settings: &settings,
        user_metadata: &submission.user_metadata,
        input: &info,
        capabilities: &capabilities,
    };
    let plan = abanico_plan::plan(request).map_err(|error| {
        Hinted::new(WRONG_USAGE, error.to_string(), "change the setting that the message names")
    })?;
    Ok((info, plan))
}

fn output_table(plan: &Plan) -> Vec<String> {
    let row = |output: &PlannedOutput| {
        let facts = &output.facts;
        vec![
            output.url.trim_start_matches("s3://output/").to_owned(),
            facts.size.to_string(),
            format!("{} fps", facts.rate),
            facts.frames.to_string(),
            format!("{} kb/s", facts.video_bit_rate_bps / 1000),
            format!("{} s", facts.video_duration()),
            facts
                .audio_codec
                .as_ref()
                .map_or("no sound".to_owned(), |codec| format!("{codec} {} ch", facts.audio_channels)),
        ]
    };
    let rows: Vec<Vec<String>> = plan.outputs.iter().map(row).collect();
    output::table(&["output", "size", "rate", "frames", "at most", "duration", "sound"], &rows)
}

fn listed(tasks: &[TaskId]) -> String {
    if tasks.is_empty() {
        "nothing".to_owned()
    } else {
        tasks.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ")
    }
}

fn task_text(task: &Task, file: &Path) -> String {
    let here = Path::new("");
    let args = match &task.kind {
        TaskKind::EncodeVideo(encode) => command::encode_video(encode, file, here, None),
        TaskKind::EncodeAudio(encode) => command::encode_audio(encode, file, here),
        TaskKind::Package(mp4) => {
            let video = command::video_file_name(mp4.video);
            let audio = mp4.audio.map(command::audio_file_name);
            command::package(mp4, video.as_ref(), audio.as_deref().map(Path::new), here)
        }
        TaskKind::Segment(hls) => {
            let video = command::video_file_name(hls.video);
            let audio = hls.audio.map(command::audio_file_name);
            command::segment(hls, video.as_ref(), audio.as_deref().map(Path::new), here)
        }
        TaskKind::CaptureFrames(capture) => command::capture_frames(capture, file, here),
        TaskKind::GroupPlaylist(group) => {
            return format!("list {} streams in {}", group.variants.len(), group.url);
        }
        TaskKind::Verify { output } => return format!("check output {output} against the plan"),
    };
    command_line(Path::new("ffmpeg"), &args)
}
