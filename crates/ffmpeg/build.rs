//! Tells the tests whether the real media is here, so that those that need it show as ignored where it is not.

#[path = "../testkit/src/shared.rs"]
mod shared;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(shared_media)");
    println!("cargo::rerun-if-env-changed=ABANICO_SHARED");
    println!("cargo::rerun-if-changed=../testkit/src/shared.rs");
    if let Some(media) = shared::shared_media() {
        println!("cargo::rustc-cfg=shared_media");
        // A folder that goes away is noticed. One that comes is not: to watch a path that is not there would build the
        // crate anew each time. Setting the variable is noticed.
        println!("cargo::rerun-if-changed={}", media.join("odd").display());
    }
}
