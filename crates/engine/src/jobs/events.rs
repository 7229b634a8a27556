//! Builds the events about a job in EventBridge's shape, from its record and the stage that it left. It sends
//! nothing: events are stored with the record, and readers take them in order.

use std::collections::BTreeMap;

use abanico_media::{AudioTrack, FieldOrder, VideoTrack};
use abanico_model::arn::{Arn, ResourceKind, resource_name};
use abanico_model::events::{
    JobEvent, JobFacts, JobProgress, OutputDetail, OutputGroupDetail, PhaseProgress, Status, VideoDetails,
    WarningCount,
};
use abanico_plan::GroupKind;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::failure::codes::UNKNOWN;
use crate::jobs::ids;
use crate::jobs::job::JobRecord;
use crate::jobs::job_machine::Stage;
use abanico_tasks::MeasuredOutput;

mod words;

/// Returns the events to announce when a job has gone from `before` to its present stage.
pub(crate) fn entered(record: &JobRecord, before: Stage, now_ms: i64) -> Vec<Value> {
    let status = match record.stage() {
        Stage::Probing if before == Stage::Submitted => Some(Status::Progressing {}),
        Stage::Transcoding => Some(Status::InputInformation { input_details: input_details(record) }),
        Stage::Complete => {
            let warnings = record.warning_counts().into_iter();
            let warnings = warnings.map(|(code, count)| WarningCount { code, count }).collect();
            Some(Status::Complete {
                warnings,
                output_group_details: groups(record),
                // Blank frames are never inserted.
                padding_inserted: 0,
                // Not measured: AWS does not document which frames count as black.
                black_video_detected: 0,
            })
        }
        Stage::Error => Some(failed(record)),
        Stage::Canceled => Some(Status::Canceled {}),
        _ => None,
    };
    let mut events: Vec<Value> = status.map(|status| event(record, status, now_ms)).into_iter().collect();
    if record.stage() == Stage::Transcoding && before != Stage::Transcoding {
        let warnings = record.warnings().map(|warning| Status::NewWarning {
            warning_code: warning.code.to_string(),
            warning_message: warning.message.clone(),
        });
        events.extend(warnings.map(|status| event(record, status, now_ms)));
    }
    events
}

/// Returns the event that reports a job's progress.
pub(crate) fn status_update(record: &JobRecord, now_ms: i64) -> Value {
    let progress = record.progress;
    let percents = [
        ("PROBING", progress.probing_percent),
        ("TRANSCODING", progress.transcoding_percent),
        ("UPLOADING", progress.uploading_percent),
    ];
    let phase = |percent: u8| PhaseProgress {
        status: match percent {
            0 => "PENDING",
            100 => "COMPLETE",
            _ => "PROGRESSING",
        }
        .to_owned(),
        percent_complete: percent,
    };
    let job_progress = JobProgress {
        phase_progress: percents
            .into_iter()
            .map(|(name, percent)| (name.to_owned(), phase(percent)))
            .collect(),
        job_percent_complete: progress.job_percent(),
        current_phase: current_phase(record.stage()).to_owned(),
        retry_count: record.machine.retries(),
    };
    event(record, Status::StatusUpdate { frames_decoded: progress.frames_done, job_progress }, now_ms)
}

fn current_phase(stage: Stage) -> &'static str {
    match stage {
        Stage::Transcoding => "TRANSCODING",
        Stage::Uploading | Stage::Complete => "UPLOADING",
        _ => "PROBING",
    }
}

fn event(record: &JobRecord, status: Status, now_ms: i64) -> Value {
    let now = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now_ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let facts = JobFacts {
        job: Arn::local(ResourceKind::Job, record.id.as_str()),
        queue: resource_name(&record.submission.queue, ResourceKind::Queue),
        user_metadata: record.submission.user_metadata.clone(),
    };
    serde_json::to_value(JobEvent::new(ids::uuid(), now, facts, status)).unwrap_or_default()
}

/// Returns the event of a job that hopped. `record` already has its new queue, but still its old priority; `priority`
/// is the new one.
pub(crate) fn queue_hop(record: &JobRecord, left: &str, priority: i32, now_ms: i64) -> Value {
    let status = Status::QueueHop {
        previous_queue: left.to_owned(),
        priority,
        previous_priority: record.submission.priority,
    };
    event(record, status, now_ms)
}

fn failed(record: &JobRecord) -> Status {
    let failure = record.machine.failure();
    let code = failure.map_or(UNKNOWN, |failure| failure.code);
    Status::Error {
        error_code: u16::try_from(code).unwrap_or(u16::MAX),
        error_message: failure.map(|failure| failure.message.clone()).unwrap_or_default(),
    }
}

fn input_details(record: &JobRecord) -> Vec<Value> {
    let details = record.inputs.iter().enumerate().map(|(index, input)| {
        let uri = record.submission.settings.pointer(&format!("/inputs/{index}/fileInput"));
        let video: Vec<Value> =
            input.video.iter().map(|track| video_details(track, &input.container)).collect();
        let audio: Vec<Value> = input.audio.iter().map(audio_details).collect();
        json!({"id": index + 1, "uri": uri, "video": video, "audio": audio})
    });
    details.collect()
}

fn video_details(track: &VideoTrack, container: &str) -> Value {
    let is_progressive = track.field_order == FieldOrder::Progressive;
    let mut details = json!({
        "streamId": track.stream_index + 1,
        "codec": words::video_codec(&track.codec),
        "width": track.size.width,
        "height": track.size.height,
        "bitDepth": track.bit_depth,
        "colorFormat": words::colour_format(&track.pixel_format),
        "frameRate": words::frame_rate(track.frame_rate),
        "interlaceMode": if is_progressive { "PROGRESSIVE" } else { "INTERLACED" },
        "sar": words::ratio(track.sample_aspect),
        "standard": "UNSPECIFIED",
    });
    if let Some(code) = words::four_cc(&track.codec, container) {
        details["fourCC"] = json!(code);
    }
    details
}

fn audio_details(track: &AudioTrack) -> Value {
    json!({
        "streamId": track.stream_index + 1,
        "codec": words::audio_codec(&track.codec),
        "channels": track.channels,
        "sampleRate": track.sample_rate_hz,
        "language": words::language(track.language.as_deref()),
    })
}

/// Returns the outputs by the output group that lists them.
fn groups(record: &JobRecord) -> Vec<OutputGroupDetail> {
    if let Some(outputs) = &record.forwarded.outputs {
        return serde_json::from_value(outputs.clone()).unwrap_or_default();
    }
    let mut groups: BTreeMap<u32, Vec<OutputDetail>> = BTreeMap::new();
    let planned = record.plan.iter().flat_map(|plan| plan.outputs.iter());
    for (planned, made) in planned.zip(&record.outputs) {
        let kind = record.group_kind(planned.group);
        groups.entry(planned.group).or_default().push(output_detail(kind, &planned.content_type, made));
    }
    groups.into_iter().map(|(index, output_details)| group_detail(record, index, output_details)).collect()
}

fn group_detail(record: &JobRecord, index: u32, output_details: Vec<OutputDetail>) -> OutputGroupDetail {
    let planned = record.plan.iter().flat_map(|plan| &plan.groups).find(|group| group.group == index);
    OutputGroupDetail {
        output_details,
        playlist_file_paths: planned.map(|group| group.manifest_urls.clone()).unwrap_or_default(),
        group_type: record.group_kind(index).facts().event_type.to_owned(),
    }
}

fn output_detail(kind: GroupKind, content_type: &str, made: &MeasuredOutput) -> OutputDetail {
    OutputDetail {
        output_file_paths: if kind.facts().tells_paths { vec![made.url.clone()] } else { Vec::new() },
        duration_in_ms: u64::try_from(made.duration_ms).unwrap_or(0),
        video_details: (made.width > 0).then(|| VideoDetails {
            width_in_px: made.width,
            height_in_px: made.height,
            // Images have no bit rate.
            average_bitrate: (content_type != "image/jpeg").then_some(made.video_bit_rate_bps),
            ..VideoDetails::default()
        }),
    }
}
