//! Builds the lines of a cue from pieces of styled text.

use crate::{Span, Style};

/// Collects text into lines; a line break in the text begins a new line.
pub(crate) struct LineBuilder {
    lines: Vec<Vec<Span>>,
}

impl LineBuilder {
    pub(crate) fn new() -> Self {
        Self { lines: vec![Vec::new()] }
    }

    /// Appends text of one style. Text with the same style as the preceding text joins its span.
    pub(crate) fn push(&mut self, text: &str, style: Style) {
        for (index, piece) in text.split('\n').enumerate() {
            if index > 0 {
                self.lines.push(Vec::new());
            }
            self.push_piece(piece, style);
        }
    }

    fn push_piece(&mut self, piece: &str, style: Style) {
        let Some(line) = self.lines.last_mut() else { return };
        match line.last_mut() {
            _ if piece.is_empty() => {}
            Some(last) if last.style == style => last.text.push_str(piece),
            _ => line.push(Span { text: piece.to_owned(), style }),
        }
    }

    /// Returns the lines: at least one, which may be empty.
    pub(crate) fn finish(self) -> Vec<Vec<Span>> {
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_equal_styles_and_splits_lines() {
        let bold = Style { bold: true, ..Style::default() };
        let mut builder = LineBuilder::new();
        builder.push("a", Style::default());
        builder.push("", bold);
        builder.push("b\n", Style::default());
        builder.push("c\nd", bold);
        let span = |text: &str, style| Span { text: text.to_owned(), style };
        let expected = vec![vec![span("ab", Style::default())], vec![span("c", bold)], vec![span("d", bold)]];
        assert_eq!(builder.finish(), expected);
    }
}
