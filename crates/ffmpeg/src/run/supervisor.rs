//! Starts one child process and supervises it in a separate thread. The caller gets the child's pipes, a
//! handle on its process group and a receiver for its end.
//!
//! The thread reaps the child even if the caller is gone, so no zombie is left. A separate thread is needed
//! because the kernel kills a sandboxed child when the *thread* that started it ends, and the threads of a
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

/// Milliseconds per tick in `/proc/PID/stat`: Linux shows programs 100 ticks per second on every machine.
const TICK_MS: u64 = 10;

/// A running child.
pub(super) struct Started {
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
    pub(super) group: Group,
    /// Receives the end once the child is reaped and the rest of its group is killed.
    pub(super) ended: oneshot::Receiver<io::Result<Ended>>,
}

/// How a child ended and what it used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) user_cpu_ms: u64,
    pub(super) system_cpu_ms: u64,
}

/// The process group of a child. Dropping the handle kills the group.
pub(super) struct Group(Arc<Mutex<Option<Pid>>>);

impl Group {
    /// Sends a signal to every process of the group, unless the child has been reaped: its process id may
    /// then belong to another process.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(leader) = *lock(&self.0) {
            // This fails only if no process of the group can be signalled any more, which is the goal anyway.
            let _ = killpg(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Starts the program in a new process group, with an empty stdin.
pub(super) async fn start(program: PathBuf, args: Vec<OsString>) -> io::Result<Started> {
    let (spawned, news) = oneshot::channel();
    std::thread::Builder::new().name("abanico-child".into()).spawn(move || {
        // If the caller is gone, `Started` is dropped here or in the channel, which kills the group.
        match spawn(&program, &args) {
            Ok(mut child) => supervise(&mut child, spawned),
            Err(error) => drop(spawned.send(Err(error))),
        }
    })?;
    news.await.unwrap_or_else(|_| Err(io::Error::other("the supervisor thread of the child is gone")))
}

fn spawn(program: &Path, args: &[OsString]) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(args).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// Passes the running child to the caller, and returns when it is reaped.
fn supervise(child: &mut Child, spawned: oneshot::Sender<io::Result<Started>>) {
    let leader = Pid::from_raw(i32::try_from(child.id()).expect("a process number fits in 31 bits"));
    let (end, ended) = oneshot::channel();
    let shared = Arc::new(Mutex::new(Some(leader)));
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    let started = Started { stdout, stderr, group: Group(Arc::clone(&shared)), ended };
    drop(spawned.send(Ok(started)));
    let result = wait_and_reap(child, leader, &shared);
    // If the caller is gone, the result is not needed.
    let _ = end.send(result);
}

/// Waits for the end. The child stays unreaped until its processor time is read and the rest of its group is
/// killed.
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

/// Parses user and system time, words 14 and 15 of `/proc/PID/stat`, in milliseconds. Counts the words after
/// the last closing parenthesis, because the second word is the program's name in parentheses and may contain
/// anything.
fn cpu_ms(stat: &str) -> Option<(u64, u64)> {
    let mut words = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || Some(words.next()?.parse::<u64>().ok()?.saturating_mul(TICK_MS));
    Some((next()?, next()?))
}

/// Locks the process id. It is valid even if another holder of the lock panicked.
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
    fn processor_time_is_read_past_odd_names() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 123 45 6 7 20 0 1 0 99";
        assert_eq!(cpu_ms(stat), Some((1230, 450)));
        assert_eq!(cpu_ms("7 (a) S 1 2"), None);
        assert_eq!(cpu_ms(""), None);
    }

    #[tokio::test]
    async fn end_gives_status_or_signal() {
        let Started { ended, group, .. } = shell("exit 7").await;
        assert_eq!(ended.await.unwrap().unwrap().exit, Exit::Code(7));
        drop(group);
        let Started { ended, group, .. } = shell("kill -11 $$").await;
        assert_eq!(ended.await.unwrap().unwrap().exit, Exit::Signal(11));
        drop(group);
    }

    #[tokio::test]
    async fn processor_time_of_the_child_is_counted() {
        let Started { ended, group, .. } = shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done").await;
        let ended = ended.await.unwrap().unwrap();
        assert!(ended.user_cpu_ms >= 20, "{ended:?}");
        drop(group);
    }

    #[tokio::test]
    async fn dropping_the_handle_kills_the_group() {
        let Started { ended, group, .. } = shell("sleep 1000 & sleep 1000; wait").await;
        let leader = lock(&group.0).unwrap();
        drop(group);
        assert_eq!(ended.await.unwrap().unwrap().exit, Exit::Signal(9));
        // The kernel takes a moment to kill the other member, and init then reaps it.
        for _ in 0..500 {
            if killpg(leader, None) == Err(Errno::ESRCH) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("a process of the group is left over");
    }

    #[tokio::test]
    async fn missing_program_fails_to_start() {
        let error = start("/no/such/program".into(), Vec::new()).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
