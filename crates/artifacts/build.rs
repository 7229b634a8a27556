//! Tells the tests whether the real media is here, so that those that need it show as ignored where it is not.

#[path = "../testkit/src/shared.rs"]
mod shared;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(shared_media)");
    println!("cargo::rerun-if-env-changed=ABANICO_SHARED");
    println!("cargo::rerun-if-changed=../testkit/src/shared.rs");
    if let Some(media) = shared::shared_media() {
        println!("cargo::rustc-cfg=shared_media");
        // Cargo notices if the folder disappears, and if the variable changes. It does not notice a new folder:
        // watching a missing path would rebuild the crate every time.
        println!("cargo::rerun-if-changed={}", media.join("odd").display());
    }
}
