//! Finds out which forbidden system call ended a program, from the kernel's log.
//!
//! Only root may read that log on most machines, and a container has none. Then the call stays unknown.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::fcntl::OFlag;
use nix::libc::EPIPE;

use crate::sandbox::call_name;

/// How often to look, and how long to wait in between: the kernel writes the record after the program has ended.
const LOOKS: u32 = 5;
const APART: Duration = Duration::from_millis(50);
/// Longest record of the log.
const RECORD_BYTES: usize = 8192;

/// Returns the name or number of the last forbidden call that ended a program since then; `None` if the log cannot be
/// read or has none.
pub(super) async fn last_since(start: SystemTime) -> Option<String> {
    for _ in 0..LOOKS {
        let number = tokio::task::spawn_blocking(move || last_in_log(start)).await.ok()??;
        if let Some(number) = number {
            return Some(
                call_name(number).map_or_else(|| format!("number {number}"), |name| format!("`{name}`")),
            );
        }
        tokio::time::sleep(APART).await;
    }
    None
}

/// Returns the last call in the log; `None` if the log cannot be read.
fn last_in_log(start: SystemTime) -> Option<Option<i64>> {
    let mut log =
        OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open("/dev/kmsg").ok()?;
    let mut record = [0; RECORD_BYTES];
    let mut last = None;
    loop {
        match log.read(&mut record) {
            Ok(length @ 1..) => last = call_in(&String::from_utf8_lossy(&record[..length]), start).or(last),
            // The record was overwritten while it was read; the next read goes on behind it.
            Err(error) if error.raw_os_error() == Some(EPIPE) => {}
            // The end of the log.
            Ok(_) | Err(_) => return Some(last),
        }
    }
}

/// Returns the number of the call in a record such as `audit: type=1326 audit(1796050039.019:2): … sig=31 …
/// syscall=272 …`, if it is not older than `start`.
fn call_in(record: &str, start: SystemTime) -> Option<i64> {
    let (_, told) = record.split_once("type=1326 audit(")?;
    let seconds: u64 = told.split(['.', ':', ')']).next()?.parse().ok()?;
    let value = |name: &str| told.split_whitespace().find_map(|word| word.strip_prefix(name));
    let is_old = UNIX_EPOCH + Duration::from_secs(seconds + 1) < start;
    if is_old || value("sig=") != Some("31") { None } else { value("syscall=")?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "5,612,893235542,-;audit: type=1326 audit(1796050039.019:2): auid=4294967295 uid=0 \
         pid=14285 comm=\"ffmpeg\" exe=\"/usr/bin/ffmpeg\" sig=31 arch=c000003e syscall=272 compat=0 ip=0x7f7f code=0x80000000\n";

    #[test]
    fn record_names_the_call_since_the_start() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(call_in(RECORD, at(1_796_050_039)), Some(272));
        assert_eq!(call_in(RECORD, at(1_796_050_050)), None, "of an earlier program");
        assert_eq!(call_in(&RECORD.replace("sig=31", "sig=0"), at(0)), None, "only logged");
        assert_eq!(call_in("6,1,2,-;EXT4-fs (vda): mounted", at(0)), None);
    }
}
