//! Writes the generated files of crate `model`, or with `--check` says whether that would change one.
//!
//! In: `codegen/mediaconvert.json`. Out: files below `crates/model/src`, messages on stderr. Never a network call.

use anyhow::{Context, bail};

fn main() -> anyhow::Result<()> {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => bail!("unknown argument `{other}`: give none to write, or `--check`"),
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
            bail!("`{path}` differs from what the extract says: run `cargo run -p abanico-codegen`");
        }
        std::fs::write(&target, text).with_context(|| format!("cannot write `{path}`"))?;
    }
    Ok(())
}
