//! Real media that lies beside a checkout: in the environment, out a folder or nothing.
//! Never an error: who has not got the folder skips the test with a message.

use std::path::{Path, PathBuf};

/// The folder of real test media (with `bench`, `odd` and `broken`), if it is there: `media` in the folder that
/// `ABANICO_SHARED` names, else in a folder `shared` beside the checkout or beside one of the folders above it.
pub fn shared_media() -> Option<PathBuf> {
    let named = std::env::var_os("ABANICO_SHARED").map(PathBuf::from);
    find(named, Path::new(env!("CARGO_MANIFEST_DIR")))
}

/// What a test prints when it cannot run: `test` is its name.
pub fn skip_message(test: &str) -> String {
    format!("skipped `{test}`: no shared media, name their folder in ABANICO_SHARED")
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
    fn is_the_folder_beside_the_checkout_found_and_a_named_one_preferred() {
        let root = tempfile::tempdir().unwrap();
        let media = |name: &str| root.path().join(name).join("media");
        for name in ["shared", "other"] {
            std::fs::create_dir_all(media(name).join("odd")).unwrap();
        }
        let checkout = root.path().join("checkout/crates/testkit");
        assert_eq!(find(None, &checkout), Some(media("shared")));
        assert_eq!(find(Some(root.path().join("other")), &checkout), Some(media("other")));
        assert_eq!(find(Some(root.path().join("absent")), &checkout), None, "a wrong name is not replaced");
    }

    #[test]
    fn does_the_message_name_the_test_and_the_variable() {
        let message = skip_message("odd_files");
        assert!(message.contains("`odd_files`") && message.contains("ABANICO_SHARED"));
    }
}
