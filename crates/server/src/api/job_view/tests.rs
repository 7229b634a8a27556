use abanico_engine::job_machine::JobMachine;
use abanico_engine::{JobId, JobTimes, Progress, submission};
use abanico_model::generated::Job;

use super::*;

fn record(stage: &str) -> JobRecord {
    let request = json!({
        "Role": "arn:aws:iam::000000000000:role/r", "JobTemplate": "ladder", "Priority": 7,
        "ClientRequestToken": "t-1", "StatusUpdateInterval": "SECONDS_10", "Tags": {"a": "b"},
        "UserMetadata": {"team": "news"},
        "Settings": {
            "Inputs": [{"FileInput": "s3://uploads/a.mp4"}],
            "OutputGroups": [{"OutputGroupSettings": {"FileGroupSettings": {"Destination": "s3://out/a/"}}}],
        },
    });
    let mut machine = serde_json::to_value(JobMachine::default()).unwrap();
    machine["stage"] = json!(stage);
    if stage == "ERROR" {
        machine["failure"] = json!({"code": 1010, "message": "input is not there", "is_retryable": false});
    }
    JobRecord {
        id: JobId::new("1671476818694-abc123"),
        submission: submission::from_request(request).unwrap(),
        machine: serde_json::from_value(machine).unwrap(),
        times: JobTimes {
            submitted_ms: 1_671_476_818_694,
            started_ms: Some(1_671_476_819_000),
            finished_ms: None,
        },
        progress: Progress { probing_percent: 100, transcoding_percent: 50, ..Progress::default() },
        inputs: Vec::new(),
        plan: None,
        outputs: Vec::new(),
        child_cpu_ms: 0,
        transitions: Vec::new(),
        forwarded: abanico_engine::Forwarded::default(),
    }
}

#[test]
fn running_job_has_members_sdks_read() {
    let view = job(&record("TRANSCODING"));
    assert_eq!(view["arn"], "arn:aws:mediaconvert:us-east-1:000000000000:jobs/1671476818694-abc123");
    assert_eq!((&view["status"], &view["currentPhase"]), (&json!("PROGRESSING"), &json!("TRANSCODING")));
    assert_eq!(view["jobPercentComplete"], 48);
    assert_eq!(view["timing"], json!({"submitTime": 1_671_476_818.694, "startTime": 1_671_476_819}));
    assert_eq!((&view["priority"], &view["clientRequestToken"]), (&json!(7), &json!("t-1")));
    assert_eq!(view["userMetadata"]["team"], "news");
    assert_eq!(view["settings"]["inputs"][0]["fileInput"], "s3://uploads/a.mp4");
    assert!(view.get("tags").is_none() && view.get("errorCode").is_none());
}

#[test]
fn generated_model_parses_every_view() {
    for stage in ["SUBMITTED", "PROBING", "UPLOADING", "COMPLETE", "ERROR", "CANCELED"] {
        let read: Job = serde_json::from_value(job(&record(stage))).unwrap();
        assert_eq!(read.id.as_deref(), Some("1671476818694-abc123"));
    }
}

#[test]
fn failed_job_has_code_and_message() {
    let view = job(&record("ERROR"));
    assert_eq!((&view["errorCode"], &view["errorMessage"]), (&json!(1010), &json!("input is not there")));
    assert!(view.get("currentPhase").is_none() && view.get("outputGroupDetails").is_none());
}

#[test]
fn output_details_match_aws_docs() {
    let made = MeasuredOutput {
        output: 0,
        url: "s3://out/a/a_720p.mp4".to_owned(),
        size_bytes: 9,
        duration_ms: 2000,
        video_bit_rate_bps: 3_000_000,
        width: 1280,
        height: 720,
    };
    let expected = json!({
        "durationInMs": 2000, "outputFilePaths": ["s3://out/a/a_720p.mp4"],
        "videoDetails": {"widthInPx": 1280, "heightInPx": 720, "averageBitrate": 3_000_000},
    });
    assert_eq!(output_detail(true, "video/mp4", &made), expected);
    let images = json!({
        "durationInMs": 2000, "outputFilePaths": ["s3://out/a/a_720p.mp4"],
        "videoDetails": {"widthInPx": 1280, "heightInPx": 720},
    });
    assert_eq!(output_detail(true, "image/jpeg", &made), images, "images have no bit rate");
}

#[test]
fn every_job_has_the_members_that_aws_always_answers() {
    let mut plain = record("SUBMITTED");
    let request = plain.submission.request.as_object_mut().unwrap();
    request.remove("statusUpdateInterval");
    let view = job(&plain);
    assert_eq!(view["accelerationSettings"], json!({"mode": "DISABLED"}));
    assert_eq!(view["accelerationStatus"], "NOT_APPLICABLE");
    assert_eq!(view["billingTagsSource"], "JOB");
    assert_eq!(view["hopDestinations"], json!([]));
    assert_eq!(view["statusUpdateInterval"], "SECONDS_60");
    assert_eq!(view["messages"], json!({"info": [], "warning": []}));
    assert_eq!(job(&record("SUBMITTED"))["statusUpdateInterval"], "SECONDS_10");
}

#[test]
fn acceleration_status_follows_the_plan() {
    let status = |stage: &str, is_cut: Option<bool>| {
        let mut record = record(stage);
        record.submission.request["accelerationSettings"] = json!({"mode": "PREFERRED"});
        record.plan = is_cut.map(|is_cut| {
            let plan = json!({"tasks": [], "outputs": [], "notes": [], "is_cut": is_cut});
            std::sync::Arc::new(serde_json::from_value(plan).unwrap())
        });
        job(&record)["accelerationStatus"].as_str().unwrap().to_owned()
    };
    assert_eq!(status("SUBMITTED", None), "IN_PROGRESS");
    assert_eq!(status("TRANSCODING", Some(true)), "ACCELERATED");
    assert_eq!(status("COMPLETE", Some(false)), "NOT_ACCELERATED");
    assert_eq!(status("ERROR", None), "NOT_ACCELERATED");
}

#[test]
fn each_status_maps_to_its_stages() {
    assert_eq!(stages("PROGRESSING").unwrap(), [Stage::Probing, Stage::Transcoding, Stage::Uploading]);
    assert_eq!(stages("CANCELED").unwrap(), [Stage::Canceled]);
    assert_eq!(stages("DONE"), None);
}
