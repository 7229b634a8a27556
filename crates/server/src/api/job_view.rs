//! Converts a job record into MediaConvert's wire form, the `Job` that SDKs parse. No other file does. Never reads a
//! clock or asks the engine.

use std::collections::BTreeMap;

use abanico_engine::{JobRecord, MeasuredOutput, Stage};
use abanico_model::arn::{Arn, ResourceKind};
use abanico_model::generated::{AccelerationMode, AccelerationStatus, JobPhase, JobStatus};
use serde_json::{Map, Value, json};

/// Members of the request that a job shows unchanged.
const SHOWN_AS_SENT: [&str; 3] = ["clientRequestToken", "jobTemplate", "simulateReservedQueue"];

/// Members that a job always shows: those of the request, or the service's defaults.
fn shown_always() -> [(&'static str, Value); 4] {
    [
        ("accelerationSettings", json!({"mode": "DISABLED"})),
        ("billingTagsSource", json!("JOB")),
        ("hopDestinations", json!([])),
        ("statusUpdateInterval", json!("SECONDS_60")),
    ]
}

/// Returns the wire form of a job.
pub fn job(record: &JobRecord) -> Value {
    let submission = &record.submission;
    let mut job = Map::new();
    let mut put = |name: &str, value: Value| {
        job.insert(name.to_owned(), value);
    };
    put("arn", json!(Arn::local(ResourceKind::Job, record.id.as_str()).to_string()));
    put("id", json!(record.id.as_str()));
    put("createdAt", seconds(record.times.submitted_ms));
    put("status", json!(status(record.stage())));
    put("queue", json!(submission.queue));
    put("role", json!(submission.role));
    put("priority", json!(submission.priority));
    put("settings", submission.settings.clone());
    put("userMetadata", json!(submission.user_metadata));
    put("timing", timing(record));
    put("retryCount", json!(record.machine.retries()));
    put("messages", messages(record));
    let warnings = record.warning_counts();
    if !warnings.is_empty() {
        let groups = warnings.iter().map(|(code, count)| json!({"code": code, "count": count}));
        put("warnings", groups.collect());
    }
    for (name, default) in shown_always() {
        let sent = submission.request.get(name).filter(|value| !value.is_null());
        put(name, sent.cloned().unwrap_or(default));
    }
    put("accelerationStatus", json!(acceleration_status(record)));
    for name in SHOWN_AS_SENT {
        if let Some(value) = submission.request.get(name) {
            put(name, value.clone());
        }
    }
    if let Some(version) = submission.request.get("jobEngineVersion") {
        put("jobEngineVersionRequested", version.clone());
    }
    if !record.transitions.is_empty() {
        let transitions = record.transitions.iter().map(|hop| {
            json!({"sourceQueue": hop.source, "destinationQueue": hop.destination, "timestamp": seconds(hop.at_ms)})
        });
        put("queueTransitions", json!(transitions.collect::<Vec<_>>()));
    }
    put_course(record, &mut put);
    Value::Object(job)
}

/// Adds the members that depend on how far the job is.
fn put_course(record: &JobRecord, put: &mut impl FnMut(&str, Value)) {
    let stage = record.stage();
    if let Some(phase) = phase(stage) {
        put("currentPhase", json!(phase));
        put("jobPercentComplete", json!(record.progress.job_percent()));
    }
    if stage == Stage::Complete {
        put("jobPercentComplete", json!(100));
        put("outputGroupDetails", json!(output_groups(record)));
    }
    if let (Stage::Error, Some(failure)) = (stage, record.machine.failure()) {
        put("errorCode", json!(failure.code));
        put("errorMessage", json!(failure.message));
    }
}

/// Says whether the job is accelerated: whether its video is cut into chunks, which is known once it is planned.
fn acceleration_status(record: &JobRecord) -> AccelerationStatus {
    let mode = record.submission.request.pointer("/accelerationSettings/mode").and_then(Value::as_str);
    let mode = mode.map(|mode| AccelerationMode::from(mode.to_owned()));
    match (mode, &record.plan) {
        (None | Some(AccelerationMode::Disabled), _) => AccelerationStatus::NotApplicable,
        (_, Some(plan)) if plan.is_cut => AccelerationStatus::Accelerated,
        (_, Some(_)) => AccelerationStatus::NotAccelerated,
        (_, None) => match record.stage() {
            Stage::Submitted | Stage::Probing => AccelerationStatus::InProgress,
            _ => AccelerationStatus::NotAccelerated,
        },
    }
}

/// Returns MediaConvert's status for a stage.
pub fn status(stage: Stage) -> JobStatus {
    match stage {
        Stage::Submitted => JobStatus::Submitted,
        Stage::Probing | Stage::Transcoding | Stage::Uploading => JobStatus::Progressing,
        Stage::Complete => JobStatus::Complete,
        Stage::Error => JobStatus::Error,
        Stage::Canceled => JobStatus::Canceled,
    }
}

/// Returns the stages that a MediaConvert status stands for, or `None` if there is no such status.
pub fn stages(status: &str) -> Option<Vec<Stage>> {
    const ALL: [Stage; 7] = [
        Stage::Submitted,
        Stage::Probing,
        Stage::Transcoding,
        Stage::Uploading,
        Stage::Complete,
        Stage::Error,
        Stage::Canceled,
    ];
    let meant: Vec<Stage> = ALL.into_iter().filter(|stage| self::status(*stage).text() == status).collect();
    (!meant.is_empty()).then_some(meant)
}

fn phase(stage: Stage) -> Option<JobPhase> {
    match stage {
        Stage::Probing => Some(JobPhase::Probing),
        Stage::Transcoding => Some(JobPhase::Transcoding),
        Stage::Uploading => Some(JobPhase::Uploading),
        _ => None,
    }
}

/// Returns a time in seconds since 1970 as SDKs parse it: a number, an integer if possible.
pub(crate) fn seconds(ms: i64) -> Value {
    if ms % 1000 == 0 { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) }
}

fn timing(record: &JobRecord) -> Value {
    let times = record.times.in_order();
    let mut timing = json!({"submitTime": seconds(times.submitted_ms)});
    for (name, time) in [("startTime", times.started_ms), ("finishTime", times.finished_ms)] {
        if let Some(ms) = time {
            timing[name] = seconds(ms);
        }
    }
    timing
}

fn messages(record: &JobRecord) -> Value {
    let warnings: Vec<&str> = record.messages().collect();
    json!({"info": [], "warning": warnings})
}

/// Groups the outputs by output group, in the job's order.
fn output_groups(record: &JobRecord) -> Vec<Value> {
    if let Some(Value::Array(groups)) = &record.forwarded.outputs {
        return groups.clone();
    }
    let planned = record.plan.iter().flat_map(|plan| &plan.outputs).enumerate();
    let mut groups: BTreeMap<u32, Vec<Value>> = BTreeMap::new();
    for (index, planned) in planned {
        let details = groups.entry(planned.group).or_default();
        let made = record.outputs.iter().find(|made| usize::try_from(made.output) == Ok(index));
        let tells_paths = record.group_kind(planned.group).facts().tells_paths;
        details.extend(made.map(|made| output_detail(tells_paths, &planned.content_type, made)));
    }
    let of_plan = record.plan.iter().flat_map(|plan| &plan.groups);
    let manifests =
        |index| of_plan.clone().find(|group| group.group == index).map(|group| &group.manifest_urls);
    let with_manifests = |(index, details)| match manifests(index).filter(|urls| !urls.is_empty()) {
        Some(urls) => json!({"outputDetails": details, "playlistFilePaths": urls}),
        None => json!({"outputDetails": details}),
    };
    groups.into_iter().map(with_manifests).collect()
}

fn output_detail(tells_paths: bool, content_type: &str, made: &MeasuredOutput) -> Value {
    let mut detail = json!({"durationInMs": made.duration_ms});
    if tells_paths {
        detail["outputFilePaths"] = json!([made.url]);
    }
    // An audio-only output has no video details.
    if made.width > 0 {
        detail["videoDetails"] = json!({"widthInPx": made.width, "heightInPx": made.height});
        if content_type != "image/jpeg" {
            detail["videoDetails"]["averageBitrate"] = json!(made.video_bit_rate_bps);
        }
    }
    detail
}

#[cfg(test)]
mod tests;
