//! The suffixes of keys that look like video or audio. It is the only list: the trigger of a local server and the stack
//! on AWS use it by default.

/// Suffixes of file names that MediaConvert's inputs and ffmpeg's demuxers commonly have, in small letters, each with
/// its dot. Source: the table of input containers in MediaConvert's user guide, and `ffmpeg -demuxers`.
pub const MEDIA_SUFFIXES: [&str; 48] = [
    ".264", ".265", ".3g2", ".3gp", ".aac", ".ac3", ".aif", ".aiff", ".asf", ".av1", ".avi", ".dv", ".eac3",
    ".ec3", ".f4v", ".flac", ".flv", ".gxf", ".h264", ".hevc", ".ivf", ".m2t", ".m2ts", ".m2v", ".m4a",
    ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".obu", ".oga",
    ".ogg", ".ogv", ".opus", ".qt", ".ts", ".vob", ".wav", ".webm", ".wma", ".wmv",
];

/// Returns whether a key looks like video or audio.
pub fn is_media_name(key: &str) -> bool {
    let lower = key.to_lowercase();
    MEDIA_SUFFIXES.iter().any(|suffix| lower.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_sorted_and_in_small_letters() {
        assert!(MEDIA_SUFFIXES.is_sorted(), "{MEDIA_SUFFIXES:?}");
        assert!(
            MEDIA_SUFFIXES.iter().all(|suffix| suffix.starts_with('.') && *suffix == suffix.to_lowercase())
        );
    }

    #[test]
    fn stack_on_aws_has_the_same_list() {
        let template = include_str!("../../../deploy/template.yaml");
        let (_, parameter) = template.split_once("  OnlySuffixes:").unwrap();
        let (_, default) = parameter.split_once("Default: ").unwrap();
        assert_eq!(default.lines().next().unwrap(), MEDIA_SUFFIXES.join(","));
    }

    #[test]
    fn names_are_told_by_their_end_alone() {
        for key in ["a.mp4", "día/Película.MOV", "x.y.Wav", ".mp4"] {
            assert!(is_media_name(key), "{key}");
        }
        for key in ["note.txt", "mp4", "film.mp4.part", "film.mp4/", "", "a.mp4x"] {
            assert!(!is_media_name(key), "{key}");
        }
    }
}
