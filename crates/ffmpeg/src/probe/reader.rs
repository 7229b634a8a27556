//! Runs ffprobe on one file and passes on its output line by line.
//!
//! It holds at most one line in memory, and it never lets ffprobe open a playlist or use a protocol other
//! than `file`.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

use crate::{Error, ErrorKind, Tools};

/// Demuxers that may open a file: containers that hold their own media. Those that read other files or
/// addresses (hls, dash, concat, image2, sdp) are left out.
pub(crate) const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,asf,mxf,ogg,ivf,nut,\
                       mp3,wav,aac,flac,ac3,eac3,aiff,w64";
/// Time limit of one run.
const LIMIT: Duration = Duration::from_secs(600);
/// How much of the end of stderr to keep.
const KEPT_STDERR_BYTES: usize = 4096;
/// Maximum length of a line; ffprobe writes none that is longer.
const LONGEST_LINE_BYTES: u64 = 1 << 20;

/// How a run of ffprobe ended.
pub(crate) struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// The end of its stderr.
    pub stderr: String,
}

impl Ended {
    /// Returns the last line of stderr without its prefix, for a message.
    pub fn last_words(&self) -> &str {
        let line = self.stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
        line.rsplit_once(": ").map_or(line, |(_, reason)| reason)
    }

    /// Returns an error if the exit status is not zero.
    pub fn check(self, file: &Path) -> Result<(), Error> {
        if self.status.success() {
            return Ok(());
        }
        let (status, words) = (self.status, self.last_words());
        let message = format!("ffprobe failed on `{}` with {status}: {words}", file.display());
        Err(Error::new(ErrorKind::Failed, message))
    }
}

/// Runs ffprobe with `options` on `file` and passes each line to `on_line`.
///
/// # Errors
/// Fails if ffprobe cannot be started, does not end within ten minutes, or is cancelled. A non-zero exit
/// status is not an error here, because its meaning depends on the caller.
pub(crate) async fn run(
    tools: &Tools,
    file: &Path,
    options: &[&str],
    cancel: &CancellationToken,
    on_line: impl FnMut(&str),
) -> Result<Ended, Error> {
    let mut command = tools.ffprobe_command(&[file]);
    command.args(["-v", "error", "-protocol_whitelist", "file", "-format_whitelist", FORMATS]);
    let mut url = OsString::from("file:");
    url.push(file);
    command.args(options).arg("-i").arg(url);
    let program = tools.ffprobe().display();
    let mut child = command.spawn().map_err(|cause| {
        Error::new(ErrorKind::Tool, format!("cannot start `{program}`: {cause}; {}", crate::tools::REMEDY))
    })?;
    let result = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::cancelled(&format!("the probe of `{}`", file.display()))),
        () = tokio::time::sleep(LIMIT) => {
            let message = format!("ffprobe did not finish `{}` within {} s", file.display(), LIMIT.as_secs());
            Err(Error::new(ErrorKind::TimedOut, message))
        }
        ended = follow(&mut child, on_line) => {
            ended.map_err(|cause| Error::io(format!("read ffprobe's output for `{}`", file.display()), cause))
        }
    };
    if result.is_err() {
        stop(&mut child).await;
    }
    result
}

/// Reads both outputs to their ends, then waits for the child.
async fn follow(child: &mut Child, mut on_line: impl FnMut(&str)) -> std::io::Result<Ended> {
    let missing = || std::io::Error::other("an output pipe of ffprobe is missing");
    let (stdout, stderr) =
        (child.stdout.take().ok_or_else(missing)?, child.stderr.take().ok_or_else(missing)?);
    let (lines, stderr) = tokio::join!(each_line(stdout, &mut on_line), tail(stderr));
    lines?;
    Ok(Ended { status: child.wait().await?, stderr: stderr? })
}

async fn each_line(output: impl AsyncRead + Unpin, on_line: &mut impl FnMut(&str)) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(64 * 1024, output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LONGEST_LINE_BYTES).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Ok(());
        }
        on_line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
    }
}

/// Returns the last bytes of a stream.
async fn tail(mut output: impl AsyncRead + Unpin) -> std::io::Result<String> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = output.read(&mut buffer).await?;
        if read == 0 {
            return Ok(String::from_utf8_lossy(&kept).into_owned());
        }
        kept.extend_from_slice(&buffer[..read]);
        kept.drain(..kept.len().saturating_sub(KEPT_STDERR_BYTES));
    }
}

/// Kills the whole process group and waits until the child is gone.
async fn stop(child: &mut Child) {
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // This fails if the group has just ended by itself, which is fine.
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
    let _ = child.wait().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    /// Creates a stand-in for ffprobe: a shell script that ignores its arguments.
    fn stand_in(script: &str) -> (tempfile::TempDir, Tools) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ffprobe");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        // Starts the script through the shell: a script that was just written could be "busy".
        let launcher = Arc::new(|program: &Path, _: &[&Path]| {
            let mut command = tokio::process::Command::new("/bin/sh");
            command.arg(program);
            command
        });
        (folder, Tools::at("ffmpeg".into(), path).with_launcher(launcher))
    }

    async fn lines_of(tools: &Tools, cancel: &CancellationToken) -> Result<(Vec<String>, Ended), Error> {
        let mut lines = Vec::new();
        let ended = run(tools, Path::new("a.mp4"), &[], cancel, |line| lines.push(line.to_owned())).await?;
        Ok((lines, ended))
    }

    #[tokio::test]
    async fn lines_and_stderr_are_kept_apart() {
        let (_folder, tools) = stand_in("echo one; echo 'a.mp4: broken thing' >&2; echo two; exit 3");
        let (lines, ended) = lines_of(&tools, &CancellationToken::new()).await.unwrap();
        assert_eq!(lines, ["one", "two"]);
        assert_eq!((ended.status.code(), ended.last_words()), (Some(3), "broken thing"));
        let error = ended.check(Path::new("a.mp4")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert!(error.to_string().contains("`a.mp4`"), "{error}");
    }

    #[tokio::test]
    async fn only_the_end_of_stderr_is_kept() {
        let (_folder, tools) =
            stand_in("i=0; while [ $i -lt 2000 ]; do echo complaint $i >&2; i=$((i+1)); done");
        let (_, ended) = lines_of(&tools, &CancellationToken::new()).await.unwrap();
        assert!(ended.stderr.len() <= KEPT_STDERR_BYTES, "{}", ended.stderr.len());
        assert_eq!(ended.last_words(), "complaint 1999");
    }

    #[tokio::test]
    async fn cancelled_run_leaves_no_process() {
        let (folder, tools) = stand_in("echo $$; exec sleep 600");
        let cancel = CancellationToken::new();
        let mut id = 0;
        let result = run(&tools, folder.path(), &[], &cancel, |line| {
            id = line.parse().unwrap();
            cancel.cancel();
        });
        assert_eq!(result.await.err().map(|error| error.kind()), Some(ErrorKind::Cancelled));
        assert!(id > 0, "the child had started");
        assert!(!Path::new(&format!("/proc/{id}")).exists(), "process {id} is left over");
    }

    #[tokio::test]
    async fn arguments_exclude_playlists_and_protocols() {
        let (_folder, tools) = stand_in("for word in \"$@\"; do echo \"$word\"; done");
        let (words, _) = lines_of(&tools, &CancellationToken::new()).await.unwrap();
        let after = |option: &str| words[words.iter().position(|word| word == option).unwrap() + 1].clone();
        assert_eq!(after("-protocol_whitelist"), "file");
        for dangerous in ["hls", "dash", "concat", "image2", "sdp", "tty", "lavfi"] {
            assert!(!after("-format_whitelist").split(',').any(|format| format == dangerous), "{dangerous}");
        }
        assert_eq!(words.last().unwrap(), "file:a.mp4");
    }
}
