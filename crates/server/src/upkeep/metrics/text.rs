//! Writes samples in Prometheus's text format. It knows no metric.

use std::fmt::{Display, Write as _};

use abanico_engine::Histogram;

/// Metrics in Prometheus's text format.
#[derive(Default)]
pub(crate) struct Text(pub(super) String);

impl Text {
    /// Begins a metric.
    pub(crate) fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Writes one sample.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels = joined(labels);
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        self.line(format_args!("{name}{labels} {value}\n"));
    }

    /// Writes the samples of a histogram of durations, in seconds.
    pub(crate) fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let labels = joined(labels);
        let (comma, count) = (if labels.is_empty() { "" } else { "," }, histogram.count());
        for (bound_ms, up_to) in histogram.up_to() {
            let bound = seconds(bound_ms);
            self.line(format_args!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {up_to}\n"));
        }
        let outer = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        self.line(format_args!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}\n"));
        self.line(format_args!("{name}_sum{outer} {}\n", seconds(histogram.sum_ms())));
        self.line(format_args!("{name}_count{outer} {count}\n"));
    }

    /// Returns what was written.
    #[cfg(test)]
    pub(crate) fn shown(&self) -> &str {
        &self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.0.write_fmt(line).expect("writing to a `String` cannot fail");
    }
}

fn joined(labels: &[(&str, &str)]) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> =
        labels.iter().map(|(label, text)| format!("{label}=\"{}\"", quoted(text))).collect();
    labels.join(",")
}

/// Returns milliseconds as seconds, exactly.
pub(super) fn seconds(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_has_all_its_samples() {
        let histogram = Histogram::new(&[5, 1_000]);
        for ms in [1, 700, 70_000] {
            histogram.note(ms);
        }
        let mut text = Text::default();
        text.histogram("x_seconds", &[("a", "b")], &histogram);
        text.histogram("y_seconds", &[], &histogram);
        for line in [
            "x_seconds_bucket{a=\"b\",le=\"0.005\"} 1",
            "x_seconds_bucket{a=\"b\",le=\"1\"} 2",
            "x_seconds_bucket{a=\"b\",le=\"+Inf\"} 3",
            "x_seconds_sum{a=\"b\"} 70.701",
            "y_seconds_bucket{le=\"+Inf\"} 3",
            "y_seconds_count 3",
        ] {
            assert!(text.0.lines().any(|other| other == line), "{line} is not in\n{}", text.0);
        }
    }

    #[test]
    fn labels_cannot_break_a_line() {
        let mut text = Text::default();
        text.sample("x", &[("a", "\"\\\n")], 1);
        assert_eq!(text.0, "x{a=\"\\\"\\\\\\n\"} 1\n");
    }
}
