//! What ffmpeg and ffprobe print when they fail, and what it means. Their exit status tells next to nothing, so this is
//! the only place that searches their words.

use abanico_process::Lack;

/// What a tool tells about its failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// The operating system refused it something.
    Lacks(Lack),
    /// It may not have so much memory.
    NoMemory,
    /// The file is of a format that it was told not to read.
    FormatIsRefused,
}

/// Words and their meanings. Most are those of the C library, always in English, because the tools set no locale.
const WORDS: [(&str, Told); 5] = [
    ("No space left on device", Told::Lacks(Lack::Room)),
    ("Disk quota exceeded", Told::Lacks(Lack::Room)),
    ("Too many open files", Told::Lacks(Lack::Descriptors)),
    ("Cannot allocate memory", Told::NoMemory),
    ("not on whitelist", Told::FormatIsRefused),
];

/// Returns whether a tool's words mean this.
pub(crate) fn tell(words: &str, what: Told) -> bool {
    WORDS.iter().any(|(pattern, meaning)| *meaning == what && words.contains(pattern))
}

/// Returns what the operating system had too little of, if a tool's words say so.
pub(crate) fn lack(words: &str) -> Option<Lack> {
    [Lack::Room, Lack::Descriptors].into_iter().find(|lack| tell(words, Told::Lacks(*lack)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_their_meanings() {
        // Seen with ffmpeg 5.1.9.
        let full = "av_interleaved_write_frame(): No space left on device";
        assert_eq!(lack(full), Some(Lack::Room));
        assert_eq!(lack("file:a.mp4: Too many open files in system"), Some(Lack::Descriptors));
        assert_eq!(lack("file:a.mp4: Invalid data found when processing input"), None);
        assert!(tell("Protocol 'http' not on whitelist 'file'!", Told::FormatIsRefused));
        assert!(tell("file:a.mp4: Cannot allocate memory", Told::NoMemory) && !tell(full, Told::NoMemory));
    }
}
