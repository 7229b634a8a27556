//! Writes the metrics of jobs, encoders and kept encodes. No label grows with the number of jobs.

use abanico_engine::{Figures, JobRecord, Stage, StepFailures, Tallies};

use super::text::{Text, seconds};

/// All stages and their names.
const STAGES: [(Stage, &str); 7] = [
    (Stage::Submitted, "submitted"),
    (Stage::Probing, "probing"),
    (Stage::Transcoding, "transcoding"),
    (Stage::Uploading, "uploading"),
    (Stage::Complete, "complete"),
    (Stage::Error, "error"),
    (Stage::Canceled, "canceled"),
];

/// What is known about jobs.
pub(super) struct Jobs<'a> {
    /// Stored jobs by stage.
    pub counts: &'a [(Stage, u64)],
    /// Jobs that ever ended by stage, also those that are no longer stored.
    pub ended: &'a [(Stage, u64)],
    /// The jobs that run.
    pub running: &'a [JobRecord],
}

/// Writes how many jobs there are, and how far they are.
pub(super) fn write_jobs(text: &mut Text, jobs: &Jobs<'_>) {
    let count = |all: &[(Stage, u64)], stage: Stage| {
        all.iter().filter(|(other, _)| *other == stage).map(|(_, count)| count).sum::<u64>()
    };
    text.head("abanico_jobs", "gauge", "Stored jobs by stage.");
    for (stage, name) in STAGES {
        text.sample("abanico_jobs", &[("stage", name)], count(jobs.counts, stage));
    }
    let going_on: u64 = STAGES
        .iter()
        .filter(|(stage, _)| !stage.is_final())
        .map(|(stage, _)| count(jobs.counts, *stage))
        .sum();
    let ended: u64 = jobs.ended.iter().map(|(_, count)| count).sum();
    text.head("abanico_jobs_submitted_total", "counter", "Jobs ever created.");
    text.sample("abanico_jobs_submitted_total", &[], going_on + ended);
    text.head("abanico_jobs_finished_total", "counter", "Jobs that have ended, by result.");
    for (stage, name) in STAGES.into_iter().filter(|(stage, _)| stage.is_final()) {
        text.sample("abanico_jobs_finished_total", &[("result", name)], count(jobs.ended, stage));
    }
    let frames = |pick: fn(&JobRecord) -> u64| jobs.running.iter().map(pick).sum::<u64>();
    text.head(
        "abanico_running_frames_done",
        "gauge",
        "Frames done in running jobs; first passes count in part.",
    );
    text.sample("abanico_running_frames_done", &[], frames(|record| record.progress.frames_done));
    text.head("abanico_running_frames", "gauge", "Total frames of running jobs.");
    text.sample("abanico_running_frames", &[], frames(|record| record.progress.frames_total));
}

/// Writes how long jobs wait and take, and which steps failed. Jobs that are forwarded to another service do not count.
pub(super) fn write_tallies(text: &mut Text, tallies: &Tallies) {
    text.head("abanico_queue_wait_seconds", "histogram", "From the submission of a job to its start.");
    text.histogram("abanico_queue_wait_seconds", &[], &tallies.queue_wait);
    text.head("abanico_job_duration_seconds", "histogram", "From the start of a job to its end, by result.");
    for (stage, histogram) in tallies.durations() {
        let name = STAGES.iter().find(|(other, _)| *other == stage).map_or("", |(_, name)| name);
        text.histogram("abanico_job_duration_seconds", &[("result", name)], histogram);
    }
    text.head(
        "abanico_step_failures_total",
        "counter",
        "Failed attempts, by kind of step and error code; a job may recover from them.",
    );
    for StepFailures { step, code, count } in tallies.failures() {
        text.sample("abanico_step_failures_total", &[("step", &step), ("code", &code.to_string())], count);
    }
}

/// Writes how busy the encoders are, and what kept encodes are worth.
pub(super) fn write_figures(text: &mut Text, figures: &Figures, now_ms: i64) {
    let waited =
        figures.oldest_waiting_ms.map_or(0, |since| now_ms.saturating_sub(since).max(0).unsigned_abs());
    text.head(
        "abanico_queue_oldest_wait_seconds",
        "gauge",
        "How long the job that waits longest has waited; 0 if none waits.",
    );
    text.sample("abanico_queue_oldest_wait_seconds", &[], seconds(waited));
    text.head("abanico_encoder_permits", "gauge", "Permits of the encoders: one per processor.");
    text.sample("abanico_encoder_permits", &[], figures.encoders);
    text.head(
        "abanico_encoder_permits_in_use",
        "gauge",
        "Permits that encodes have; an encode in one piece has all.",
    );
    text.sample("abanico_encoder_permits_in_use", &[], figures.encoders_in_use);
    text.head("abanico_encodes_waiting", "gauge", "Encodes that wait for permits.");
    text.sample("abanico_encodes_waiting", &[], figures.encodes_waiting);
    text.head("abanico_kept_encodes_bytes", "gauge", "Size of the encodes that are kept for later jobs.");
    text.sample("abanico_kept_encodes_bytes", &[], figures.kept_bytes);
    text.head("abanico_kept_encode_hits_total", "counter", "Encodes that were taken from the kept ones.");
    text.sample("abanico_kept_encode_hits_total", &[], figures.kept_hits);
    text.head("abanico_kept_encode_misses_total", "counter", "Encodes that were not among the kept ones.");
    text.sample("abanico_kept_encode_misses_total", &[], figures.kept_misses);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(text: &Text, lines: &[&str]) {
        for line in lines {
            assert!(text.0.lines().any(|other| other == *line), "{line} is not in\n{}", text.0);
        }
    }

    #[test]
    fn every_stage_is_reported_even_without_jobs() {
        let counts = [(Stage::Complete, 3), (Stage::Error, 1), (Stage::Submitted, 2)];
        let ended = [(Stage::Complete, 30), (Stage::Error, 1)];
        let mut text = Text::default();
        write_jobs(&mut text, &Jobs { counts: &counts, ended: &ended, running: &[] });
        has(
            &text,
            &[
                "abanico_jobs{stage=\"complete\"} 3",
                "abanico_jobs{stage=\"transcoding\"} 0",
                "abanico_jobs_submitted_total 33",
                "abanico_jobs_finished_total{result=\"complete\"} 30",
                "abanico_jobs_finished_total{result=\"canceled\"} 0",
            ],
        );
    }

    #[test]
    fn waits_are_told_in_seconds() {
        let mut text = Text::default();
        write_tallies(&mut text, &Tallies::default());
        let figures = Figures { oldest_waiting_ms: Some(1_000), kept_hits: 4, ..Figures::default() };
        write_figures(&mut text, &figures, 3_500);
        has(
            &text,
            &[
                "abanico_queue_wait_seconds_count 0",
                "abanico_job_duration_seconds_bucket{result=\"error\",le=\"+Inf\"} 0",
                "abanico_queue_oldest_wait_seconds 2.5",
                "abanico_kept_encode_hits_total 4",
            ],
        );
        write_figures(&mut text, &figures, 0);
        has(&text, &["abanico_queue_oldest_wait_seconds 0"]);
    }
}
