//! Makes the demo's clip: ten seconds in which every pixel moves and the tone changes.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::commands::local::toolbox;
use crate::failure::{Hinted, WORK_FAILED};
use crate::output;

/// Name of the clip. Its space shows that names with spaces work.
const NAME: &str = "demo clip.mp4";

/// A zoom into a fractal. It is computed small and then enlarged, so that making the clip takes only a second or two.
const PICTURE: &str =
    "mandelbrot=size=640x360:rate=30:end_scale=0.02:end_pts=300,scale=1920:1080,format=yuv420p";
const SOUND: &str =
    "aevalsrc='0.3*sin(2*PI*(220+110*floor(t))*t)|0.3*sin(2*PI*(330+110*floor(t))*t)':s=48000";

/// Returns the path of the clip in `folder`. Makes the clip if it does not exist yet.
pub async fn made(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join(NAME);
    if path.is_file() {
        return Ok(path);
    }
    output::note("making a ten-second clip (set VIDEO=path to use your own video)");
    let partial = tempfile::Builder::new().prefix(".partial-").suffix(".mp4").tempfile_in(folder)?;
    let partial = partial.into_temp_path();
    let inputs = ["-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", SOUND, "-t", "10", "-shortest"];
    let coding = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-c:a", "aac"];
    let made = tokio::process::Command::new(toolbox(false)?.tools.ffmpeg())
        .args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"])
        .args(inputs)
        .args(coding)
        .arg(&partial)
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot start ffmpeg to make a clip")?;
    if !made.status.success() {
        let why = String::from_utf8_lossy(&made.stderr).trim().to_owned();
        let message = format!("cannot make a clip: {why}");
        return Err(Hinted::new(WORK_FAILED, message, "use a video of your own").into());
    }
    partial.persist(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}
