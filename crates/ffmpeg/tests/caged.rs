//! Runs a real ffmpeg in the sandbox: allowed operations work, and each forbidden one fails for the right
//! reason.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "test helpers panic, and print which test is skipped"
)]

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use abanico_ffmpeg::sandbox::{Launcher, Policy, support};
use abanico_ffmpeg::{Exit, Finished, Invocation, Limits, Progress, RunError, RunErrorKind, Tools, run};
use tokio_util::sync::CancellationToken;

/// A folder with an input, a neighbouring file that the program must not read, and a folder for outputs.
struct Desk {
    folder: tempfile::TempDir,
    policy: Policy,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("input.y4m"), picture()).unwrap();
        std::fs::write(at("neighbour.y4m"), picture()).unwrap();
        std::fs::create_dir(at("out")).unwrap();
        let policy =
            Policy { read_only: vec![at("input.y4m")], writable: vec![at("out")], ..Policy::default() };
        Self { folder, policy }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn ffmpeg(&self, args: &[&str]) -> Result<Finished, RunError> {
        let common = ["-hide_banner", "-nostdin", "-y", "-progress", "pipe:1", "-loglevel", "error"];
        let args = common.iter().chain(args).map(|arg| self.argument(arg)).collect();
        caged("/usr/bin/ffmpeg", args, self.policy.clone()).await
    }

    /// Like `ffmpeg`, in namespaces.
    async fn ffmpeg_in_namespaces(&self, args: &[&str]) -> Result<Finished, RunError> {
        let args = args.iter().map(|arg| self.argument(arg)).collect();
        run_in(launcher().with_namespaces_if_possible(), "/usr/bin/ffmpeg", args, self.policy.clone()).await
    }

    /// Resolves a word that starts with `@` to a path in the folder.
    fn argument(&self, word: &str) -> OsString {
        word.strip_prefix('@').map_or_else(|| word.into(), |name| self.path(name).into())
    }
}

/// One grey frame of 16x16.
fn picture() -> Vec<u8> {
    let mut file = b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420jpeg\nFRAME\n".to_vec();
    file.resize(file.len() + 16 * 16 * 3 / 2, 128);
    file
}

fn launcher() -> Launcher {
    Launcher::new(env!("CARGO_BIN_EXE_abanico-sandbox").into(), Vec::new())
}

async fn caged(program: &str, args: Vec<OsString>, policy: Policy) -> Result<Finished, RunError> {
    run_in(launcher(), program, args, policy).await
}

async fn run_in(
    launcher: Launcher,
    program: &str,
    args: Vec<OsString>,
    policy: Policy,
) -> Result<Finished, RunError> {
    // Long enough for seconds of processor time on a machine that is shared with many others.
    let limits = Limits { wall: Duration::from_secs(600), stall: Duration::from_secs(600) };
    let invocation = Invocation { program: program.into(), args, launcher: Some(launcher), policy, limits };
    run(&invocation, &mut |_: Progress| {}, &CancellationToken::new()).await
}

fn has_landlock() -> bool {
    let has = support().landlock_abi.is_some();
    if !has {
        eprintln!("skipped: this kernel has no Landlock");
    }
    has
}

fn said(result: Result<Finished, RunError>, words: &str) -> RunError {
    let error = result.expect_err("the sandbox must refuse this");
    assert_eq!(error.kind(), RunErrorKind::Failed, "{error}");
    assert!(error.stderr_tail().contains(words), "{}", error.details());
    error
}

#[tokio::test]
async fn normal_transcode_works_in_the_sandbox() {
    let desk = Desk::new();
    let source = ["-f", "lavfi", "-i", "testsrc2=s=320x180:d=2", "-c:v", "libx264", "-preset", "ultrafast"];
    let all = [&source[..], &["-movflags", "+faststart", "@out/a.mp4"]].concat();
    desk.ffmpeg(&all).await.unwrap();
    assert!(std::fs::metadata(desk.path("out/a.mp4")).unwrap().len() > 10_000);
    desk.ffmpeg(&["-i", "@input.y4m", "-c:v", "libx264", "@out/b.mp4"]).await.unwrap();
    assert!(desk.path("out/b.mp4").exists());
}

/// What abanico asks ffmpeg for: encoders with their threads, filters, texts, pictures and measurements. Each word that
/// starts with `@` is a path. The files of earlier lines may be read by later ones.
const REAL_WORK: [(&str, &str); 17] = [
    (
        "libx264",
        "-f lavfi -i testsrc2=s=640x360:d=1 -c:v libx264 -preset medium -b:v 500k -pass 1 -passlogfile @out/log -f null -",
    ),
    (
        "libx264",
        "-f lavfi -i testsrc2=s=640x360:d=1 -c:v libx264 -preset medium -b:v 500k -pass 2 -passlogfile @out/log @out/a.mp4",
    ),
    ("libx265", "-f lavfi -i testsrc2=s=640x360:d=1 -c:v libx265 -x265-params pools=2 @out/b.mp4"),
    ("libx265", "-f lavfi -i testsrc2=s=640x360:d=1 -c:v libx265 @out/c.mp4"),
    ("libsvtav1", "-f lavfi -i testsrc2=s=640x360:d=1 -c:v libsvtav1 -preset 8 @out/d.mp4"),
    ("libvpx-vp9", "-f lavfi -i testsrc2=s=640x360:d=1 -c:v libvpx-vp9 -row-mt 1 -cpu-used 8 @out/e.mp4"),
    ("mjpeg", "-f lavfi -i testsrc2=s=640x360:d=1 -c:v mjpeg -r 5 @out/f.%03d.jpg"),
    (
        "libvmaf",
        "-i @out/a.mp4 -i @out/b.mp4 -lavfi libvmaf=n_threads=2:log_fmt=json:log_path=@out/g.json -f null -",
    ),
    ("ssim", "-i @out/a.mp4 -i @out/b.mp4 -lavfi ssim=stats_file=@out/h.txt -f null -"),
    ("ass", "-f lavfi -i testsrc2=s=640x360:d=1 -vf ass=@captions.ass -c:v libx264 @out/i.mp4"),
    (
        "drawtext",
        "-f lavfi -i testsrc2=s=640x360:d=1 -vf drawtext=font=Monospace:text=abanico -c:v libx264 @out/j.mp4",
    ),
    ("bwdif", "-f lavfi -i testsrc2=s=640x360:d=1 -vf bwdif,hqdn3d -c:v libx264 @out/k.mp4"),
    ("zscale", "-f lavfi -i testsrc2=s=640x360:d=1 -vf zscale=s=320x180 -c:v libx264 @out/l.mp4"),
    (
        "aac",
        "-f lavfi -i sine=d=1 -af ebur128=metadata=1,ametadata=print:file=@out/m.txt -c:a aac @out/m.mp4",
    ),
    ("ac3", "-f lavfi -i sine=d=1 -c:a ac3 @out/n.mp4"),
    ("eac3", "-f lavfi -i sine=d=1 -c:a eac3 @out/o.mp4"),
    ("libopus", "-f lavfi -i sine=d=1 -c:a libopus @out/p.webm"),
];

/// Runs all real work, whose encoders and filters this ffmpeg has. Fails with everything that did not work.
async fn work_in(launcher: Launcher) {
    let mut desk = Desk::new();
    let captions = "[Script Info]\nScriptType: v4.00+\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n\
                    Style: Default,Sans,20\n[Events]\nFormat: Start, End, Style, Text\n\
                    Dialogue: 0:00:00.00,0:00:01.00,Default,abanico\n";
    std::fs::write(desk.path("captions.ass"), captions).unwrap();
    desk.policy.read_only.push(desk.path("captions.ass"));
    desk.policy.memory_bytes = Some(16 << 30);
    desk.policy.file_size_bytes = Some(1 << 30);
    desk.policy.cpu_seconds = Some(600);
    let (mut done, mut failed) = (0, String::new());
    for (part, words) in REAL_WORK {
        if !is_part_of_ffmpeg(part) {
            eprintln!("skipped: this ffmpeg has no {part}");
            continue;
        }
        let folder = format!("{}/", desk.folder.path().display());
        let words = format!("-hide_banner -nostdin -y -progress pipe:1 -loglevel warning {words}")
            .replace('@', &folder);
        let args = words.split(' ').map(OsString::from).collect();
        match run_in(launcher.clone(), "/usr/bin/ffmpeg", args, desk.policy.clone()).await {
            Ok(_) => done += 1,
            Err(error) => failed += &format!("{part}: {error}\n{}\n", error.details()),
        }
    }
    assert!(failed.is_empty(), "{failed}");
    assert!(done >= 8, "only {done} were tried");
    for name in ["a.mp4", "i.mp4", "j.mp4", "m.mp4", "f.001.jpg"] {
        assert!(std::fs::metadata(desk.path("out").join(name)).unwrap().len() > 1000, "{name}");
    }
}

fn is_part_of_ffmpeg(part: &str) -> bool {
    let asked = ["-encoders", "-filters"].map(|what| {
        let said =
            std::process::Command::new("/usr/bin/ffmpeg").args(["-hide_banner", what]).output().unwrap();
        String::from_utf8_lossy(&said.stdout).split_whitespace().any(|word| word == part)
    });
    asked.contains(&true)
}

#[tokio::test]
async fn real_work_passes_the_list_of_calls() {
    work_in(launcher()).await;
}

#[tokio::test]
async fn real_work_passes_in_namespaces() {
    if has_namespaces() {
        work_in(launcher().with_namespaces_if_possible()).await;
    }
}

/// What the kernel says of a confined program.
async fn status(launcher: Launcher) -> String {
    let desk = Desk::new();
    let script = format!(
        "while read -r line; do echo \"$line\"; done < /proc/self/status > '{}'",
        desk.path("out/status").display()
    );
    run_in(launcher, "/bin/sh", vec!["-c".into(), script.into()], desk.policy.clone()).await.unwrap();
    std::fs::read_to_string(desk.path("out/status")).unwrap()
}

#[tokio::test]
async fn program_has_no_rights_and_every_filter() {
    for launcher in [launcher(), launcher().with_namespaces_if_possible()] {
        let told = status(launcher).await;
        let value = |name: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("no {name} in {told}")).trim()
        };
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(value(set), "0000000000000000", "{set}");
        }
        assert_eq!(value("NoNewPrivs"), "1");
        if support().seccomp {
            assert_eq!(value("Seccomp"), "2");
            assert!(value("Seccomp_filters").parse::<u32>().unwrap() >= 3, "{told}");
        }
    }
}

/// Whether programs can run in namespaces here.
fn has_namespaces() -> bool {
    let has = launcher().with_namespaces_if_possible().has_namespaces();
    if !has {
        eprintln!("skipped: this machine gives no namespaces");
    }
    has
}

#[tokio::test]
async fn normal_transcode_works_in_namespaces() {
    if has_namespaces() {
        let desk = Desk::new();
        let source =
            ["-y", "-progress", "pipe:1", "-f", "lavfi", "-i", "testsrc2=s=640x360:d=4", "-c:v", "libx264"];
        let finished = desk.ffmpeg_in_namespaces(&[&source[..], &["@out/a.mp4"]].concat()).await.unwrap();
        assert!(std::fs::metadata(desk.path("out/a.mp4")).unwrap().len() > 10_000);
        assert!(finished.user_cpu_ms > 0, "the time of the program inside counts: {finished:?}");
    }
}

#[tokio::test]
async fn end_inside_namespaces_is_seen_outside() {
    if has_namespaces() {
        let desk = Desk::new();
        let run = async |script: &str| {
            let launcher = launcher().with_namespaces_if_possible();
            run_in(launcher, "/bin/sh", vec!["-c".into(), script.into()], desk.policy.clone()).await
        };
        assert_eq!(run("exit 7").await.unwrap_err().exit(), Some(Exit::Code(7)));
        // The first process of a PID namespace sees itself as number 1.
        assert!(run("test $$ = 1").await.is_ok());
    }
}

#[tokio::test]
async fn cancelled_program_inside_namespaces_leaves_nothing() {
    if has_namespaces() {
        let mut desk = Desk::new();
        desk.policy.read_only.push("/usr/bin/sleep".into());
        let cancel = CancellationToken::new();
        let limits = Limits { wall: Duration::from_secs(60), stall: Duration::from_secs(60) };
        let word = format!("1000.{}", std::process::id());
        let script = format!("echo started > '{}'; exec sleep {word}", desk.path("out/started").display());
        let args = ["-c".into(), script.into()];
        let invocation = Invocation {
            program: "/bin/sh".into(),
            args: args.into(),
            launcher: Some(launcher().with_namespaces_if_possible()),
            policy: desk.policy.clone(),
            limits,
        };
        let started = desk.path("out/started");
        let stop = cancel.clone();
        let watcher = std::thread::spawn(move || {
            poll(|| started.exists().then_some(()));
            stop.cancel();
        });
        let error = run(&invocation, &mut |_: Progress| {}, &cancel).await.unwrap_err();
        watcher.join().unwrap();
        assert_eq!(error.kind(), RunErrorKind::Cancelled);
        poll(|| processes_with(&word).is_empty().then_some(()));
    }
}

/// Processes whose command line has this word.
fn processes_with(word: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).filter(|line| line.contains(word)).collect()
}

/// Whether this user may read the kernel's log, and the kernel writes forbidden calls there.
fn is_kernels_log_readable() -> bool {
    let logged = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_logged").unwrap_or_default();
    let readable = std::fs::File::open("/dev/kmsg").is_ok() && logged.contains("kill_process");
    if !readable {
        eprintln!("skipped: this user may not read the kernel's log");
    }
    readable
}

#[tokio::test]
async fn forbidden_call_is_explained_and_not_retried() {
    let desk = Desk::new();
    let error =
        caged("/usr/bin/unshare", vec!["-U".into(), "true".into()], desk.policy.clone()).await.unwrap_err();
    assert!(error.to_string().contains("a system call that the sandbox forbids"), "{error}");
    if is_kernels_log_readable() {
        assert!(error.to_string().contains("forbids: `unshare`"), "{error}");
    }
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn program_starts_no_process() {
    let desk = Desk::new();
    let args = vec!["-c".into(), "sleep 1000 & wait".into()];
    let error = caged("/bin/sh", args, desk.policy.clone()).await.unwrap_err();
    assert!(error.stderr_tail().contains("Cannot fork"), "{}", error.details());
}

#[tokio::test]
async fn neighbour_of_the_input_is_unreadable() {
    if has_landlock() {
        let desk = Desk::new();
        said(desk.ffmpeg(&["-i", "@neighbour.y4m", "@out/a.mp4"]).await, "Permission denied");
        let mut open = Desk::new();
        open.policy.read_only.push(open.path("neighbour.y4m"));
        open.ffmpeg(&["-i", "@neighbour.y4m", "@out/a.mp4"]).await.unwrap();
    }
}

#[tokio::test]
async fn sandboxed_ffprobe_reads_only_its_file() {
    let desk = Desk::new();
    let tools = Tools::find(None, None).unwrap().with_launcher(launcher().for_reading(Policy::for_probing()));
    let input = desk.path("input.y4m");
    let read = async |name: &str| {
        let mut command = tools.ffprobe_command(&[&input]);
        command.args(["-v", "error", "-show_streams"]).arg(desk.path(name));
        abanico_process::output(command, abanico_process::Kind::Tool, Duration::from_secs(600)).await.unwrap()
    };
    let own = read("input.y4m").await;
    assert!(String::from_utf8_lossy(&own.stdout).contains("width=16"), "{own:?}");
    if has_landlock() {
        let other = read("neighbour.y4m").await;
        assert!(other.stderr.contains("Permission denied"), "{other:?}");
    }
}

#[tokio::test]
async fn nothing_is_written_outside_writable_folders() {
    if has_landlock() {
        let desk = Desk::new();
        said(desk.ffmpeg(&["-i", "@input.y4m", "@outside.mp4"]).await, "Permission denied");
        said(
            desk.ffmpeg(&["-i", "@input.y4m", "-f", "rawvideo", "@neighbour.y4m"]).await,
            "Permission denied",
        );
        assert!(!desk.path("outside.mp4").exists());
        assert_eq!(std::fs::read(desk.path("neighbour.y4m")).unwrap(), picture());
    }
}

#[tokio::test]
async fn no_connection_reaches_a_local_listener() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("tcp://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let desk = Desk::new();
    said(desk.ffmpeg(&["-i", &url, "@out/a.mp4"]).await, "Operation not permitted");
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "nobody connected");
}

#[tokio::test]
async fn file_stops_at_its_size_limit() {
    let mut desk = Desk::new();
    desk.policy.file_size_bytes = Some(100_000);
    let error = said(
        desk.ffmpeg(&["-f", "lavfi", "-i", "testsrc=d=4", "-f", "rawvideo", "@out/a.raw"]).await,
        "File too large",
    );
    assert!(matches!(error.exit(), Some(Exit::Code(_))), "it must exit by itself: {error}");
    assert!(!error.is_retryable());
    assert!(std::fs::metadata(desk.path("out/a.raw")).unwrap().len() <= 100_000);
}

#[tokio::test]
async fn memory_limit_is_enforced() {
    let mut desk = Desk::new();
    // One thread: without memory, threads of ffmpeg 5.1 wait for each other forever, which the stall limit
    // handles.
    let single = ["-filter_threads", "1", "-threads", "1", "-i", "@input.y4m", "-vf", "scale=15360:8640"];
    let large = [&single[..], &["-c:v", "rawvideo", "-threads", "1", "-f", "null", "-"]].concat();
    desk.ffmpeg(&large).await.unwrap();
    desk.policy.memory_bytes = Some(320 << 20);
    said(desk.ffmpeg(&large).await, "Cannot allocate memory");
}

#[tokio::test]
async fn processor_time_limit_is_enforced() {
    let mut desk = Desk::new();
    desk.policy.cpu_seconds = Some(1);
    let endless = ["-f", "lavfi", "-i", "testsrc2=s=640x360", "-f", "null", "-"];
    let error = desk.ffmpeg(&endless).await.unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::Failed, "{}", error.details());
    assert!(error.to_string().contains("took more than 1 s of processor time"), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn processor_time_limit_is_enforced_in_namespaces() {
    if has_namespaces() {
        let mut desk = Desk::new();
        desk.policy.cpu_seconds = Some(1);
        let endless = ["-progress", "pipe:1", "-f", "lavfi", "-i", "testsrc2=s=640x360", "-f", "null", "-"];
        let error = desk.ffmpeg_in_namespaces(&endless).await.unwrap_err();
        assert!(error.to_string().contains("took more than 1 s of processor time"), "{}", error.details());
        // Without a handler, only the kill some seconds later ends the first process of a namespace.
        let busy = vec!["-c".into(), "while :; do :; done".into()];
        let launcher = launcher().with_namespaces_if_possible();
        let error = run_in(launcher, "/bin/sh", busy, desk.policy.clone()).await.unwrap_err();
        assert!(error.to_string().contains("took more than 1 s of processor time"), "{}", error.details());
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn only_harmless_variables_are_passed_on() {
    let desk = Desk::new();
    let script = format!("exec /usr/bin/env > {}", desk.path("out/env").display());
    caged("/bin/sh", vec!["-c".into(), script.into()], desk.policy.clone()).await.unwrap();
    let variables = std::fs::read_to_string(desk.path("out/env")).unwrap();
    assert!(variables.contains("PATH="), "{variables}");
    assert!(!variables.contains("CARGO_"), "{variables}");
}

#[tokio::test]
async fn error_names_a_missing_program() {
    let error = caged("/no/such/ffmpeg", Vec::new(), Policy::default()).await.unwrap_err();
    assert_eq!(error.exit(), Some(Exit::Code(126)));
    assert!(error.to_string().contains("cannot start `/no/such/ffmpeg` in the sandbox"), "{error}");
}

/// The program dies when its parent process dies, even if no process is left to kill it.
#[test]
fn child_dies_with_its_parent() {
    let desk = Desk::new();
    let pid_file = desk.path("out/pid");
    let policy =
        format!(r#"{{"parent_pid":null,"policy":{{"writable":["{}"]}}}}"#, desk.path("out").display());
    // The shell in between is the parent: it starts the sandbox, waits and is killed.
    let script = format!(
        "'{}' '{policy}' -- /bin/sh -c 'echo $$ > {}; exec sleep 1000' & wait",
        env!("CARGO_BIN_EXE_abanico-sandbox"),
        pid_file.display()
    );
    let mut parent = std::process::Command::new("/bin/sh").args(["-c", &script]).spawn().unwrap();
    let pid = poll(|| std::fs::read_to_string(&pid_file).ok().filter(|text| text.ends_with('\n')));
    let stat = PathBuf::from(format!("/proc/{}/stat", pid.trim()));
    assert!(is_alive(&stat));
    parent.kill().unwrap();
    parent.wait().unwrap();
    poll(|| (!is_alive(&stat)).then_some(()));
}

/// Counts a zombie that init has not reaped yet as dead.
fn is_alive(stat: &Path) -> bool {
    std::fs::read_to_string(stat).is_ok_and(|text| !text.contains(") Z "))
}

fn poll<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("not within 10 s");
}
