//! Writes and parses the EventBridge event `MediaConvert Job State Change`. Callers pass in the event's id and the time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::arn::{Arn, ResourceKind};

/// A job event with its EventBridge envelope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct JobEvent {
    /// Always `0`.
    pub version: String,
    /// UUID of the event.
    pub id: String,
    /// Always `MediaConvert Job State Change`.
    pub detail_type: String,
    /// Always `aws.mediaconvert`.
    pub source: String,
    /// Account, 12 digits.
    pub account: String,
    /// Time in UTC, to the second, as RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub time: OffsetDateTime,
    /// Region.
    pub region: String,
    /// The job's ARN.
    pub resources: Vec<String>,
    /// What happened to the job.
    pub detail: Detail,
}

/// The members that all events of a job share, and those of its status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// Milliseconds since 1970-01-01 UTC.
    pub timestamp: i64,
    /// Account, 12 digits.
    pub account_id: String,
    /// ARN of the queue.
    pub queue: String,
    /// The job's id.
    pub job_id: String,
    /// The job's user metadata.
    #[serde(default)]
    pub user_metadata: BTreeMap<String, String>,
    /// The member `status` and the members specific to it.
    #[serde(flatten)]
    pub status: Status,
}

/// A status and the members specific to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum Status {
    /// Reports what was found in the inputs.
    InputInformation {
        /// One object per input, as `{id, uri, audio, video}`.
        input_details: Vec<Value>,
    },
    /// The job has started.
    Progressing {},
    /// Reports the progress of a running job.
    StatusUpdate {
        /// Frames decoded so far.
        frames_decoded: u64,
        /// The job's progress.
        job_progress: JobProgress,
    },
    /// All outputs are complete.
    Complete {
        /// Warnings, as `{code, count}`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<WarningCount>,
        /// The files that were made, in the order of the job's output groups.
        output_group_details: Vec<OutputGroupDetail>,
        /// Padding that was inserted, in milliseconds.
        #[serde(default)]
        padding_inserted: u64,
        /// Black video that was found, in milliseconds.
        #[serde(default)]
        black_video_detected: u64,
    },
    /// The job failed.
    Error {
        /// Number of a `JobErrorCode`.
        error_code: u16,
        /// Cause of the failure.
        error_message: String,
    },
    /// The job was cancelled.
    Canceled {},
    /// The job moved to another queue, which the member `queue` names.
    QueueHop {
        /// ARN of the queue that the job left.
        previous_queue: String,
        /// The job's new priority.
        priority: i32,
        /// The job's previous priority.
        previous_priority: i32,
    },
    /// Reports a new warning.
    NewWarning {
        /// AWS's number of the warning, as text.
        warning_code: String,
        /// Text of the warning.
        warning_message: String,
    },
}

/// A warning and how often it occurred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarningCount {
    /// AWS's number of the warning.
    pub code: u32,
    /// How often it occurred.
    pub count: u32,
}

/// Progress of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobProgress {
    /// Progress by phase: `PROBING`, `TRANSCODING`, `UPLOADING`.
    pub phase_progress: BTreeMap<String, PhaseProgress>,
    /// Progress of the whole job, 0 to 100.
    pub job_percent_complete: u8,
    /// The running phase.
    pub current_phase: String,
    /// Number of attempts after the first.
    pub retry_count: u32,
}

/// Progress of one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseProgress {
    /// `PENDING`, `PROGRESSING` or `COMPLETE`.
    pub status: String,
    /// Progress of the phase, 0 to 100.
    pub percent_complete: u8,
}

/// The result of one output group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputGroupDetail {
    /// Results of the outputs, in the order of the group.
    pub output_details: Vec<OutputDetail>,
    /// URLs of the playlists; empty for file groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub playlist_file_paths: Vec<String>,
    /// `FILE_GROUP`, `HLS_GROUP`, `DASH_ISO_GROUP`, `CMAF_GROUP` or `MS_SMOOTH_GROUP`.
    #[serde(rename = "type")]
    pub group_type: String,
}

/// The result of one output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputDetail {
    /// URLs of the output's files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_file_paths: Vec<String>,
    /// Duration in milliseconds.
    pub duration_in_ms: u64,
    /// Details of the video; absent if the output has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_details: Option<VideoDetails>,
}

/// The video of one output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoDetails {
    /// Width in pixels.
    pub width_in_px: u32,
    /// Height in pixels.
    pub height_in_px: u32,
    /// Average bit rate in bits per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_bitrate: Option<u64>,
    /// Average QVBR quality level over the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qvbr_avg_quality: Option<f64>,
}

/// Facts about the job that every event states, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFacts {
    /// The job's ARN, which supplies region, account and id.
    pub job: Arn,
    /// Name of the job's queue.
    pub queue: String,
    /// The job's user metadata.
    pub user_metadata: BTreeMap<String, String>,
}

impl JobEvent {
    /// Creates an event about a job at the time `now`. `id` is the event's UUID.
    #[must_use]
    pub fn new(id: String, now: OffsetDateTime, facts: JobFacts, status: Status) -> Self {
        let JobFacts { job, queue, user_metadata } = facts;
        let resources = vec![job.to_string()];
        let queue = Arn { kind: ResourceKind::Queue, name: queue, ..job.clone() }.to_string();
        let timestamp = now.unix_timestamp() * 1000 + i64::from(now.millisecond());
        let utc = now.to_offset(time::UtcOffset::UTC);
        let Arn { region, account, name: job_id, .. } = job;
        Self {
            version: "0".to_owned(),
            id,
            detail_type: "MediaConvert Job State Change".to_owned(),
            source: "aws.mediaconvert".to_owned(),
            account: account.clone(),
            time: utc.replace_nanosecond(0).unwrap_or(utc),
            region,
            resources,
            detail: Detail { timestamp, account_id: account, queue, job_id, user_metadata, status },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    fn event(status: Status) -> JobEvent {
        let facts = JobFacts {
            job: Arn::local(ResourceKind::Job, "1671476818694-phptj0"),
            queue: "Default".to_owned(),
            user_metadata: BTreeMap::from([("guid".to_owned(), "g".to_owned())]),
        };
        JobEvent::new("6d6a".to_owned(), datetime!(2026-11-25 03:00:01.25 UTC), facts, status)
    }

    #[test]
    fn error_event_has_the_shape_of_aws() {
        let status = Status::Error { error_code: 1010, error_message: "m".to_owned() };
        let wire = json!({
            "version": "0", "id": "6d6a", "detail-type": "MediaConvert Job State Change",
            "source": "aws.mediaconvert", "account": "000000000000", "time": "2026-11-25T03:00:01Z",
            "region": "us-east-1",
            "resources": ["arn:aws:mediaconvert:us-east-1:000000000000:jobs/1671476818694-phptj0"],
            "detail": {
                "timestamp": 1_795_575_601_250_i64, "accountId": "000000000000",
                "queue": "arn:aws:mediaconvert:us-east-1:000000000000:queues/Default",
                "jobId": "1671476818694-phptj0", "userMetadata": {"guid": "g"},
                "status": "ERROR", "errorCode": 1010, "errorMessage": "m",
            },
        });
        assert_eq!(serde_json::to_value(event(status)).unwrap(), wire);
    }

    #[test]
    fn every_status_survives_a_round_trip() {
        let phase = PhaseProgress { status: "PROGRESSING".to_owned(), percent_complete: 40 };
        let job_progress = JobProgress {
            phase_progress: BTreeMap::from([("TRANSCODING".to_owned(), phase)]),
            job_percent_complete: 40,
            current_phase: "TRANSCODING".to_owned(),
            retry_count: 0,
        };
        let all = [
            ("INPUT_INFORMATION", Status::InputInformation { input_details: vec![json!({"id": 1})] }),
            ("PROGRESSING", Status::Progressing {}),
            ("STATUS_UPDATE", Status::StatusUpdate { frames_decoded: 9, job_progress }),
            ("CANCELED", Status::Canceled {}),
            (
                "NEW_WARNING",
                Status::NewWarning { warning_code: "240000".into(), warning_message: "w".into() },
            ),
        ];
        for (word, status) in all {
            let event = event(status);
            let wire = serde_json::to_value(&event).unwrap();
            assert_eq!(wire["detail"]["status"], word);
            assert_eq!(serde_json::from_value::<JobEvent>(wire).unwrap(), event);
        }
    }

    #[test]
    fn complete_file_group_has_paths_but_no_playlists() {
        let output = OutputDetail {
            output_file_paths: vec!["s3://out/a_1080p.mp4".to_owned()],
            duration_in_ms: 2000,
            video_details: Some(VideoDetails { width_in_px: 1920, height_in_px: 1080, ..Default::default() }),
        };
        let group = OutputGroupDetail {
            output_details: vec![output],
            playlist_file_paths: Vec::new(),
            group_type: "FILE_GROUP".to_owned(),
        };
        let event = event(Status::Complete {
            warnings: Vec::new(),
            output_group_details: vec![group],
            padding_inserted: 0,
            black_video_detected: 0,
        });
        let wire = serde_json::to_value(&event).unwrap();
        assert_eq!(
            wire["detail"]["outputGroupDetails"],
            json!([{
                "outputDetails": [{
                    "outputFilePaths": ["s3://out/a_1080p.mp4"], "durationInMs": 2000,
                    "videoDetails": {"widthInPx": 1920, "heightInPx": 1080},
                }],
                "type": "FILE_GROUP",
            }])
        );
        assert_eq!(
            (&wire["detail"]["paddingInserted"], &wire["detail"]["blackVideoDetected"]),
            (&json!(0), &json!(0))
        );
        assert_eq!(serde_json::from_value::<JobEvent>(wire).unwrap(), event);
    }
}
