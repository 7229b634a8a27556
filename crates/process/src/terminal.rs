//! Lends the terminal to a child's process group, so that its program can ask the user something, and takes it back.
//!
//! A program in any other group than the one that has the terminal is stopped when it reads from it.

use std::fs::File;

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// The terminal while a child's group has it. Dropping this takes it back.
pub(crate) struct Lent {
    terminal: File,
    to: Pid,
}

impl Lent {
    /// Gives the terminal to the group `to`. Returns `None` if there is no terminal or it is not ours to give.
    pub(crate) fn to(to: Pid) -> Option<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
        if tcgetpgrp(&terminal) != Ok(getpgrp()) {
            return None;
        }
        tcsetpgrp(&terminal, to).ok()?;
        // If it has asked already, it is stopped.
        let _ = killpg(to, Signal::SIGCONT);
        Some(Self { terminal, to })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if tcgetpgrp(&self.terminal) != Ok(self.to) {
            return;
        }
        // We do not have the terminal, so the system would stop us for taking it.
        let mut stop = SigSet::empty();
        stop.add(Signal::SIGTTOU);
        let _ = stop.thread_block();
        let _ = tcsetpgrp(&self.terminal, getpgrp());
        let _ = stop.thread_unblock();
    }
}
