//! Tells the tests whether the real media is here, so that those that need it show as ignored where it is not.

#[path = "../testkit/src/shared.rs"]
mod shared;

fn main() {
    shared::tell_cargo();
}
