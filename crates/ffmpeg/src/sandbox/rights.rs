//! Gives up every capability for good, so that a program of root is no more than its user's files.

use std::io;

use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits,
};

/// Gives up all capabilities of this thread. Once `no_new_privs` is set too, the program that it becomes has none
/// either, also if it is root's. Shrinking the bounding set and locking the way back is a second barrier, which the
/// kernel puts up only for those who have the right to.
///
/// # Errors
/// Fails if the kernel keeps a capability.
pub(super) fn give_up() -> io::Result<()> {
    let locked = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    for single in 0..64 {
        // The kernel refuses numbers that it does not know.
        let _ = remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << single));
    }
    let _ = clear_ambient_capability_set();
    let _ = set_capabilities_secure_bits(locked);
    let nothing = CapabilitySet::empty();
    let sets = CapabilitySets { effective: nothing, permitted: nothing, inheritable: nothing };
    Ok(set_capabilities(None, sets)?)
}
