//! `abanico inspect`: examines a finished file. It prints frames, groups of pictures, the bit rate over time and the
//! audio offset, and checks whether a decoder's buffer underflows.

use std::process::ExitCode;

use abanico_ffmpeg::{BufferModel, BufferReport, Inspection, inspect};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::local::toolbox;
use crate::arguments::Inspect;
use crate::config::SandboxMode;
use crate::failure::{Hinted, WORK_FAILED, WRONG_USAGE};
use crate::output;

/// Length of the longest bar, in characters.
const BAR: u64 = 40;

/// Prints the report. The exit status is 1 if the decoder's buffer was checked and underflows.
pub async fn run(arguments: Inspect) -> anyhow::Result<ExitCode> {
    let file = arguments.file.canonicalize().map_err(|error| {
        let what = format!("cannot find `{}`", arguments.file.display());
        anyhow::Error::new(error).context(Hinted::new(
            WRONG_USAGE,
            what,
            "check the path and its permissions",
        ))
    })?;
    let looked = inspect(&toolbox(SandboxMode::default())?.tools, &file, &CancellationToken::new()).await;
    let found = looked.map_err(|error| {
        Hinted::new(
            WORK_FAILED,
            error.to_string(),
            "check that it plays; `abanico doctor` checks this machine",
        )
    })?;
    let model = arguments.max_bit_rate.map(|rate_bps| BufferModel {
        rate_bps,
        size_bits: arguments.buffer.unwrap_or(2 * rate_bps),
        fill_percent: arguments.fill,
    });
    let report = model.and_then(|model| found.check_buffer(model));
    if arguments.json {
        output::json(&as_json(&found, report))?;
    } else {
        lines(&found, model.zip(report)).into_iter().for_each(output::line);
    }
    let is_dry = report.is_some_and(|report| report.missing_frames > 0);
    Ok(if is_dry { ExitCode::from(WORK_FAILED) } else { ExitCode::SUCCESS })
}

fn as_json(found: &Inspection, report: Option<BufferReport>) -> Value {
    let video = found.facts.video.as_ref().map(|video| {
        json!({
            "codec": video.codec,
            "profile": video.profile,
            "pixelFormat": video.pixel_format,
            "width": video.size.width,
            "height": video.size.height,
            "frames": video.frames,
            "frameRate": video.rate,
            "bitRateBps": video.bit_rate_bps,
            "bitsBySecond": found.bits_by_second(),
            "groups": found.groups().map(|groups| json!({
                "count": groups.count, "shortestFrames": groups.shortest, "longestFrames": groups.longest,
            })),
        })
    });
    let audio: Vec<Value> = found
        .facts
        .audio
        .iter()
        .map(|audio| json!({"codec": audio.codec, "channels": audio.channels, "sampleRateHz": audio.sample_rate_hz}))
        .collect();
    json!({
        "sizeBytes": found.facts.size_bytes,
        "fastStart": found.facts.fast_start,
        "video": video,
        "audio": audio,
        "soundOffsetMs": found.sound_offset().map(|offset| offset.millis()),
        "buffer": report.map(|report| json!({
            "lowestBits": report.lowest_bits,
            "missingFrames": report.missing_frames,
            "firstMissingMs": report.first_missing.map(|time| time.millis()),
        })),
    })
}

fn lines(found: &Inspection, buffer: Option<(BufferModel, BufferReport)>) -> Vec<String> {
    let mut lines = vec![format!("size: {} bytes", found.facts.size_bytes)];
    if let Some(video) = &found.facts.video {
        let profile = video.profile.as_deref().unwrap_or("no profile");
        lines.push(format!("video: {} ({profile}), {}, {}", video.codec, video.pixel_format, video.size));
        lines.push(format!("frames: {} at {} fps", video.frames, video.rate));
        lines.push(format!("mean bit rate: {} kb/s", video.bit_rate_bps / 1000));
    }
    if let Some(groups) = found.groups() {
        lines.push(format!(
            "groups of pictures: {}, {} to {} frames long",
            groups.count, groups.shortest, groups.longest
        ));
    }
    for audio in &found.facts.audio {
        lines.push(format!(
            "audio: {}, {} channels at {} Hz",
            audio.codec, audio.channels, audio.sample_rate_hz
        ));
    }
    if let Some(offset) = found.sound_offset() {
        lines.push(format!("audio starts {offset} s after the video"));
    }
    if let Some((model, report)) = buffer {
        lines.push(buffer_line(model, report));
    }
    let seconds = found.bits_by_second();
    let most = seconds.iter().copied().max().unwrap_or(0).max(1);
    for (second, bits) in seconds.iter().enumerate() {
        let bar = "#".repeat(usize::try_from(bits * BAR / most).unwrap_or(0));
        lines.push(format!("{second:>6} s {:>8} kb {bar}", bits / 1000));
    }
    lines
}

fn buffer_line(model: BufferModel, report: BufferReport) -> String {
    let named = format!("buffer of {} kb at {} kb/s", model.size_bits / 1000, model.rate_bps / 1000);
    match report.first_missing {
        None => format!("{named}: no underflow, at least {} kb left", report.lowest_bits / 1000),
        Some(time) => format!("{named}: {} underflows, the first at {time} s", report.missing_frames),
    }
}
