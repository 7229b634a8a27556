//! `abanico __sandbox`: in a policy and a command, out that command in this process's place, locked in.
//! Never returns when it succeeds.

use abanico_ffmpeg::sandbox::enter_and_exec;

use crate::arguments::Sandbox;
use crate::failure::Hinted;

/// Status of a sandbox that could not be entered; ffmpeg never ends with it.
const CANNOT_ENTER: u8 = 126;

/// Enters the sandbox and becomes the program; gives the error when that fails.
pub fn enter(sandbox: &Sandbox) -> anyhow::Error {
    let Some((program, args)) = sandbox.command.split_first() else {
        return Hinted::new(CANNOT_ENTER, "no program is named", "this command is not meant for people")
            .into();
    };
    let error = enter_and_exec(&sandbox.policy, program, args);
    let hint = "run `abanico doctor`; `sandbox = false` under [engine] turns the sandbox off";
    Hinted::new(CANNOT_ENTER, error.to_string(), hint).into()
}
