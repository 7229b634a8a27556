//! Writes the generated files of the crates `model` and `s3`. With `--check`, fails if a file would change, and writes nothing.
//!
//! Reads `codegen/mediaconvert.json` and `codegen/s3.json`, writes files below `crates` and never uses the network.

use anyhow::{Context, bail};

fn main() -> anyhow::Result<()> {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => bail!("unknown argument `{other}`: pass `--check`, or nothing to write the files"),
    };
    let workspace = abanico_codegen::workspace();
    let read = |path: &str| {
        std::fs::read_to_string(workspace.join(path)).with_context(|| format!("cannot read `{path}`"))
    };
    let mut files = abanico_codegen::generate(&read("codegen/mediaconvert.json")?, &workspace)?;
    files.push(abanico_codegen::generate_s3(&read("codegen/s3.json")?, &workspace)?);
    for (path, text) in files {
        let target = workspace.join(path);
        let stands = std::fs::read_to_string(&target).unwrap_or_default();
        if stands == text {
            continue;
        }
        if check {
            bail!("`{path}` is out of date: run `cargo run -p abanico-codegen`");
        }
        std::fs::write(&target, text).with_context(|| format!("cannot write `{path}`"))?;
    }
    Ok(())
}
