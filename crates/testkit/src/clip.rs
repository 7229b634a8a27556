//! Makes synthetic clips with ffmpeg's own generators: a moving test pattern and a tone. The same description
//! gives the same bytes on every run.

use std::path::Path;
use std::process::Command;

/// The audio track of a clip: a tone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sound {
    /// Number of channels, 1 to 8.
    pub channels: u8,
    /// Sample rate in hertz.
    pub sample_rate_hz: u32,
}

/// The description of a clip.
#[derive(Clone, PartialEq, Debug)]
pub struct Clip {
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Frames per second in ffmpeg's notation, such as `25` or `30000/1001`.
    pub rate: String,
    /// Number of frames.
    pub frames: u32,
    /// The audio track, as long as the video; `None` for a silent file.
    pub sound: Option<Sound>,
    /// Start time of the file, in milliseconds.
    pub start_ms: u32,
    /// Further output options, such as `["-c:v", "libx265"]`; they override the usual ones.
    pub options: Vec<String>,
}

impl Default for Clip {
    /// Two seconds of 320x180 at 25 frames per second with a stereo tone of 48 kHz.
    fn default() -> Self {
        Self {
            width: 320,
            height: 180,
            rate: "25".into(),
            frames: 50,
            sound: Some(Sound { channels: 2, sample_rate_hz: 48_000 }),
            start_ms: 0,
            options: Vec::new(),
        }
    }
}

impl Clip {
    /// Adds output options.
    #[must_use]
    pub fn with_options(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|&option| option.to_owned()));
        self
    }

    /// Writes the clip to `file`, whose extension selects the container. Encodes H.264 and AAC unless the
    /// options say otherwise.
    ///
    /// # Panics
    /// Panics if ffmpeg is missing or fails.
    pub fn write(&self, file: &Path) {
        let output = Command::new("ffmpeg").args(self.arguments()).arg(file).output();
        let output = output.unwrap_or_else(|cause| panic!("cannot start `ffmpeg`: {cause}"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ffmpeg could not make `{}`: {complaint}", file.display());
    }

    /// Returns the duration of all frames in microseconds.
    fn length_micros(&self) -> u64 {
        let (num, den) = self.rate.split_once('/').unwrap_or((&self.rate, "1"));
        let number = |text: &str| {
            text.parse::<u64>().unwrap_or_else(|_| panic!("`{}` is not a frame rate", self.rate))
        };
        u64::from(self.frames) * 1_000_000 * number(den) / number(num)
    }

    fn arguments(&self) -> Vec<String> {
        let Self { width, height, rate, frames, .. } = self;
        let picture = format!("testsrc2=size={width}x{height}:rate={rate},trim=end_frame={frames}");
        let mut words: Vec<String> =
            ["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"].map(String::from).into();
        words.push(picture);
        if let Some(Sound { channels, sample_rate_hz }) = self.sound {
            let tone = format!(
                "sine=frequency=440:sample_rate={sample_rate_hz}:duration={}us",
                self.length_micros()
            );
            words.extend(["-f", "lavfi", "-i", &tone, "-ac", &channels.to_string()].map(String::from));
            words.extend(["-c:a", "aac"].map(String::from));
        }
        let usual = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
        words.extend(usual.map(String::from));
        words.extend(["-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact"].map(String::from));
        if self.start_ms > 0 {
            words.extend(["-output_ts_offset".into(), format!("{}ms", self.start_ms)]);
        }
        words.extend(self.options.iter().cloned());
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_follows_from_frames_and_rate() {
        let length =
            |rate: &str, frames| Clip { rate: rate.into(), frames, ..Clip::default() }.length_micros();
        assert_eq!(
            (length("25", 50), length("30000/1001", 60), length("25/2", 1)),
            (2_000_000, 2_002_000, 80_000)
        );
    }

    fn streams(file: &Path) -> String {
        let entries = "stream=codec_name,width,channels,nb_read_packets";
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-count_packets", "-of", "csv=p=0", "-show_entries", entries])
            .arg(file)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn clip_has_the_requested_streams() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clip.mp4");
        Clip { frames: 7, sound: Some(Sound { channels: 1, sample_rate_hz: 16_000 }), ..Clip::default() }
            .write(&file);
        let found = streams(&file);
        assert!(found.contains("h264,320,7"), "{found}");
        assert!(found.contains("aac,1,"), "{found}");
    }

    #[test]
    fn same_description_gives_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a.mp4", "b.mp4"].map(|name| folder.path().join(name));
        let clip = Clip { frames: 5, ..Clip::default() };
        clip.write(&a);
        clip.write(&b);
        assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
    }

    #[test]
    #[should_panic(expected = "could not make")]
    fn failing_ffmpeg_panics() {
        let folder = tempfile::tempdir().unwrap();
        Clip::default().with_options(&["-c:v", "no_such_encoder"]).write(&folder.path().join("a.mp4"));
    }
}
