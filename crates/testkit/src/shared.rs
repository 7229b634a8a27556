//! Finds the folder of real media. Crates whose tests need the folder include this file in their build scripts. Where
//! the folder is missing, such tests are then shown as ignored.

use std::path::{Path, PathBuf};

/// Returns the folder of real test media (with `bench`, `odd` and `broken`), if it exists: `media` inside the
/// folder that `ABANICO_SHARED` names. Without that variable, looks for a folder `shared` beside the checkout
/// or beside one of its parent folders.
pub fn shared_media() -> Option<PathBuf> {
    let named = std::env::var_os("ABANICO_SHARED").map(PathBuf::from);
    find(named, Path::new(env!("CARGO_MANIFEST_DIR")))
}

/// Tells Cargo, from a build script of another crate, whether the folder is there (`cfg(shared_media)`).
#[allow(dead_code, reason = "only build scripts call it")]
#[allow(clippy::print_stdout, reason = "build scripts talk to Cargo so")]
pub fn tell_cargo() {
    println!("cargo::rustc-check-cfg=cfg(shared_media)");
    println!("cargo::rerun-if-env-changed=ABANICO_SHARED");
    println!("cargo::rerun-if-changed=../testkit/src/shared.rs");
    if let Some(media) = shared_media() {
        println!("cargo::rustc-cfg=shared_media");
        // Cargo notices if the folder disappears, and if the variable changes. It does not notice a new folder:
        // watching a missing path would rebuild the crate every time.
        println!("cargo::rerun-if-changed={}", media.join("odd").display());
    }
}

fn find(named: Option<PathBuf>, checkout: &Path) -> Option<PathBuf> {
    let beside = checkout.ancestors().skip(1).map(|folder| folder.join("shared"));
    let candidates = match named {
        Some(named) => vec![named],
        None => beside.collect(),
    };
    candidates.into_iter().map(|folder| folder.join("media")).find(|media| media.join("odd").is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_shared_folder_and_prefers_the_named_one() {
        let root = tempfile::tempdir().unwrap();
        let media = |name: &str| root.path().join(name).join("media");
        for name in ["shared", "other"] {
            std::fs::create_dir_all(media(name).join("odd")).unwrap();
        }
        let checkout = root.path().join("checkout/crates/testkit");
        assert_eq!(find(None, &checkout), Some(media("shared")));
        assert_eq!(find(Some(root.path().join("other")), &checkout), Some(media("other")));
        assert_eq!(find(Some(root.path().join("absent")), &checkout), None, "a wrong name has no fallback");
    }
}
