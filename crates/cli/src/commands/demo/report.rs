//! Prints the demo's results: a table of the files on stdout, and how to play them on stderr.

use std::path::Path;

use abanico_engine::{JobRecord, MeasuredOutput};

use crate::output;

/// The results of the demo's job.
pub struct Report {
    /// The downloaded files, largest rendition first.
    pub files: Vec<File>,
    /// How long the job took, in milliseconds.
    pub took_ms: i64,
}

/// One downloaded file.
pub struct File {
    name: String,
    cells: Vec<String>,
}

impl File {
    /// Describes the downloaded file `name` by the facts that were measured before it was published.
    pub fn of(name: String, made: &MeasuredOutput, record: &JobRecord) -> anyhow::Result<Self> {
        let planned = record.plan.as_ref().and_then(|plan| plan.outputs.get(made.output as usize));
        let codecs = planned.map_or(String::new(), |planned| {
            let video = planned.facts.video.iter().map(|video| video.codec.as_str());
            let audio = planned.facts.audio.iter().map(|audio| audio.codec.as_str());
            video.chain(audio).collect::<Vec<_>>().join(" + ")
        });
        let cells = vec![
            name.clone(),
            format!("{}x{}", made.width, made.height),
            codecs,
            format!("{} kb/s", made.video_bit_rate_bps / 1000),
            format!("{} s", tenths(made.duration_ms)),
            output::bytes(made.size_bytes),
        ];
        Ok(Self { name, cells })
    }
}

/// Prints the table and what to do next.
pub fn print(report: &Report, out: &Path) {
    let rows: Vec<Vec<String>> = report.files.iter().map(|file| file.cells.clone()).collect();
    for line in output::table(&["file", "frame", "codecs", "bit rate", "length", "size"], &rows) {
        output::line(line);
    }
    output::note(format!(
        "\n{} files in {}/, made in {} s; any player or browser plays them",
        report.files.len(),
        out.display(),
        tenths(report.took_ms)
    ));
    if let Some(first) = report.files.first() {
        output::note(format!("play one:      ffplay '{}'", out.join(&first.name).display()));
    }
    let program = std::env::args().next().unwrap_or_else(|| "abanico".to_owned());
    output::note(format!("your videos:   {program} transcode VIDEO --out renditions/"));
    output::note(format!("your SDK code: {program} serve"));
}

/// Milliseconds as seconds with one decimal.
fn tenths(millis: i64) -> String {
    format!("{}.{}", millis / 1000, millis % 1000 / 100)
}
