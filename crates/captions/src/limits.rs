//! Limits on captions, so that drawing them takes no longer than drawing the video. The time to lay out a text grows
//! faster than its length, and a text that is shown for hours is laid out for each frame that another one changes.

use abanico_media::ExactTime;

use crate::{CaptionFormat, Cue, Error};

/// Most cues of a file: one and a half for each second of ten hours.
const MOST_CUES: usize = 50_000;
/// Most characters of a cue. Two full lines of speech have 84.
const MOST_CHARS: usize = 2_000;
/// Most lines of a cue.
const MOST_LINES: usize = 40;
/// Most changes of style within a cue: about one for every letter of a full line, as karaoke has them.
const MOST_SPANS: usize = 200;
/// Most characters on the screen at a time, in all cues that are shown together.
const MOST_CHARS_AT_ONCE: usize = 6_000;
/// Most cues on the screen at a time.
const MOST_CUES_AT_ONCE: usize = 40;
/// Most characters of a file: a thousand times as many as are spoken in a minute.
const MOST_CHARS_IN_ALL: usize = 4_000_000;

/// Checks the cues of a file, in the file's order.
///
/// # Errors
/// Returns [`Error::TooMuch`], which names the first cue that is over a limit.
pub(crate) fn check(format: CaptionFormat, cues: &[Cue]) -> Result<(), Error> {
    let over = |index: usize, what: &'static str, found: usize, most: usize| {
        Err(Error::TooMuch { format, cue: index + 1, what, found, most })
    };
    if cues.len() > MOST_CUES {
        return over(MOST_CUES, "cues in the file", cues.len(), MOST_CUES);
    }
    let mut in_all = 0;
    for (index, cue) in cues.iter().enumerate() {
        let spans = cue.lines.iter().map(Vec::len).sum();
        let chars = chars(cue);
        in_all += chars;
        for (what, found, most) in [
            ("characters in it", chars, MOST_CHARS),
            ("lines in it", cue.lines.len(), MOST_LINES),
            ("changes of style in it", spans, MOST_SPANS),
            ("characters up to it", in_all, MOST_CHARS_IN_ALL),
        ] {
            if found > most {
                return over(index, what, found, most);
            }
        }
    }
    match crowd(cues) {
        Some(Crowd { cue, shown, .. }) if shown > MOST_CUES_AT_ONCE => {
            over(cue, "cues shown together with it", shown, MOST_CUES_AT_ONCE)
        }
        Some(Crowd { cue, shown_chars, .. }) => {
            over(cue, "characters shown together with it", shown_chars, MOST_CHARS_AT_ONCE)
        }
        None => Ok(()),
    }
}

fn chars(cue: &Cue) -> usize {
    cue.lines.iter().flatten().map(|span| span.text.chars().count()).sum()
}

/// A screen that is too full.
struct Crowd {
    /// Index of the cue whose appearance makes it so.
    cue: usize,
    /// Cues that are then shown.
    shown: usize,
    /// Their characters.
    shown_chars: usize,
}

/// Returns the first screen that is too full.
fn crowd(cues: &[Cue]) -> Option<Crowd> {
    // Ends come before starts of the same time.
    let mut changes: Vec<(ExactTime, bool, usize)> = Vec::with_capacity(cues.len() * 2);
    for (index, cue) in cues.iter().enumerate().filter(|(_, cue)| cue.start < cue.end) {
        changes.push((cue.start, true, index));
        changes.push((cue.end, false, index));
    }
    changes.sort_unstable();
    let (mut shown, mut shown_chars) = (0, 0);
    for (_, appears, index) in changes {
        let chars = chars(&cues[index]);
        if appears {
            shown += 1;
            shown_chars += chars;
        } else {
            shown -= 1;
            shown_chars -= chars;
        }
        if shown > MOST_CUES_AT_ONCE || shown_chars > MOST_CHARS_AT_ONCE {
            return Some(Crowd { cue: index, shown, shown_chars });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::{parse_srt, parse_webvtt};

    fn srt(cues: impl Iterator<Item = (u32, u32, String)>) -> String {
        let time =
            |seconds: u32| format!("{:02}:{:02}:{:02},000", seconds / 3600, seconds / 60 % 60, seconds % 60);
        cues.enumerate()
            .map(|(index, (start, end, text))| {
                format!("{}\n{} --> {}\n{text}\n\n", index + 1, time(start), time(end))
            })
            .collect()
    }

    fn refused(text: &str) -> String {
        parse_srt(text).unwrap_err().to_string()
    }

    #[test]
    fn ordinary_and_long_captions_are_fine() {
        let film = srt((0..20_000).map(|at| (at, at + 3, "two lines\nof ordinary speech".to_owned())));
        assert_eq!(parse_srt(&film).unwrap().cues().len(), 20_000);
        let credits = srt((0..10).map(|at| (at * 10, at * 10 + 9, "a name\n".repeat(30))));
        assert_eq!(parse_srt(&credits).unwrap().cues().len(), 10);
    }

    #[test]
    fn error_names_the_cue_and_the_limit() {
        let long = srt([(0, 1, "fine".to_owned()), (1, 2, "word ".repeat(39_000))].into_iter());
        assert_eq!(
            refused(&long),
            "cue 2 of the SubRip file has too much to show: 195000 characters in it, and at most 2000 are taken; \
             split it or shorten it"
        );
        let vtt = format!("WEBVTT\n\n00:01.000 --> 00:02.000\n{}\n", "word ".repeat(39_000));
        assert!(parse_webvtt(&vtt).unwrap_err().to_string().starts_with("cue 1 of the WebVTT file"));
    }

    #[test]
    fn every_limit_is_kept() {
        let lines = srt([(0, 1, "x\n".repeat(50))].into_iter());
        assert!(refused(&lines).contains("lines in it"), "{}", refused(&lines));
        let styles = srt([(0, 1, "a<i>b</i>".repeat(150))].into_iter());
        assert!(refused(&styles).contains("changes of style in it"));
        let together = srt((0..41).map(|_| (0, 1, "x".to_owned())));
        assert!(refused(&together).contains("41 cues shown together with it"));
        let full = srt((0..7).map(|_| (0, 1, "x".repeat(1000))));
        assert!(refused(&full).contains("7000 characters shown together with it"));
        let after = srt((0..60).map(|at| (at, at + 1, "x".repeat(1999))));
        assert!(parse_srt(&after).is_ok(), "one ends where the next begins");
        let many = srt((0..50_001).map(|at| (at, at + 1, "x".to_owned())));
        assert!(refused(&many).contains("50001 cues in the file"));
        let all = srt((0..2_100).map(|at| (at, at + 1, "x".repeat(1999))));
        assert!(refused(&all).contains("characters up to it"));
    }
}
