//! Decodes files with ffmpeg, so that tests can compare the probe's facts with the result.

use std::path::Path;
use std::process::Command;

/// Returns the number of frames that ffmpeg shows when it decodes the file.
pub fn decoded_frames(file: &Path) -> u64 {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-progress", "pipe:1", "-i"])
        .arg(file)
        .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "null", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().rev().find_map(|line| line.strip_prefix("frame="));
    last.and_then(|frames| frames.trim().parse().ok()).unwrap_or(0)
}

/// Returns the first frame as raw grey pixels, rotated by `filter`. Without a filter, ffmpeg rotates it by itself.
pub fn first_picture(file: &Path, filter: Option<&str>) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]);
    if filter.is_some() {
        command.arg("-noautorotate");
    }
    command.arg("-i").arg(file);
    command.args(filter.map(|filter| ["-vf", filter]).into_iter().flatten());
    let output =
        command.args(["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "gray", "-"]).output().unwrap();
    assert!(output.status.success());
    output.stdout
}
