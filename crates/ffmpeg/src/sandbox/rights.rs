//! Gives up every capability for good, so that a program of root is no more than its user's files.

use std::io;

use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities_secure_bits,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_capabilities_secure_bits,
};

/// Gives up all capabilities of this thread and of the program that it becomes, also of a program of root.
///
/// # Errors
/// Fails if the kernel keeps a capability. Without the right to shrink the bounding set, nothing can be regained
/// anyway once `no_new_privs` is set.
pub(super) fn give_up() -> io::Result<()> {
    let locked = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    for single in 0..64 {
        // The kernel refuses numbers that it does not know, and users without rights.
        let _ = remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << single));
    }
    let _ = clear_ambient_capability_set();
    // NO_ROOT decides whether a program of root gets everything back when it starts.
    let set = set_capabilities_secure_bits(locked);
    let nothing = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: nothing, permitted: nothing, inheritable: nothing })?;
    match set {
        Err(error) if nix::unistd::geteuid().is_root() && !keeps_root_small() => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether root's programs already start without capabilities.
fn keeps_root_small() -> bool {
    let locked = capabilities_secure_bits().is_ok_and(|bits| bits.contains(CapabilitiesSecureBits::NO_ROOT));
    locked || bounding_set_is_empty()
}

fn bounding_set_is_empty() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |line: &str| u64::from_str_radix(line.strip_prefix("CapBnd:")?.trim(), 16).ok();
    status.lines().find_map(of) == Some(0)
}
