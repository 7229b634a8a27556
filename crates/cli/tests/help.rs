//! Runs the program as a user who looks for help: each command explains itself, and a wrong word is refused.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::process::{Command, Output};

fn abanico(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_abanico")).args(words).output().unwrap()
}

/// Returns the commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = listed.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_explains_itself() {
    let help = String::from_utf8(abanico(&["--help"]).stdout).unwrap();
    let found = commands(&help);
    assert!(found.iter().any(|name| name == "transcode") && found.len() >= 9, "{found:?}");
    for name in &found {
        let asked = abanico(&[name, "--help"]);
        let text = String::from_utf8(asked.stdout).unwrap();
        assert!(asked.status.success() && text.contains("Usage: abanico"), "{name}: {text}");
        let about = text.lines().next().unwrap_or_default();
        assert!(about.len() > 20 && !about.starts_with("Usage"), "{name} does not say what it does");
    }
}

#[test]
fn unknown_command_is_wrong_usage() {
    let done = abanico(&["transcoed"]);
    assert_eq!(done.status.code(), Some(2));
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(told.contains("transcoed") && told.contains("transcode"), "{told}");
    assert!(done.stdout.is_empty());
}
