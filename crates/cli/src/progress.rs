//! Shows a job's progress: moving bars on a terminal, plain lines elsewhere, or JSON lines for programs.
//!
//! Percentages count frames and bytes; the time left is estimated from the frames so far. Bars and lines go to stderr,
//! JSON goes to stdout.

use std::time::{Duration, Instant};

use abanico_engine::{Engine, JobId, JobRecord, Stage};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::output;

/// How progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Show {
    /// Bars on a terminal, lines elsewhere; on stderr.
    People,
    /// One JSON object per line, on stdout.
    Json,
}

/// Follows a job to its end and returns it. `name` is the user's name for the input.
pub async fn follow(engine: &Engine, id: &JobId, name: &str, show: Show) -> anyhow::Result<JobRecord> {
    let mut changes = engine.changes();
    let mut display = Display::new(name, show);
    loop {
        let record = engine.get(id).await?;
        display.update(&record)?;
        if record.stage().is_final() {
            return Ok(record);
        }
        // Polls at most ten times a second while the job changes, and once a second otherwise.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = tokio::time::timeout(Duration::from_secs(1), changes.changed()).await;
    }
}

struct Display {
    name: String,
    show: Show,
    bars: Option<Bars>,
    stage: Option<Stage>,
    shown_percent: Option<u8>,
    encoding_since: Option<Instant>,
}

impl Display {
    fn new(name: &str, show: Show) -> Self {
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr()) && !output::notes_are_json();
        Self {
            name: name.to_owned(),
            show,
            bars: (show == Show::People && is_terminal).then(Bars::new),
            stage: None,
            shown_percent: None,
            encoding_since: None,
        }
    }

    fn update(&mut self, record: &JobRecord) -> anyhow::Result<()> {
        if record.progress.frames_done > 0 {
            self.encoding_since.get_or_insert_with(Instant::now);
        }
        let elapsed = self.encoding_since.map_or(Duration::ZERO, |since| since.elapsed());
        let pace = Pace::of(record.progress.frames_done, record.progress.frames_total, elapsed);
        match (self.show, &mut self.bars) {
            (Show::Json, _) => return self.json(record, pace),
            (Show::People, Some(bars)) => bars.draw(&self.name, record, pace),
            (Show::People, None) => self.lines(record, pace),
        }
        Ok(())
    }

    fn lines(&mut self, record: &JobRecord, pace: Pace) {
        let tens = record.progress.job_percent() / 10 * 10;
        if self.stage != Some(record.stage()) || self.shown_percent != Some(tens) {
            output::note(format!("{}: {}", self.name, status(record, pace)));
            (self.stage, self.shown_percent) = (Some(record.stage()), Some(tens));
        }
    }

    fn json(&mut self, record: &JobRecord, pace: Pace) -> anyhow::Result<()> {
        let percent = record.progress.job_percent();
        if self.stage == Some(record.stage()) && self.shown_percent == Some(percent) {
            return Ok(());
        }
        (self.stage, self.shown_percent) = (Some(record.stage()), Some(percent));
        output::json_line(&json!({
            "type": "progress",
            "input": self.name,
            "job": record.id,
            "stage": record.stage(),
            "percent": percent,
            "frames_done": record.progress.frames_done,
            "frames_total": record.progress.frames_total,
            "frames_per_second": pace.frames_per_second,
            "seconds_left": pace.seconds_left,
        }))
    }
}

/// Frames per second so far and, once it can be estimated, the time that the remaining frames will take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pace {
    frames_per_second: u64,
    seconds_left: Option<u64>,
}

impl Pace {
    fn of(done: u64, total: u64, elapsed: Duration) -> Self {
        let scaled = |frames: u64, by: u128, over: u128| {
            (u128::from(frames) * by).checked_div(over).and_then(|value| u64::try_from(value).ok())
        };
        let frames_per_second = scaled(done, 1000, elapsed.as_millis()).unwrap_or(0);
        // The first second says little about the rest.
        let seconds_left = (elapsed >= Duration::from_secs(1) && done > 0)
            .then(|| scaled(total.saturating_sub(done), elapsed.as_millis(), u128::from(done) * 1000))
            .flatten();
        Self { frames_per_second, seconds_left }
    }
}

/// Phase, percentage, speed and time left, such as `transcoding, 51%, 43 fps, 12 s left`.
fn status(record: &JobRecord, pace: Pace) -> String {
    described(record.stage(), record.progress.job_percent(), pace)
}

fn described(stage: Stage, percent: u8, pace: Pace) -> String {
    let mut text = format!("{}, {percent}%", word(stage));
    if pace.frames_per_second > 0 {
        text.push_str(&format!(", {} fps", pace.frames_per_second));
    }
    // When no frame is left, the files are still put together and checked.
    if let Some(seconds) = pace.seconds_left.filter(|seconds| *seconds > 0 && stage == Stage::Transcoding) {
        text.push_str(&format!(", {} left", span(seconds)));
    }
    text
}

/// Seconds for people: `45 s`, `2 min 5 s`, `1 h 4 min`.
fn span(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// The bars of a terminal: a line with the phase, and below it a bar per rendition.
struct Bars {
    all: MultiProgress,
    phase: ProgressBar,
    renditions: Vec<ProgressBar>,
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let phase = all.add(ProgressBar::new_spinner());
        phase.set_style(style("{spinner:.cyan} {wide_msg}"));
        phase.enable_steady_tick(Duration::from_millis(120));
        Self { all, phase, renditions: Vec::new() }
    }

    /// Renditions are encoded in parallel from one decode, so their bars move together.
    fn draw(&mut self, name: &str, record: &JobRecord, pace: Pace) {
        self.phase.set_message(format!("{name}: {}", status(record, pace)));
        let outputs = record.plan.iter().flat_map(|plan| &plan.outputs);
        for output in outputs.skip(self.renditions.len()) {
            let bar = self.all.add(ProgressBar::new(1));
            bar.set_style(style("  {prefix:22} [{bar:32.cyan}] {percent:>3}%").progress_chars("=> "));
            let size = output.facts.video.as_ref().map_or("audio".to_owned(), |video| video.size.to_string());
            bar.set_prefix(format!("{} {size}", output.name_modifier.trim_start_matches('_')));
            self.renditions.push(bar);
        }
        for bar in &self.renditions {
            bar.set_length(record.progress.frames_total.max(1));
            bar.set_position(record.progress.frames_done);
            // Without this, a bar that changed too soon after another one would show an old value until the next change.
            bar.force_draw();
        }
    }
}

impl Drop for Bars {
    /// Clears the bars, so that what is printed next begins at the left edge of an empty line.
    fn drop(&mut self) {
        self.renditions.iter().chain([&self.phase]).for_each(ProgressBar::finish_and_clear);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Names a stage in a word for people.
pub fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Submitted => "waiting",
        Stage::Probing => "probing",
        Stage::Transcoding => "transcoding",
        Stage::Uploading => "publishing",
        Stage::Complete => "complete",
        Stage::Error => "failed",
        Stage::Canceled => "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_estimated_from_frames_so_far() {
        let pace = Pace::of(100, 400, Duration::from_secs(2));
        assert_eq!(pace, Pace { frames_per_second: 50, seconds_left: Some(6) });
    }

    #[test]
    fn no_estimate_in_the_first_second() {
        for (done, elapsed_ms) in [(0, 5000), (10, 999), (0, 0)] {
            assert_eq!(Pace::of(done, 400, Duration::from_millis(elapsed_ms)).seconds_left, None);
        }
        let done = Pace::of(400, 400, Duration::from_secs(8));
        assert_eq!(done.seconds_left, Some(0));
        assert_eq!(Pace::of(u64::MAX, u64::MAX, Duration::from_millis(1)).frames_per_second, 0);
    }

    #[test]
    fn time_left_is_shown_while_there_is_some() {
        let pace = |seconds_left| Pace { frames_per_second: 43, seconds_left };
        let shown = |stage, seconds_left| described(stage, 51, pace(seconds_left));
        assert_eq!(shown(Stage::Transcoding, Some(12)), "transcoding, 51%, 43 fps, 12 s left");
        for (stage, seconds_left) in
            [(Stage::Transcoding, None), (Stage::Transcoding, Some(0)), (Stage::Uploading, Some(12))]
        {
            assert_eq!(shown(stage, seconds_left), format!("{}, 51%, 43 fps", word(stage)));
        }
        let still = Pace { frames_per_second: 0, seconds_left: None };
        assert_eq!(described(Stage::Probing, 0, still), "probing, 0%");
    }

    #[test]
    fn spans_have_two_units_at_most() {
        assert_eq!([span(45), span(125), span(3840)], ["45 s", "2 min 5 s", "1 h 4 min"]);
    }
}
