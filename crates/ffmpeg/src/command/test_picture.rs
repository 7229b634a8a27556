//! Arguments for encoding a test picture, with which a machine shows that its ffmpeg works.

use std::ffi::OsString;
use std::path::Path;

use super::args::Args;

/// Name of the film.
pub const SELF_TEST_FILE: &str = "self-test.mp4";
/// Frames of the film.
pub const SELF_TEST_FRAMES: u64 = 25;

/// Encodes a second of a moving test picture and a tone, as H.264 and AAC, into [`SELF_TEST_FILE`] in `folder`.
pub fn encode_test_picture(folder: &Path) -> Vec<OsString> {
    let mut args = Args::new();
    args.all(["-f", "lavfi", "-i", "testsrc2=size=128x72:rate=25:duration=1"]);
    args.all(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=1"]);
    args.all(["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac"]);
    args.output("mp4", &folder.join(SELF_TEST_FILE));
    args.finish()
}
