//! Runs a real ffmpeg, and programs that behave badly. Checks reports, limits, cancellation, and that no
//! process is left over.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use abanico_ffmpeg::sandbox::Policy;
use abanico_ffmpeg::{Exit, Finished, Invocation, Limits, Progress, RunError, RunErrorKind, run};
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(60);

fn invocation(program: &str, args: &[&str]) -> Invocation {
    Invocation {
        program: program.into(),
        args: args.iter().map(OsString::from).collect(),
        launcher: None,
        policy: Policy::default(),
        limits: Limits { wall: LONG, stall: LONG },
    }
}

fn ffmpeg(args: &[&str]) -> Invocation {
    let common = ["-hide_banner", "-nostdin", "-y", "-progress", "pipe:1", "-loglevel", "error"];
    invocation("ffmpeg", &[&common, args].concat())
}

/// A shell that writes its process ID, which is also its group's, to `pid_file`, and then runs `script`.
fn shell(pid_file: &Path, script: &str) -> Invocation {
    invocation("/bin/sh", &["-c", &format!("echo $$ > '{}'; {script}", pid_file.display())])
}

async fn finish(invocation: &Invocation) -> Result<Finished, RunError> {
    run(invocation, &mut |_: Progress| {}, &CancellationToken::new()).await
}

/// Returns the `/proc` folders of the processes in a group, by the fifth word of each `/proc/PID/stat`.
fn members(group: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let is_member = |path: &PathBuf| {
        let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
        let words = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
        words.and_then(|mut words| words.nth(2)) == Some(group)
    };
    all.filter(is_member).collect()
}

fn pid_in(file: &Path) -> Option<String> {
    std::fs::read_to_string(file).ok().filter(|text| text.ends_with('\n')).map(|text| text.trim().to_owned())
}

async fn poll<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within 10 s");
}

#[tokio::test]
async fn run_reports_all_frames_and_processor_time() {
    let mut reports = Vec::new();
    let source = ["-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=4", "-c:v", "libx264", "-f", "null", "-"];
    let finished =
        run(&ffmpeg(&source), &mut |report| reports.push(report), &CancellationToken::new()).await.unwrap();
    let last = reports.last().unwrap();
    assert!(last.is_end && reports.iter().filter(|report| report.is_end).count() == 1);
    assert_eq!(last.frames, 100);
    assert!(reports.windows(2).all(|pair| pair[0].frames <= pair[1].frames), "{reports:?}");
    assert!(finished.user_cpu_ms >= 50, "{finished:?}");
    let most = u64::try_from(finished.wall.as_millis()).unwrap() * 64;
    assert!(finished.cpu_ms() <= most, "{finished:?}");
}

#[tokio::test]
async fn failure_has_status_command_and_last_words() {
    let error = finish(&ffmpeg(&["-i", "/no/such file", "-f", "null", "-"])).await.unwrap_err();
    assert_eq!((error.kind(), error.exit()), (RunErrorKind::Failed, Some(Exit::Code(1))));
    assert!(!error.is_retryable());
    let line = error.to_string();
    assert_eq!(line, "`ffmpeg` failed with exit status 1: /no/such file: No such file or directory");
    assert!(error.command_line().ends_with("-i '/no/such file' -f null -"), "{}", error.command_line());
    assert!(error.details().contains("end: exit status 1"));
}

#[tokio::test]
async fn crash_is_retryable() {
    let error = finish(&invocation("/bin/sh", &["-c", "echo words >&2; kill -SEGV $$"])).await.unwrap_err();
    assert_eq!(error.exit(), Some(Exit::Signal(11)));
    assert!(error.is_retryable());
    assert_eq!(error.to_string(), "`/bin/sh` failed with signal 11: words");
}

#[tokio::test]
async fn missing_program_is_a_failed_start() {
    let error = finish(&invocation("/no/such/ffmpeg", &[])).await.unwrap_err();
    assert_eq!((error.kind(), error.exit()), (RunErrorKind::Spawn, None));
    assert!(error.to_string().starts_with("cannot start `/no/such/ffmpeg`: "), "{error}");
}

#[tokio::test]
async fn failed_run_reports_its_processor_time() {
    let cancel = CancellationToken::new();
    let busy = invocation("/bin/sh", &["-c", "while :; do :; done"]);
    let mut ignored = |_| {};
    let (result, ()) = tokio::join!(run(&busy, &mut ignored, &cancel), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cancel.cancel();
    });
    let error = result.unwrap_err();
    assert!(error.kind() == RunErrorKind::Cancelled && error.cpu_ms() > 0, "{error:?}");
    assert_eq!(finish(&invocation("/no/such/ffmpeg", &[])).await.unwrap_err().cpu_ms(), 0);
}

#[tokio::test]
async fn cancelled_ffmpeg_ends_within_two_seconds() {
    let cancel = CancellationToken::new();
    let mut first = None;
    let endless = ffmpeg(&["-re", "-f", "lavfi", "-i", "testsrc2=s=320x180", "-f", "null", "-"]);
    let result = run(
        &endless,
        &mut |_| {
            first.get_or_insert_with(Instant::now);
            cancel.cancel();
        },
        &cancel,
    )
    .await;
    assert_eq!(result.unwrap_err().kind(), RunErrorKind::Cancelled);
    assert!(first.unwrap().elapsed() < Duration::from_secs(2));
}

/// The leader and its child both ignore SIGTERM.
const STUBBORN: &str = "trap '' TERM; sleep 1000 & while :; do sleep 1000; done";

#[tokio::test]
async fn stubborn_group_ends_within_two_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let (stubborn, cancel) = (shell(&file, STUBBORN), CancellationToken::new());
    let stop = async {
        let group = poll(|| pid_in(&file).filter(|group| members(group).len() >= 3)).await;
        cancel.cancel();
        (group, Instant::now())
    };
    let mut ignore = |_: Progress| {};
    let (result, (group, asked)) = tokio::join!(run(&stubborn, &mut ignore, &cancel), stop);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.exit()), (RunErrorKind::Cancelled, Some(Exit::Signal(9))));
    poll(|| members(&group).is_empty().then_some(())).await;
}

#[tokio::test]
async fn dropping_the_run_kills_the_group() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let stubborn = shell(&file, STUBBORN);
    let group = tokio::select! {
        result = finish(&stubborn) => panic!("{result:?}"),
        group = poll(|| pid_in(&file).filter(|group| members(group).len() >= 3)) => group,
    };
    poll(|| members(&group).is_empty().then_some(())).await;
}

#[tokio::test]
async fn child_left_behind_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    finish(&shell(&file, "sleep 1000 & exit 0")).await.unwrap();
    let group = pid_in(&file).unwrap();
    poll(|| members(&group).is_empty().then_some(())).await;
}

#[tokio::test]
async fn run_cancelled_before_never_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = run(&shell(&file, "exit 0"), &mut |_| {}, &cancel).await.unwrap_err();
    assert_eq!((error.kind(), error.exit()), (RunErrorKind::Cancelled, None));
    assert!(!file.exists());
}

#[tokio::test]
async fn reports_without_progress_are_a_stall() {
    let script = "echo frame=1; echo progress=continue; while :; do echo frame=1; echo progress=continue; \
        sleep 0.05; done";
    let mut stalled = invocation("/bin/sh", &["-c", script]);
    stalled.limits = Limits { wall: Duration::from_secs(10), stall: Duration::from_millis(400) };
    let mut reports = 0;
    let error = run(&stalled, &mut |_| reports += 1, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::TimedOut);
    assert!(error.is_retryable() && error.to_string().contains("made no progress for 400 ms"), "{error}");
    assert!(reports >= 1);
}

#[tokio::test]
async fn wall_limit_stops_an_endless_run() {
    let endless =
        ["-re", "-f", "lavfi", "-i", "testsrc2=s=320x180", "-stats_period", "0.1", "-f", "null", "-"];
    let mut running = ffmpeg(&endless);
    running.limits = Limits { wall: Duration::from_millis(1500), stall: LONG };
    let mut frames = 0;
    let error =
        run(&running, &mut |report| frames = report.frames, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::TimedOut);
    assert!(error.to_string().contains("ran longer than 1500 ms"), "{error}");
    assert!(frames > 0);
}

#[tokio::test]
async fn flood_on_both_pipes_stays_bounded() {
    let script = "head -c 20000000 /dev/zero >&2; head -c 20000000 /dev/zero; echo last words >&2; exit 3";
    let error = finish(&invocation("/bin/sh", &["-c", script])).await.unwrap_err();
    assert_eq!(error.exit(), Some(Exit::Code(3)));
    assert!(error.stderr_tail().len() <= 32 * 1024 && error.stderr_tail().ends_with("last words\n"));
}

#[test]
fn run_can_move_between_threads() {
    fn movable<T: Send>(_: T) {}
    let (invocation, cancel) = (invocation("x", &[]), CancellationToken::new());
    let mut ignore = |_: Progress| {};
    movable(run(&invocation, &mut ignore, &cancel));
}
