//! Checks the names of all outputs of `abanico transcode` before the first encode: none may replace an input, another
//! input's output or, without `--force`, an existing file. It creates and removes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use abanico_plan::Plan;

use super::places::{Input, OUTPUT, Places};
use crate::arguments::Transcode;
use crate::commands::local::{Toolbox, cores};
use crate::commands::plan;
use crate::failure::{Hinted, WRONG_USAGE};

/// Checks the names of all outputs. Inputs that cannot be planned have none: their jobs report why.
///
/// # Errors
/// Fails if an output must not have its name. The message says what it would replace.
pub(super) async fn check(places: &Places, arguments: &Transcode, toolbox: &Toolbox) -> anyhow::Result<()> {
    let stems: Vec<String> = places.inputs.iter().map(|input| stem(&input.url)).collect();
    let mut makers: BTreeMap<String, usize> = BTreeMap::new();
    for (index, input) in places.inputs.iter().enumerate() {
        let met = meets(&stems, index);
        let existing = places.out.as_deref().is_some_and(|out| has_names_like(out, &stems[index]));
        // Planning reads the whole file, so it is done only if an output may meet something.
        if met.is_none() && !existing {
            continue;
        }
        // The names of an object's outputs are known only once it is there. Inputs with one stem meet in any case.
        let twin = stems[..index].iter().position(|other| *other == stems[index]);
        if let Some(twin) = twin.filter(|twin| input.file.is_none() || places.inputs[*twin].file.is_none()) {
            return Err(collision(
                arguments,
                twin,
                index,
                &places.readable(&format!("{}{}…", places.destination, stems[index])),
            ));
        }
        let Some(file) = &input.file else { continue };
        let planned =
            plan::plan(toolbox, file, &arguments.choice, &input.url, &places.destination, cores()).await;
        let Ok((_, Plan { outputs, .. })) = planned else { continue };
        for output in outputs {
            if let Some(other) = makers.insert(output.url.clone(), index).filter(|other| *other != index) {
                return Err(collision(arguments, other, index, &places.readable(&output.url)));
            }
            let Some(out) = &places.out else { continue };
            refuse_existing(
                &out.join(output.url.trim_start_matches(OUTPUT)),
                &places.inputs,
                arguments.force,
            )?;
        }
    }
    Ok(())
}

fn refuse_existing(path: &Path, inputs: &[Input], force: bool) -> anyhow::Result<()> {
    let Ok(existing) = path.canonicalize() else { return Ok(()) };
    if inputs.iter().any(|input| input.file.as_ref() == Some(&existing)) {
        let message = format!("an output would replace the input `{}`", path.display());
        return Err(Hinted::new(WRONG_USAGE, message, "choose another --out").into());
    }
    if force {
        return Ok(());
    }
    let message = format!("`{}` already exists", path.display());
    Err(Hinted::new(WRONG_USAGE, message, "use --force to replace it, or choose another --out").into())
}

fn collision(arguments: &Transcode, first: usize, second: usize, name: &str) -> anyhow::Error {
    let (first, second) = (&arguments.inputs[first], &arguments.inputs[second]);
    let message = format!("`{first}` and `{second}` would both write `{name}`");
    Hinted::new(WRONG_USAGE, message, "transcode them one by one, each with its own --out").into()
}

/// Returns another input whose outputs may have names of this input's outputs: all names begin with the input's stem.
fn meets(stems: &[String], index: usize) -> Option<usize> {
    let stem = &stems[index];
    let may_meet = |other: &String| other.starts_with(stem.as_str()) || stem.starts_with(other.as_str());
    stems.iter().enumerate().find(|(other, name)| *other != index && may_meet(name)).map(|(other, _)| other)
}

/// Returns the last part of a URL without its last extension.
fn stem(url: &str) -> String {
    let name = PathBuf::from(url.rsplit('/').next().unwrap_or(url));
    name.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether the folder has a file whose name starts like the outputs of an input with this stem.
fn has_names_like(folder: &Path, stem: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_may_meet_where_one_stem_begins_with_the_other() {
        let stems = |urls: &[&str]| urls.iter().map(|url| stem(url)).collect::<Vec<_>>();
        let apart = stems(&["s3://input-0/film.mp4", "s3://input-1/talk.mp4"]);
        assert_eq!((meets(&apart, 0), meets(&apart, 1)), (None, None));
        let alike = stems(&["s3://input-0/film.mp4", "s3://input-1/x.mp4", "s3://b/film_480p.mkv"]);
        assert_eq!((meets(&alike, 0), meets(&alike, 1), meets(&alike, 2)), (Some(2), None, Some(0)));
    }

    #[test]
    fn no_output_replaces_an_input() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("a.mp4");
        std::fs::write(&file, "film").unwrap();
        let inputs = [Input { url: String::new(), file: Some(file.clone()) }];
        for force in [true, false] {
            let error = refuse_existing(&file, &inputs, force).unwrap_err().to_string();
            assert!(error.contains("would replace the input"), "{error}");
            assert!(refuse_existing(&folder.path().join("b.mp4"), &inputs, force).is_ok());
        }
        assert!(refuse_existing(&file, &[], true).is_ok());
        assert!(refuse_existing(&file, &[], false).unwrap_err().to_string().contains("already exists"));
    }
}
