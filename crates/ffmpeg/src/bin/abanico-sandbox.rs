//! Runs a program in the sandbox: `POLICY_JSON -- PROGRAM ARGS...`. For tests and for trying it by hand.
//!
//! It is not shipped. In the shipped program, a hidden command of `abanico` does the same.

use std::ffi::OsString;
use std::process::ExitCode;

use abanico_ffmpeg::sandbox::enter_and_exec;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let message = match args.as_slice() {
        [policy, dashes, program, args @ ..] if dashes == "--" => {
            enter_and_exec(&policy.to_string_lossy(), program, args).to_string()
        }
        _ => "usage: abanico-sandbox POLICY_JSON -- PROGRAM ARGS...".to_owned(),
    };
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{message}\n").as_bytes());
    ExitCode::from(126)
}
