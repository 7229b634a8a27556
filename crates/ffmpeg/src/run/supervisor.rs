//! One child and the thread that owns it: in a program and its arguments, out its pipes, a handle on its process group
//! and the news of its end. Never a zombie: the thread reaps the child whatever becomes of its caller.
//!
//! A thread of its own, because the kernel kills a caged child when the *thread* that started it ends, and threads of a
//! runtime come and go.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::oneshot;

use super::error::Exit;

/// Milliseconds of one tick in `/proc/PID/stat`: Linux shows 100 ticks per second to programs on every machine.
const TICK_MS: u64 = 10;

/// A child that runs.
pub(super) struct Started {
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
    pub(super) group: Group,
    /// Gives the end once the child is reaped and all that is left of its group is killed.
    pub(super) ended: oneshot::Receiver<io::Result<Ended>>,
}

/// How a child ended and what it used up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) user_cpu_ms: u64,
    pub(super) system_cpu_ms: u64,
}

/// The process group of a child; killed when the handle is dropped.
pub(super) struct Group(Arc<Mutex<Option<Pid>>>);

impl Group {
    /// Sends a signal to every process of the group, unless the child is reaped: its number may then be another's.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(leader) = *lock(&self.0) {
            // The only failure left is a group without a process that may be signalled, which is what is wanted.
            let _ = killpg(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Starts the program in a process group of its own, with no input.
pub(super) async fn start(program: PathBuf, args: Vec<OsString>) -> io::Result<Started> {
    let (spawned, news) = oneshot::channel();
    std::thread::Builder::new().name("abanico-child".into()).spawn(move || {
        // A caller that is gone leaves the `Started` to be dropped here or in the channel, which kills the group.
        match spawn(&program, &args) {
            Ok(mut child) => supervise(&mut child, spawned),
            Err(error) => drop(spawned.send(Err(error))),
        }
    })?;
    news.await.unwrap_or_else(|_| Err(io::Error::other("the thread of the child is gone")))
}

fn spawn(program: &Path, args: &[OsString]) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(args).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// Hands the running child out and stays until it is reaped.
fn supervise(child: &mut Child, spawned: oneshot::Sender<io::Result<Started>>) {
    let leader = Pid::from_raw(i32::try_from(child.id()).expect("a process number fits in 31 bits"));
    let (end, ended) = oneshot::channel();
    let shared = Arc::new(Mutex::new(Some(leader)));
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    let started = Started { stdout, stderr, group: Group(Arc::clone(&shared)), ended };
    drop(spawned.send(Ok(started)));
    let result = wait_and_reap(child, leader, &shared);
    // A caller that is gone does not want to know.
    let _ = end.send(result);
}

/// Waits for the end and leaves the child unreaped until its account is read and the rest of its group is killed.
fn wait_and_reap(child: &mut Child, leader: Pid, shared: &Mutex<Option<Pid>>) -> io::Result<Ended> {
    while let Err(Errno::EINTR) = waitid(Id::Pid(leader), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {}
    let stat = std::fs::read_to_string(format!("/proc/{leader}/stat")).unwrap_or_default();
    let (user_cpu_ms, system_cpu_ms) = cpu_ms(&stat).unwrap_or_default();
    let mut group = lock(shared);
    let _ = killpg(leader, Signal::SIGKILL);
    *group = None;
    let exit = exit_of(child.wait()?);
    Ok(Ended { exit, user_cpu_ms, system_cpu_ms })
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    }
}

/// User and system time from a line of `/proc/PID/stat`: its 14th and 15th word. The second word is the program's name
/// in brackets and may hold anything, so words are counted from the last bracket.
fn cpu_ms(stat: &str) -> Option<(u64, u64)> {
    let mut words = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || Some(words.next()?.parse::<u64>().ok()?.saturating_mul(TICK_MS));
    Some((next()?, next()?))
}

/// A panic while the lock was held leaves the number as it was: still right.
fn lock(shared: &Mutex<Option<Pid>>) -> MutexGuard<'_, Option<Pid>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str) -> Started {
        start("/bin/sh".into(), vec!["-c".into(), script.into()]).await.unwrap()
    }

    #[test]
    fn is_processor_time_read_past_a_name_with_brackets_and_blanks() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 123 45 6 7 20 0 1 0 99";
        assert_eq!(cpu_ms(stat), Some((1230, 450)));
        assert_eq!(cpu_ms("7 (a) S 1 2"), None);
        assert_eq!(cpu_ms(""), None);
    }

    #[tokio::test]
    async fn does_the_end_tell_status_and_signal() {
        let Started { ended, group, .. } = shell("exit 7").await;
        assert_eq!(ended.await.unwrap().unwrap().exit, Exit::Code(7));
        drop(group);
        let Started { ended, group, .. } = shell("kill -11 $$").await;
        assert_eq!(ended.await.unwrap().unwrap().exit, Exit::Signal(11));
        drop(group);
    }

    #[tokio::test]
    async fn is_the_processor_time_of_the_child_counted() {
        let Started { ended, group, .. } = shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done").await;
        let ended = ended.await.unwrap().unwrap();
        assert!(ended.user_cpu_ms >= 20, "{ended:?}");
        drop(group);
    }

    #[tokio::test]
    async fn does_dropping_the_handle_end_the_whole_group() {
        let Started { ended, group, .. } = shell("sleep 1000 & sleep 1000; wait").await;
        let leader = lock(&group.0).unwrap();
        drop(group);
        assert_eq!(ended.await.unwrap().unwrap().exit, Exit::Signal(9));
        // The other member dies when the kernel gets to it, and init collects it after that.
        for _ in 0..500 {
            if killpg(leader, None) == Err(Errno::ESRCH) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("something of the group is left");
    }

    #[tokio::test]
    async fn is_a_missing_program_an_error_of_the_start() {
        let error = start("/no/such/program".into(), Vec::new()).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
