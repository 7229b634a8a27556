//! Owns one child in a thread of its own. Starting one returns the child's pipes, a handle on its process
//! group and a receiver for its end.
//!
//! The thread reaps the child whatever becomes of the caller, so no zombie is left. It needs a thread of its
//! own because the kernel kills a sandboxed child when the *thread* that started it ends, and the threads of
//! a runtime come and go.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpid};
use tokio::sync::oneshot;

use crate::Exit;
use crate::terminal::Lent;

/// Milliseconds per tick in `/proc/PID/stat`: Linux shows programs 100 ticks per second on every machine.
const TICK_MS: u64 = 10;

/// How long to wait for our own end after Ctrl-C.
const INTERRUPTION: Duration = Duration::from_secs(5);

/// A process group's leader.
type Leader = Mutex<Running>;

/// What is known of a running child.
#[derive(Debug)]
struct Running {
    /// Its number, until it is reaped.
    pid: Option<Pid>,
    /// User and system time of its processes when they were killed, in milliseconds. A process that only waits for
    /// the program, as around namespaces, is killed with it and cannot count it any more.
    cpu_when_killed: (u64, u64),
}

/// All groups that may be running. Held while a child is started, so that none is missed.
static GROUPS: Mutex<Vec<Weak<Leader>>> = Mutex::new(Vec::new());

/// Whose program a child is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// One that we chose. It has no input, and what it leaves running is killed when it ends.
    Tool,
    /// One that the user configured. It has our input and, until it ends, the terminal: it may ask for a password.
    /// What it leaves running, such as an agent or a browser, is the user's business.
    UserProgram,
}

/// A running child.
#[derive(Debug)]
pub struct Started {
    /// Its standard output.
    pub stdout: ChildStdout,
    /// Its standard error.
    pub stderr: ChildStderr,
    /// Its process group.
    pub group: Group,
    /// Receives the end once the child is reaped. Of a tool, the rest of the group is then killed.
    pub ended: oneshot::Receiver<io::Result<Ended>>,
}

/// How a child ended and what it used.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// How it ended.
    pub exit: Exit,
    /// User time over all its threads and the processes that it waited for, in milliseconds, with a resolution of 10 ms.
    pub user_cpu_ms: u64,
    /// System time over all its threads and the processes that it waited for, in milliseconds, with a resolution of 10 ms.
    pub system_cpu_ms: u64,
}

/// The process group of a child. Dropping the handle kills the group.
#[derive(Debug)]
pub struct Group(Arc<Leader>);

impl Group {
    /// Sends a signal to every process of the group, unless the child is reaped: its number may then belong
    /// to another.
    pub fn signal(&self, signal: Signal) {
        signal_group(&self.0, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Kills all children with their groups and ends this process without any cleaning up.
pub fn exit_at_once(status: i32) -> ! {
    // Held to the end: no other child is started.
    let groups = lock(&GROUPS);
    groups.iter().filter_map(Weak::upgrade).for_each(|leader| signal_group(&leader, Signal::SIGKILL));
    std::process::exit(status)
}

/// Starts the program in a process group of its own.
///
/// # Errors
/// Fails if the program or the thread that watches it cannot be started.
pub async fn start(command: Command, kind: Kind) -> io::Result<Started> {
    let (spawned, news) = oneshot::channel();
    std::thread::Builder::new().name("abanico-child".into()).spawn(move || {
        // If the caller is gone, `Started` is dropped here or in the channel, which kills the group.
        match spawn(command, kind) {
            Ok((mut child, leader)) => supervise(&mut child, kind, &leader, spawned),
            Err(error) => drop(spawned.send(Err(error))),
        }
    })?;
    news.await.unwrap_or_else(|_| Err(gone()))
}

/// Returns the result that a supervisor sent.
///
/// # Errors
/// Returns its error, or one that says that it is gone.
pub fn flattened(end: Result<io::Result<Ended>, oneshot::error::RecvError>) -> io::Result<Ended> {
    end.unwrap_or_else(|_| Err(gone()))
}

fn gone() -> io::Error {
    io::Error::other("the supervisor thread of the child is gone")
}

fn spawn(mut command: Command, kind: Kind) -> io::Result<(Child, Arc<Leader>)> {
    let input = if kind == Kind::Tool { Stdio::null() } else { Stdio::inherit() };
    command.process_group(0).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut groups = lock(&GROUPS);
    groups.retain(|group| group.strong_count() > 0);
    let child = command.spawn()?;
    let leader = Arc::new(Mutex::new(Running { pid: Some(pid_of(&child)), cpu_when_killed: (0, 0) }));
    groups.push(Arc::downgrade(&leader));
    Ok((child, leader))
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a process number fits in 31 bits"))
}

/// Hands out the running child and stays until it is reaped.
fn supervise(
    child: &mut Child,
    kind: Kind,
    shared: &Arc<Leader>,
    spawned: oneshot::Sender<io::Result<Started>>,
) {
    let (end, ended) = oneshot::channel();
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    let started = Started { stdout, stderr, group: Group(Arc::clone(shared)), ended };
    let terminal = (kind == Kind::UserProgram).then(|| Lent::to(pid_of(child))).flatten();
    drop(spawned.send(Ok(started)));
    let result = wait_and_reap(child, kind, shared);
    if terminal.is_some() {
        drop(terminal);
        // The user typed Ctrl-C, which reached only the group that had the terminal.
        if result.as_ref().is_ok_and(|ended| ended.exit == Exit::Signal(Signal::SIGINT as i32)) {
            let _ = kill(getpid(), Signal::SIGINT);
            // It ends us, or its handler does; the child's failure must not come first.
            std::thread::sleep(INTERRUPTION);
        }
    }
    // If the caller is gone, nobody needs the result.
    let _ = end.send(result);
}

/// Waits for the end. The child stays unreaped until its processor time is read and the rest of a tool's group is
/// killed.
fn wait_and_reap(child: &mut Child, kind: Kind, shared: &Leader) -> io::Result<Ended> {
    let leader = pid_of(child);
    while let Err(Errno::EINTR) = waitid(Id::Pid(leader), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {}
    let (user, system) = cpu_of(leader);
    let mut running = lock(shared);
    if kind == Kind::Tool {
        let _ = killpg(leader, Signal::SIGKILL);
    }
    running.pid = None;
    let (user_before, system_before) = running.cpu_when_killed;
    let (user_cpu_ms, system_cpu_ms) = (user.max(user_before), system.max(system_before));
    let exit = child.wait()?.into();
    Ok(Ended { exit, user_cpu_ms, system_cpu_ms })
}

fn signal_group(leader: &Leader, signal: Signal) {
    let mut running = lock(leader);
    if let Some(leader) = running.pid {
        if signal == Signal::SIGKILL {
            running.cpu_when_killed = cpu_of(leader);
        }
        // This fails only if no process of the group can be signalled any more, which is the goal anyway.
        let _ = killpg(leader, signal);
    }
}

/// Returns user and system time of a process, of its running children and of those that it has waited for, in
/// milliseconds.
fn cpu_of(leader: Pid) -> (u64, u64) {
    let children =
        std::fs::read_to_string(format!("/proc/{leader}/task/{leader}/children")).unwrap_or_default();
    let pids = std::iter::once(leader.to_string()).chain(children.split_whitespace().map(str::to_owned));
    let times = pids.filter_map(|pid| cpu_ms(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?));
    times.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// Parses user and system time, words 14 and 15 of `/proc/PID/stat`, and those of children that were waited for, words
/// 16 and 17. Returns the sums in milliseconds. Counts the words from the last bracket, because the second word is the
/// program's name in brackets and may contain anything.
fn cpu_ms(stat: &str) -> Option<(u64, u64)> {
    let mut words = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || words.next()?.parse::<u64>().ok();
    let (user, system, user_of_children, system_of_children) = (next()?, next()?, next()?, next()?);
    let ms = |ticks: u64, more: u64| ticks.saturating_add(more).saturating_mul(TICK_MS);
    Some((ms(user, user_of_children), ms(system, system_of_children)))
}

/// Locks a value that is still right after a panic in another holder of the lock.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str) -> Started {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        start(command, Kind::Tool).await.unwrap()
    }

    #[test]
    fn processor_time_is_read_past_odd_names() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 123 45 6 7 20 0 1 0 99";
        assert_eq!(cpu_ms(stat), Some((1290, 520)));
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
    async fn processor_time_of_a_killed_child_is_counted_with_its_own_children() {
        let Started { ended, group, mut stdout, .. } =
            shell("(while :; do i=$((i+1)); [ $((i % 100000)) = 0 ] && echo on; done) & wait").await;
        let mut some = [0; 12];
        io::Read::read_exact(&mut stdout, &mut some).unwrap();
        group.signal(Signal::SIGKILL);
        let ended = ended.await.unwrap().unwrap();
        assert!(ended.user_cpu_ms >= 20, "{ended:?}");
    }

    #[tokio::test]
    async fn dropping_the_handle_kills_the_group() {
        let Started { ended, group, .. } = shell("sleep 1000 & sleep 1000; wait").await;
        let leader = lock(&group.0).pid.unwrap();
        drop(group);
        assert_eq!(ended.await.unwrap().unwrap().exit, Exit::Signal(9));
        // The kernel takes a moment to kill the other member, and init then reaps it.
        for _ in 0..500 {
            if killpg(leader, None) == Err(Errno::ESRCH) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("a process of the group is left over");
    }

    #[tokio::test]
    async fn missing_program_fails_to_start() {
        let error = start(Command::new("/no/such/program"), Kind::Tool).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
