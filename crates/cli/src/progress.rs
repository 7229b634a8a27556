//! Progress of a job for people: in an engine and a job, out bars on a terminal, plain lines elsewhere, or JSON lines.
//! Never on stdout, but for `--json`. Never a made-up number: percentages count frames and bytes.

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
    /// One JSON object a line, on stdout.
    Json,
}

/// Follows a job to its end. `name` is what the user calls the input.
pub async fn follow(engine: &Engine, id: &JobId, name: &str, show: Show) -> anyhow::Result<JobRecord> {
    let mut changes = engine.changes();
    let mut display = Display::new(name, show);
    loop {
        let record = engine.get(id).await?;
        display.update(&record)?;
        if record.stage().is_final() {
            display.finish();
            return Ok(record);
        }
        // At most ten looks a second, however often something changes; one every second when nothing does.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = tokio::time::timeout(Duration::from_secs(1), changes.changed()).await;
    }
}

struct Display {
    name: String,
    show: Show,
    bars: Option<MultiProgress>,
    renditions: Vec<ProgressBar>,
    stage: Option<Stage>,
    shown_percent: Option<u8>,
    encoding_since: Option<Instant>,
}

impl Display {
    fn new(name: &str, show: Show) -> Self {
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        Self {
            name: name.to_owned(),
            show,
            bars: (show == Show::People && is_terminal).then(MultiProgress::new),
            renditions: Vec::new(),
            stage: None,
            shown_percent: None,
            encoding_since: None,
        }
    }

    fn update(&mut self, record: &JobRecord) -> anyhow::Result<()> {
        if record.progress.frames_done > 0 {
            self.encoding_since.get_or_insert_with(Instant::now);
        }
        match (self.show, &self.bars) {
            (Show::Json, _) => self.json(record),
            (Show::People, Some(_)) => {
                self.draw(record);
                Ok(())
            }
            (Show::People, None) => {
                self.lines(record);
                Ok(())
            }
        }
    }

    /// A bar for each rendition: they are made side by side from one decode, so they move together.
    fn draw(&mut self, record: &JobRecord) {
        let (Some(bars), Some(plan)) = (&self.bars, &record.plan) else { return };
        if self.renditions.is_empty() {
            let style = ProgressStyle::with_template("{prefix:26} [{bar:30}] {percent:>3}% {msg} {eta} left");
            for output in &plan.outputs {
                let bar = bars.add(ProgressBar::new(record.progress.frames_total.max(1)));
                if let Ok(style) = &style {
                    bar.set_style(style.clone().progress_chars("=> "));
                }
                bar.set_prefix(format!(
                    "{} {}",
                    output.name_modifier.trim_start_matches('_'),
                    output.facts.video.as_ref().map_or("sound".to_owned(), |video| video.size.to_string())
                ));
                self.renditions.push(bar);
            }
        }
        let fps = self.frames_per_second(record);
        for bar in &self.renditions {
            bar.set_length(record.progress.frames_total.max(1));
            bar.set_position(record.progress.frames_done);
            bar.set_message(format!("{fps} fps"));
        }
    }

    fn lines(&mut self, record: &JobRecord) {
        let percent = record.progress.job_percent() / 10 * 10;
        if self.stage != Some(record.stage()) || self.shown_percent != Some(percent) {
            let fps = self.frames_per_second(record);
            let speed = if fps > 0 { format!(", {fps} fps") } else { String::new() };
            output::note(format!(
                "{}: {}, {}%{speed}",
                self.name,
                word(record.stage()),
                record.progress.job_percent()
            ));
            (self.stage, self.shown_percent) = (Some(record.stage()), Some(percent));
        }
    }

    fn json(&mut self, record: &JobRecord) -> anyhow::Result<()> {
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
            "frames_per_second": self.frames_per_second(record),
        }))
    }

    fn frames_per_second(&self, record: &JobRecord) -> u64 {
        let millis = self.encoding_since.map_or(0, |since| since.elapsed().as_millis());
        let rate = (u128::from(record.progress.frames_done) * 1000).checked_div(millis);
        rate.and_then(|rate| u64::try_from(rate).ok()).unwrap_or(0)
    }

    fn finish(&self) {
        for bar in &self.renditions {
            bar.finish_and_clear();
        }
    }
}

/// A stage in a word for people.
pub fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Submitted => "waiting",
        Stage::Probing => "looking at the input",
        Stage::Transcoding => "transcoding",
        Stage::Uploading => "publishing",
        Stage::Complete => "complete",
        Stage::Error => "failed",
        Stage::Canceled => "cancelled",
    }
}
