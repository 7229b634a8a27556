//! Restricts this thread, and what it starts, to the files of a policy, with Landlock.
//!
//! An old kernel, or one without Landlock, is no error: the rules then hold as far as the kernel supports
//! them.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope, make_bitflags, path_beneath_rules,
};

use super::Policy;

/// Newest Landlock ABI that the tests ran against. An older kernel applies the rules that it knows.
const TESTED: ABI = ABI::V7;

/// Folders with programs and libraries.
const SYSTEM: [&str; 4] = ["/usr", "/lib", "/lib64", "/bin"];

/// Files that the loader, fontconfig and thread counting read.
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

/// Restricts this thread, and the program that it becomes: to the files of the policy, no TCP, and signals
/// only to itself.
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

/// Returns all write rights except links, pipes, sockets and devices: a link made here could lead the process that
/// collects the files out of the folder, and a pipe would make it wait for ever.
fn writing() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{
        WriteFile | Truncate | Refer | MakeReg | MakeDir | RemoveFile | RemoveDir
    })
}

/// Returns the program itself and, if it is in a `bin` folder, the `lib` folder beside that. The program's
/// own folder is left out: it may hold anyone's files.
fn program_files(program: &Path) -> Vec<PathBuf> {
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let folder = real.parent().filter(|folder| folder.ends_with("bin"));
    let libraries = folder.and_then(Path::parent).map(|prefix| prefix.join("lib"));
    std::iter::once(real.clone()).chain(libraries).collect()
}

/// Returns the kernel's Landlock ABI. Uses a separate thread, because the query restricts the thread.
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
    fn lib_folder_is_readable_and_own_folder_not() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("bin")).unwrap();
        std::fs::write(root.join("bin/ffmpeg"), "").unwrap();
        std::os::unix::fs::symlink(root.join("bin/ffmpeg"), root.join("ffmpeg")).unwrap();
        let expected = [root.join("bin/ffmpeg"), root.join("lib")];
        assert_eq!(program_files(&root.join("ffmpeg")), expected, "also through a link");
        assert_eq!(program_files(Path::new("/no/such/ffmpeg")), [PathBuf::from("/no/such/ffmpeg")]);
    }

    #[test]
    fn only_the_confined_thread_is_restricted() {
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
