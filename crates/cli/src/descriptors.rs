//! File descriptors: raises this process's limit, and decides how many of them connections may take. The rest is for
//! jobs and the disk.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many connections there may be by default, if there are descriptors for them.
const CONNECTIONS: u64 = 1024;
/// Of this many descriptors, one is for a connection. Each may need a second one, for the object that it reads or writes.
const SHARE: u64 = 4;

/// Raises the limit on open files as far as the system lets this user. Returns the limit that then holds.
pub fn raise() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return CONNECTIONS };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return hard;
    }
    soft
}

/// Returns the most connections at once: as configured, or by default, but never so many that jobs find no descriptor.
pub fn connections(configured: Option<u64>, descriptors: u64) -> usize {
    let share = descriptors / SHARE;
    let wanted = configured.unwrap_or(CONNECTIONS);
    if configured.is_some() && wanted > share {
        tracing::warn!(
            connections = share,
            "`max_connections` is more than a quarter of the file descriptors: raise the limit (`ulimit -n`)"
        );
    }
    usize::try_from(wanted.min(share)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_take_a_quarter_of_the_descriptors_at_most() {
        assert_eq!(connections(None, 1 << 20), 1024);
        assert_eq!(connections(None, 1024), 256);
        assert_eq!(connections(Some(100), 1024), 100);
        assert_eq!(connections(Some(5000), 1024), 256);
        assert_eq!(connections(Some(5000), u64::MAX), 5000);
    }

    #[test]
    fn limit_is_as_high_as_the_system_allows() {
        let limit = raise();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(soft == limit && soft == hard);
    }
}
