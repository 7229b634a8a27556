//! Runs ffprobe or ffmpeg on one file and passes on its output line by line.
//!
//! It holds at most one line in memory, and it never lets them open a playlist or use a protocol other
//! than `file`. It refuses a file that would take them too much memory or time.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use abanico_process::{Exit, Kind, Lack, Started, Tail, flattened, start};
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{ChildStderr, ChildStdout};
use tokio_util::sync::CancellationToken;

use super::tables;
use crate::sandbox::{PROBE_CPU_SECONDS, PROBE_MEMORY_BYTES};
use crate::words::{self, Told};
use crate::{Error, ErrorKind, Tools};

/// Demuxers that may open a file: containers that hold their own media. Those that read other files or
/// addresses (hls, dash, concat, image2, sdp) are left out.
pub(crate) const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,asf,mxf,ogg,ivf,nut,gif,\
                       apng,mp3,wav,aac,flac,ac3,eac3,aiff,w64";
/// Time limit of one run.
const LIMIT: Duration = Duration::from_secs(600);
/// Maximum length of a line; ffprobe writes none that is longer.
const LONGEST_LINE_BYTES: u64 = 1 << 20;

/// Options of a tool, before and after its input.
#[derive(Clone, Copy)]
pub(crate) struct Options<'a> {
    pub before: &'a [&'a str],
    pub after: &'a [&'a str],
}

/// How a run of ffprobe ended.
pub(crate) struct Ended {
    /// How it ended.
    pub exit: Exit,
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
        if self.exit.is_success() {
            return Ok(());
        }
        let (exit, last) = (self.exit, self.last_words());
        let message = format!("ffprobe failed on `{}` with {exit}: {last}", file.display());
        Err(Error::new(ErrorKind::Failed, message).lacking(words::lack(&self.stderr)))
    }
}

/// Runs ffprobe with `options` on `file` and passes each line to `on_line`. Its process group is killed if it does not
/// end by itself, even if this future is dropped.
///
/// # Errors
/// Fails if the file's tables are absurd or its samples encrypted, if ffprobe cannot be started, needs more memory or processor time than it
/// may have, or does not end within ten minutes, or if `cancel` comes first. A non-zero exit status is not an error
/// here: the caller knows what it means.
pub(crate) async fn run(
    tools: &Tools,
    file: &Path,
    options: &[&str],
    cancel: &CancellationToken,
    on_line: impl FnMut(&str),
) -> Result<Ended, Error> {
    let mut command = tools.ffprobe_command(&[file]);
    command.args(["-v", "error"]);
    run_on(
        tools.ffprobe(),
        command,
        Lines::Output,
        file,
        Options { before: options, after: &[] },
        cancel,
        on_line,
    )
    .await
}

/// Runs ffmpeg like [`run`], with options before and after its input.
///
/// # Errors
/// Fails like [`run`].
pub(crate) async fn run_ffmpeg(
    tools: &Tools,
    file: &Path,
    options: Options<'_>,
    cancel: &CancellationToken,
    on_line: impl FnMut(&str),
) -> Result<Ended, Error> {
    let mut command = tools.ffmpeg_command(&[file]);
    command.args(["-hide_banner", "-nostdin", "-v", "error"]);
    run_on(tools.ffmpeg(), command, Lines::Output, file, options, cancel, on_line).await
}

/// Runs ffmpeg like [`run_ffmpeg`], but passes on the lines of its log.
///
/// # Errors
/// Fails like [`run`].
pub(crate) async fn run_ffmpeg_for_log(
    tools: &Tools,
    file: &Path,
    options: Options<'_>,
    cancel: &CancellationToken,
    on_line: impl FnMut(&str),
) -> Result<Ended, Error> {
    let mut command = tools.ffmpeg_command(&[file]);
    command.args(["-hide_banner", "-nostdin", "-nostats", "-v", "verbose"]);
    run_on(tools.ffmpeg(), command, Lines::Log, file, options, cancel, on_line).await
}

/// Which lines a caller wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// Those of the standard output.
    Output,
    /// Those of the log, the standard error output.
    Log,
}

async fn run_on(
    program: &Path,
    mut command: Command,
    lines: Lines,
    file: &Path,
    options: Options<'_>,
    cancel: &CancellationToken,
    on_line: impl FnMut(&str),
) -> Result<Ended, Error> {
    refuse_bad_tables(file).await?;
    let began = Instant::now();
    command.args(["-protocol_whitelist", "file", "-format_whitelist", FORMATS]);
    let mut url = OsString::from("file:");
    url.push(file);
    command.args(options.before).arg("-i").arg(url).args(options.after);
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let program = program.display();
    let io_error = |cause| Error::io(format!("read the output of {name} for `{}`", file.display()), cause);
    let Started { stdout, stderr, group, mut ended } = start(command, Kind::Tool).await.map_err(|cause| {
        let message = format!("cannot start `{program}`: {cause}; {}", crate::tools::REMEDY);
        Error::new(ErrorKind::Tool, message).lacking(Lack::of_io(&cause))
    })?;
    let stdout = ChildStdout::from_std(stdout).map_err(io_error)?;
    let stderr = ChildStderr::from_std(stderr).map_err(io_error)?;
    let mut tail = Tail::default();
    let result = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::cancelled(&format!("the probe of `{}`", file.display()))),
        () = tokio::time::sleep(LIMIT) => {
            let message = format!("{name} did not finish `{}` within {} s", file.display(), LIMIT.as_secs());
            Err(Error::new(ErrorKind::TimedOut, message))
        }
        end = async {
            match lines {
                Lines::Output => follow(stdout, stderr, on_line, &mut tail).await?,
                Lines::Log => follow(stderr, stdout, on_line, &mut tail).await?,
            }
            flattened((&mut ended).await)
        } => end.map_err(io_error),
    };
    if result.is_err() && !ended.is_terminated() {
        group.signal(Signal::SIGKILL);
        let _ = ended.await;
    }
    let ended = Ended { exit: result?.exit, stderr: tail.text() };
    refuse_greed(file, ended, began.elapsed())
}

/// Refuses an MP4 file that claims more samples than it can have, or whose samples are encrypted.
async fn refuse_bad_tables(file: &Path) -> Result<(), Error> {
    let path = file.to_owned();
    let looked = tokio::task::spawn_blocking(move || tables::objection(&path)).await;
    // A file that cannot be read here cannot be read by ffprobe either, whose message is better known.
    match looked.ok().and_then(Result::ok).flatten() {
        Some(why) => Err(Error::unsupported(file, &why)),
        None => Ok(()),
    }
}

/// Turns the end of a run that reached one of its limits into an error about the file.
fn refuse_greed(file: &Path, ended: Ended, took: Duration) -> Result<Ended, Error> {
    let ended_by = |signal: Signal| ended.exit == Exit::Signal(signal as i32);
    // The first process of a PID namespace gets no SIGXCPU, only the SIGKILL some seconds later.
    let out_of_time = ended_by(Signal::SIGXCPU)
        || ended_by(Signal::SIGKILL) && took >= Duration::from_secs(PROBE_CPU_SECONDS);
    let out_of_memory = !ended.exit.is_success() && words::tell(&ended.stderr, Told::NoMemory);
    let why = match (out_of_time, out_of_memory) {
        (true, _) => format!("reading its packets takes more than {PROBE_CPU_SECONDS} s of processor time"),
        (_, true) => {
            format!("reading its packets takes more than {} MiB of memory", PROBE_MEMORY_BYTES >> 20)
        }
        _ => return Ok(ended),
    };
    Err(Error::unsupported(file, &why))
}

/// Reads both outputs to their ends: one line by line, of the other only the tail is kept.
async fn follow(
    lines: impl AsyncRead + Unpin,
    other: impl AsyncRead + Unpin,
    mut on_line: impl FnMut(&str),
    tail: &mut Tail,
) -> std::io::Result<()> {
    tokio::join!(each_line(lines, &mut on_line), tail.read(other)).0
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
            let mut command = Command::new("/bin/sh");
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
        assert_eq!((ended.exit, ended.last_words()), (Exit::Code(3), "broken thing"));
        let error = ended.check(Path::new("a.mp4")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert!(error.to_string().contains("`a.mp4`"), "{error}");
    }

    #[tokio::test]
    async fn run_beyond_its_limits_blames_the_file() {
        for (script, words) in [
            ("kill -s XCPU $$", "60 s of processor time"),
            ("echo 'a.mp4: Cannot allocate memory' >&2; exit 1", "1024 MiB of memory"),
        ] {
            let (_folder, tools) = stand_in(script);
            let error = lines_of(&tools, &CancellationToken::new()).await.err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        let (_folder, tools) = stand_in("kill -s KILL $$");
        let (_, ended) = lines_of(&tools, &CancellationToken::new()).await.unwrap();
        assert_eq!(
            ended.check(Path::new("a.mp4")).unwrap_err().kind(),
            ErrorKind::Failed,
            "a machine in trouble"
        );
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
    async fn dropped_run_kills_grandchildren_too() {
        let (folder, tools) = stand_in("sleep 1000 & echo $!; wait");
        let (cancel, noted) = (CancellationToken::new(), tokio::sync::Notify::new());
        let mut id = String::new();
        let probe = run(&tools, folder.path(), &[], &cancel, |line| {
            id = line.to_owned();
            noted.notify_one();
        });
        tokio::select! {
            ended = probe => panic!("it ended: {:?}", ended.err()),
            () = noted.notified() => {}
        }
        let stat = || std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let is_zombie = |stat: &str| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z"));
        for _ in 0..3000 {
            if stat().is_empty() || is_zombie(&stat()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("process {id} is left over");
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
