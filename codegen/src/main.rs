//! Writes the generated files of the crate `model`. With `--check`, fails if a file would change, and writes nothing.
//!
//! Reads `codegen/mediaconvert.json`, writes files below `crates/model/src` and never uses the network.

use anyhow::{Context, bail};

fn main() -> anyhow::Result<()> {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => bail!("unknown argument `{other}`: pass `--check`, or nothing to write the files"),
    };
    let workspace = abanico_codegen::workspace();
    let extract = std::fs::read_to_string(workspace.join("codegen/mediaconvert.json"))
        .context("cannot read the extract")?;
    for (path, text) in abanico_codegen::generate(&extract, &workspace)? {
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
