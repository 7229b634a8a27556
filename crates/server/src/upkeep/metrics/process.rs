//! Measures this process: memory, file descriptors and processor time, under Prometheus's usual names. What Linux does not
//! tell is left out.

use std::time::{SystemTime, UNIX_EPOCH};

use super::text::{Text, seconds};

/// Length of a tick of the processor times in `/proc`: Linux tells them in hundredths of a second everywhere.
const TICK_MS: u64 = 10;

/// What the system tells of this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Process {
    memory_bytes: Option<u64>,
    descriptors: Option<u64>,
    most_descriptors: Option<u64>,
    cpu_ms: Option<u64>,
}

impl Process {
    fn measured() -> Self {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).ok();
        Self {
            memory_bytes: read("status").as_deref().and_then(memory),
            descriptors: std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64),
            most_descriptors: read("limits").as_deref().and_then(most_descriptors),
            cpu_ms: read("stat").as_deref().and_then(cpu_ms),
        }
    }
}

fn memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

fn most_descriptors(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Adds the processor time of the process in user and system mode. Its name, in parentheses, may contain anything.
fn cpu_ms(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    Some((user + system) * TICK_MS)
}

/// Writes the metrics of this process, which began at `began`.
pub(super) fn write(text: &mut Text, began: SystemTime) {
    let process = Process::measured();
    text.head(
        "process_resident_memory_bytes",
        "gauge",
        "Memory of the server in bytes, without its ffmpeg processes.",
    );
    if let Some(bytes) = process.memory_bytes {
        text.sample("process_resident_memory_bytes", &[], bytes);
    }
    text.head("process_open_fds", "gauge", "Open file descriptors.");
    if let Some(count) = process.descriptors {
        text.sample("process_open_fds", &[], count);
    }
    text.head("process_max_fds", "gauge", "Most file descriptors that may be open.");
    if let Some(count) = process.most_descriptors {
        text.sample("process_max_fds", &[], count);
    }
    text.head(
        "process_cpu_seconds_total",
        "counter",
        "Processor time of the server, without its ffmpeg processes.",
    );
    if let Some(ms) = process.cpu_ms {
        text.sample("process_cpu_seconds_total", &[], seconds(ms));
    }
    let began_ms = began.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    text.head("process_start_time_seconds", "gauge", "When the server started, in seconds since 1970.");
    text.sample("process_start_time_seconds", &[], seconds(u64::try_from(began_ms).unwrap_or(0)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_system_are_read() {
        assert_eq!(memory("Name:\ta\nVmRSS:\t   2048 kB\n"), Some(2_097_152));
        assert_eq!(
            most_descriptors("Limit Soft Hard\nMax open files            1024    4096   files\n"),
            Some(1024)
        );
        assert_eq!(most_descriptors("Max open files  unlimited unlimited files\n"), None);
        let stat = "7 (a) b (c) S 1 1 1 0 -1 4194560 9 8 7 6 150 25 0 0 20 0 1 0 5 1 1";
        assert_eq!(cpu_ms(stat), Some(1_750));
        assert_eq!(cpu_ms(""), None);
    }

    #[test]
    fn linux_tells_all_of_it() {
        let process = Process::measured();
        assert!(process.memory_bytes.is_some_and(|bytes| bytes > 1 << 20), "{process:?}");
        assert!(
            process.descriptors.is_some_and(|count| count > 2) && process.cpu_ms.is_some(),
            "{process:?}"
        );
    }
}
