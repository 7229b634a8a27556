//! `abanico __sandbox`: enters the sandbox and replaces this process with another program, which stays confined to it.

use abanico_ffmpeg::sandbox::enter_and_exec;

use crate::arguments::Sandbox;
use crate::failure::Hinted;

/// Exit status if the sandbox cannot be entered. ffmpeg never exits with it.
const CANNOT_ENTER: u8 = 126;

/// Enters the sandbox and becomes the program. Returns only if that fails, with the error.
pub fn enter(sandbox: &Sandbox) -> anyhow::Error {
    let Some((program, args)) = sandbox.command.split_first() else {
        return Hinted::new(
            CANNOT_ENTER,
            "no program was given",
            "abanico itself uses this command; it is not meant to be run by hand",
        )
        .into();
    };
    let error = enter_and_exec(&sandbox.policy, program, args);
    let hint = "run `abanico doctor`; `sandbox = \"off\"` under [engine] turns the sandbox off";
    Hinted::new(CANNOT_ENTER, error.to_string(), hint).into()
}
