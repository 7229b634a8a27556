//! `abanico doctor`: checks this machine and prints what works, what does not, and how to fix it. It changes nothing.

use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use abanico_ffmpeg::{Tools, capabilities, sandbox};

use crate::arguments::Doctor;
use crate::commands::local::LOW_DISK_BYTES;
use crate::config::Config;
use crate::failure::MISSING_HERE;
use crate::output;

/// 2024-01-01 in seconds since 1970. A clock that shows an earlier time is wrong, and signatures would fail.
const CLOCK_FLOOR: u64 = 1_704_067_200;

/// The result of one check.
struct Finding {
    what: &'static str,
    state: State,
    detail: String,
}

enum State {
    Good,
    /// Works with limitations. Holds the remedy.
    Weak(String),
    /// Does not work. Holds the remedy.
    Bad(String),
}

/// Runs all checks. The exit status is 3 if something required is missing.
pub async fn run(arguments: Doctor) -> anyhow::Result<ExitCode> {
    let config = Config::load(arguments.config.as_deref())?;
    let mut findings = ffmpeg().await;
    findings.extend([disk(&config.data), port(&config), clock(), sandbox_support(), processors()]);
    for finding in &findings {
        let (mark, remedy) = match &finding.state {
            State::Good => ("ok  ", None),
            State::Weak(remedy) => ("weak", Some(remedy)),
            State::Bad(remedy) => ("BAD ", Some(remedy)),
        };
        output::line(format!("{mark}  {:<11} {}", finding.what, finding.detail));
        if let Some(remedy) = remedy {
            output::line(format!("      {:<11} remedy: {remedy}", ""));
        }
    }
    let is_bad = findings.iter().any(|finding| matches!(finding.state, State::Bad(_)));
    Ok(if is_bad { ExitCode::from(MISSING_HERE) } else { ExitCode::SUCCESS })
}

async fn ffmpeg() -> Vec<Finding> {
    let remedy = || "apt-get install ffmpeg (5.1 or newer)".to_owned();
    let bad = |detail: String| vec![Finding { what: "ffmpeg", state: State::Bad(remedy()), detail }];
    let tools = match Tools::find(None, None) {
        Ok(tools) => tools,
        Err(error) => return bad(error.to_string()),
    };
    let found = match capabilities(&tools).await {
        Ok(found) => found,
        Err(error) => return bad(error.to_string()),
    };
    let detail = format!("{} at {}", found.version, tools.ffmpeg().display());
    let mut findings = vec![Finding { what: "ffmpeg", state: State::Good, detail }];
    for (encoder, needed_for) in [("libx264", "H.264 video"), ("aac", "AAC audio")] {
        let (state, detail) = if found.has_encoder(encoder) {
            (State::Good, format!("{encoder} for {needed_for}"))
        } else {
            (
                State::Bad("install a build of ffmpeg that has it, such as Debian's".to_owned()),
                format!("no {encoder} for {needed_for}"),
            )
        };
        findings.push(Finding { what: "encoder", state, detail });
    }
    let tone_maps = found.has_filter("zscale") && found.has_filter("tonemap");
    findings.push(Finding {
        what: "HDR to SDR",
        state: if tone_maps {
            State::Good
        } else {
            State::Weak("install an ffmpeg with zscale (libzimg)".to_owned())
        },
        detail: if tone_maps {
            "zscale and tonemap".to_owned()
        } else {
            "no zscale or tonemap: HDR looks pale".to_owned()
        },
    });
    findings
}

fn disk(data: &Path) -> Finding {
    let existing =
        data.ancestors().find(|folder| folder.exists()).filter(|folder| !folder.as_os_str().is_empty());
    let place = existing.unwrap_or(Path::new("."));
    let free =
        nix::sys::statvfs::statvfs(place).map(|stats| stats.blocks_available() * stats.fragment_size());
    let (state, detail) = match free {
        Ok(free) if free < LOW_DISK_BYTES => (
            State::Bad(
                "free some space (`abanico gc` says what takes it), or choose another folder with --data"
                    .to_owned(),
            ),
            format!("{} free", output::bytes(free)),
        ),
        Ok(free) => (State::Good, format!("{} free for `{}`", output::bytes(free), data.display())),
        Err(error) => (
            State::Bad("choose another folder with --data".to_owned()),
            format!("`{}`: {error}", place.display()),
        ),
    };
    Finding { what: "disk", state, detail }
}

fn port(config: &Config) -> Finding {
    let (state, detail) = match TcpListener::bind(config.listen) {
        Ok(_) => (State::Good, format!("{} is free", config.listen)),
        Err(error) => {
            let remedy =
                "stop the program that uses it (perhaps abanico itself), or choose another with --listen"
                    .to_owned();
            (State::Weak(remedy), format!("{}: {error}", config.listen))
        }
    };
    Finding { what: "port", state, detail }
}

fn clock() -> Finding {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (state, detail) = if seconds < CLOCK_FLOOR {
        (
            State::Bad("set the clock, or signatures will not match".to_owned()),
            format!("{seconds} s since 1970"),
        )
    } else {
        (State::Good, format!("{seconds} s since 1970 (compare with `date +%s` elsewhere)"))
    };
    Finding { what: "clock", state, detail }
}

fn sandbox_support() -> Finding {
    let support = sandbox::support();
    let yes = |has: bool| if has { "yes" } else { "no" };
    let exe = std::env::current_exe().unwrap_or_default();
    let launcher = sandbox::Launcher::new(exe, vec!["__sandbox".to_owned()]).with_namespaces_if_possible();
    let landlock =
        support.landlock_abi.map_or_else(|| "no landlock".to_owned(), |abi| format!("landlock {abi}"));
    let (seccomp, namespaces) = (yes(support.seccomp), yes(launcher.has_namespaces()));
    let weaknesses = support.weaknesses();
    let parts = format!("{landlock}, seccomp {seccomp}, namespaces {namespaces}");
    let detail = std::iter::once(parts).chain(weaknesses.iter().cloned()).collect::<Vec<_>>().join("; ");
    let state = if weaknesses.is_empty() {
        State::Good
    } else {
        State::Weak("use Linux 6.2 or newer with Landlock and seccomp switched on".to_owned())
    };
    Finding { what: "sandbox", state, detail }
}

fn processors() -> Finding {
    Finding { what: "processors", state: State::Good, detail: super::local::cores().to_string() }
}
