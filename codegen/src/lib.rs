//! Generates Rust types and tables from the extracts of AWS's MediaConvert and S3 models.
//!
//! Turns `mediaconvert.json` into `generated.rs` and `generated_tables.rs` of the crate `model`, and `s3.json` into the
//! table of operations of the crate `s3`. Both follow the extracts exactly: there are no hand-written exceptions for
//! single members.

pub mod extract;
mod names;
mod s3;
mod tables;
mod types;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// A generated file: its path relative to the workspace, and its text.
pub type GeneratedFile = (&'static str, String);

/// Generates all files from the text of the extract and formats them with rustfmt and the workspace's configuration.
///
/// # Errors
/// Fails if the extract cannot be parsed, or if rustfmt is missing or rejects the generated text.
pub fn generate(extract: &str, workspace: &Path) -> anyhow::Result<Vec<GeneratedFile>> {
    let model: extract::Extract =
        serde_json::from_str(extract).context("`mediaconvert.json` is not an extract of the model")?;
    Ok(vec![
        ("crates/model/src/generated.rs", formatted(&types::types(&model), workspace)?),
        ("crates/model/src/generated_tables.rs", formatted(&tables::tables(&model), workspace)?),
    ])
}

/// Generates the table of S3's operations from the text of its extract, as [`generate`] does.
///
/// # Errors
/// Fails if the extract cannot be parsed, or if rustfmt is missing or rejects the generated text.
pub fn generate_s3(extract: &str, workspace: &Path) -> anyhow::Result<GeneratedFile> {
    Ok(("crates/s3/src/edge/sieve/generated.rs", formatted(&s3::table(extract)?, workspace)?))
}

/// Returns the workspace's folder, which is the parent of this crate's folder.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

fn formatted(text: &str, workspace: &Path) -> anyhow::Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(workspace)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context("cannot start rustfmt: run `rustup component add rustfmt`")?;
    let mut stdin = child.stdin.take().context("rustfmt has no standard input")?;
    let text = text.to_owned();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, text.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| anyhow::anyhow!("writing to rustfmt panicked"))??;
    ensure!(output.status.success(), "rustfmt rejects the generated text");
    Ok(String::from_utf8(output.stdout)?)
}
