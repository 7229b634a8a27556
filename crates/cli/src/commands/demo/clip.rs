//! Makes the demo's clip: ten seconds in which every pixel moves and the tone changes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use abanico_engine::Bounds;
use abanico_ffmpeg::run;
use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::commands::local::toolbox;
use crate::config::SandboxMode;
use crate::failure::{Hinted, WORK_FAILED};
use crate::output;

/// The clip has some megabytes and takes some seconds.
const BOUNDS: Bounds = Bounds { bytes: 1 << 30, cpu_seconds: 600 };

/// Name of the clip. Its space shows that names with spaces work.
const NAME: &str = "demo clip.mp4";

/// A zoom into a fractal. It is computed small and then enlarged, so that making the clip takes only a second or two.
const PICTURE: &str =
    "mandelbrot=size=640x360:rate=30:end_scale=0.02:end_pts=300,scale=1920:1080,format=yuv420p";
const SOUND: &str =
    "aevalsrc='0.3*sin(2*PI*(220+110*floor(t))*t)|0.3*sin(2*PI*(330+110*floor(t))*t)':s=48000";

/// Returns the path of the clip in `folder`. Makes the clip in `work` if it does not exist yet.
pub async fn made(folder: &Path, work: &Path, cancel: &CancellationToken) -> anyhow::Result<PathBuf> {
    let path = folder.join(NAME);
    if path.is_file() {
        return Ok(path);
    }
    output::note("making a ten-second clip (set VIDEO=path to use your own video)");
    // ffmpeg is in a sandbox, which knows it by its full path.
    let work = work.canonicalize()?;
    let partial = work.join("clip.mp4");
    let toolbox = toolbox(SandboxMode::default())?;
    let inputs = ["-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", SOUND, "-t", "10", "-shortest"];
    let coding = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-c:a", "aac"];
    let words = [&["-hide_banner", "-nostdin", "-loglevel", "error", "-y"][..], &inputs, &coding].concat();
    let mut args: Vec<OsString> = words.into_iter().map(OsString::from).collect();
    args.push(partial.clone().into());
    let invocation = toolbox.sandboxing.invocation(toolbox.tools.ffmpeg(), args, &[], &work, BOUNDS);
    run(&invocation, &mut |_| {}, cancel).await.map_err(|error| {
        let said = error.stderr_tail().lines().rev().find(|line| !line.trim().is_empty());
        let why = said.map_or_else(|| error.to_string(), |line| line.trim().to_owned());
        Hinted::new(WORK_FAILED, format!("cannot make a clip: {why}"), "use a video of your own")
    })?;
    std::fs::rename(&partial, &path).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}
