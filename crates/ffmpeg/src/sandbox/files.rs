//! The files that a caged program sees: in a program and a policy, out Landlock rules of this thread and what it starts.
//! Never a failure where the kernel has no Landlock or an old one: then as much holds as it can.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope, make_bitflags, path_beneath_rules,
};

use super::Policy;

/// Newest Landlock that the tests ran against; an older kernel takes what it knows.
const TESTED: ABI = ABI::V7;

/// Folders of programs and libraries.
const SYSTEM: [&str; 4] = ["/usr", "/lib", "/lib64", "/bin"];

/// What the loader, fonts and thread counts are read from.
const READABLE: [&str; 10] = [
    "/etc/ld.so.cache",
    "/etc/fonts",
    "/etc/alternatives",
    "/dev/urandom",
    "/proc/self",
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/var/cache/fontconfig",
];

/// Confines this thread, and the program that it becomes, to the files of the policy, no TCP, and signals to itself.
pub(super) fn confine(program: &Path, policy: &Policy) -> Result<RestrictionStatus, RulesetError> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let execute = read | AccessFs::Execute;
    Ruleset::default()
        .handle_access(AccessFs::from_all(TESTED))?
        .handle_access(AccessNet::from_all(TESTED))?
        .scope(Scope::from_all(TESTED))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, execute))?
        .add_rules(path_beneath_rules(program_files(program), execute))?
        .add_rules(path_beneath_rules(READABLE, read))?
        .add_rules(path_beneath_rules(["/dev/null"], read | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(&policy.read_only, read))?
        .add_rules(path_beneath_rules(&policy.writable, read | writing()))?
        .restrict_self()
}

/// Everything but links and devices: a link made in here could lead the process that collects the files out of it.
fn writing() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{
        WriteFile | Truncate | Refer | MakeReg | MakeDir | MakeFifo | RemoveFile | RemoveDir
    })
}

/// The program itself and, for one in a `bin` folder, the libraries next door. Not its folder: that may be anyone's.
fn program_files(program: &Path) -> Vec<PathBuf> {
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let folder = real.parent().filter(|folder| folder.ends_with("bin"));
    let libraries = folder.and_then(Path::parent).map(|prefix| prefix.join("lib"));
    std::iter::once(real.clone()).chain(libraries).collect()
}

/// The Landlock ABI that this kernel has. Asks in a thread of its own, because to ask is to be confined.
pub(super) fn abi() -> Option<u32> {
    let asked =
        std::thread::spawn(|| Ruleset::default().handle_access(AccessFs::Execute)?.create()?.restrict_self());
    match asked.join().ok()?.ok()?.landlock {
        LandlockStatus::Available { effective_abi, kernel_abi } => {
            kernel_abi.map_or(Some(effective_abi as u32), |newer| u32::try_from(newer).ok())
        }
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_libraries_next_to_a_bin_folder_the_programs_and_its_own_folder_is_not() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("bin")).unwrap();
        std::fs::write(root.join("bin/ffmpeg"), "").unwrap();
        std::os::unix::fs::symlink(root.join("bin/ffmpeg"), root.join("ffmpeg")).unwrap();
        let expected = [root.join("bin/ffmpeg"), root.join("lib")];
        assert_eq!(program_files(&root.join("ffmpeg")), expected, "through a link too");
        assert_eq!(program_files(Path::new("/no/such/ffmpeg")), [PathBuf::from("/no/such/ffmpeg")]);
    }

    #[test]
    fn is_a_confined_thread_kept_to_its_policy_and_others_are_not() {
        if abi().is_none() {
            eprintln!("skipped: this kernel has no Landlock");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let [input, secret, out] = ["input", "secret", "out"].map(|name| folder.path().join(name));
        std::fs::write(&input, "in").unwrap();
        std::fs::write(&secret, "no").unwrap();
        std::fs::create_dir(&out).unwrap();
        let policy =
            Policy { read_only: vec![input.clone()], writable: vec![out.clone()], ..Policy::default() };
        let (hidden, target) = (secret.clone(), out.join("file"));
        let confined = std::thread::spawn(move || {
            nix::sys::prctl::set_no_new_privs().unwrap();
            confine(Path::new("/bin/true"), &policy).unwrap();
            [
                std::fs::read(&input).is_ok(),
                std::fs::write(&target, "x").is_ok(),
                std::fs::read(&hidden).is_ok(),
                std::fs::write(&hidden, "x").is_ok(),
                std::os::unix::fs::symlink("/etc", out.join("link")).is_ok(),
            ]
        });
        assert_eq!(confined.join().unwrap(), [true, true, false, false, false]);
        assert_eq!(std::fs::read(&secret).unwrap(), b"no");
    }
}
