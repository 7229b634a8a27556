//! Reads the settings of the engine and of retention from environment variables, for containers: `ABANICO_ENGINE_CORES=4`
//! is `cores = 4` under `[engine]`. A variable wins over the file. It reads no other settings.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{EngineConfig, RetentionConfig};
use crate::failure::{Hinted, WRONG_USAGE};

/// What the names of the engine's variables begin with. The key in capital letters follows.
const ENGINE_PREFIX: &str = "ABANICO_ENGINE_";
/// What the names of retention's variables begin with.
const RETENTION_PREFIX: &str = "ABANICO_RETENTION_";

/// Returns the engine's settings from a configuration file and the environment.
///
/// # Errors
/// Fails if a variable names no key, or has a value that its key cannot have. The message names the variable.
pub(super) fn engine(file: &Table, variables: &[(String, String)]) -> anyhow::Result<EngineConfig> {
    let table = match file.get("engine") {
        Some(Value::String(kind)) => Table::from_iter([("kind".to_owned(), Value::String(kind.clone()))]),
        other => as_table(other),
    };
    merged(table, "engine", ENGINE_PREFIX, variables)
}

/// Returns the settings of retention from a configuration file and the environment.
///
/// # Errors
/// As [`engine`].
pub(super) fn retention(file: &Table, variables: &[(String, String)]) -> anyhow::Result<RetentionConfig> {
    merged(as_table(file.get("retention")), "retention", RETENTION_PREFIX, variables)
}

fn as_table(value: Option<&Value>) -> Table {
    value.and_then(Value::as_table).cloned().unwrap_or_default()
}

fn merged<T: DeserializeOwned>(
    mut table: Table,
    name: &str,
    prefix: &str,
    variables: &[(String, String)],
) -> anyhow::Result<T> {
    for (variable, text) in variables {
        let Some(key) = variable.strip_prefix(prefix).map(str::to_lowercase).filter(|_| !text.is_empty())
        else {
            continue;
        };
        table.insert(key, value(text));
        // Each variable by itself, so that the message can name it.
        T::deserialize(table.clone()).map_err(|error| {
            let message = format!("the variable {variable} is wrong: {}", error.message());
            let hint = format!(
                "docs/CONFIGURATION.md lists the keys of [{name}]; the variable is the key in capital letters"
            );
            Hinted::new(WRONG_USAGE, message, hint)
        })?;
    }
    Ok(T::deserialize(table)?)
}

/// Returns a text as the number or truth value that it is, or else as it is.
fn value(text: &str) -> Value {
    let text = text.trim();
    let number = text.parse().ok().map(Value::Integer);
    number.or_else(|| text.parse().ok().map(Value::Boolean)).unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Chunks;
    use crate::config::{EngineKind, SandboxMode};

    fn read(file: &str, variables: &[(&str, &str)]) -> anyhow::Result<EngineConfig> {
        engine(&file.parse().unwrap(), &owned(variables))
    }

    fn owned(variables: &[(&str, &str)]) -> Vec<(String, String)> {
        variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn retention_has_variables_of_its_own() {
        let file = "[retention]\njob_days = 5\nupload_days = 2".parse().unwrap();
        let kept = retention(
            &file,
            &owned(&[("ABANICO_RETENTION_JOB_DAYS", "9"), ("ABANICO_RETENTION_UPLOAD_DAYS", "")]),
        )
        .unwrap();
        assert_eq!((kept.job_days, kept.upload_days), (9, 2));
        let wrong = retention(&file, &owned(&[("ABANICO_RETENTION_JOBS", "9")])).unwrap_err().to_string();
        assert!(wrong.contains("ABANICO_RETENTION_JOBS"), "{wrong}");
    }

    #[test]
    fn variable_wins_over_the_file() {
        let variables = [
            ("ABANICO_ENGINE_CORES", " 3 "),
            ("ABANICO_ENGINE_CHUNKS", "off"),
            ("ABANICO_ENGINE_SANDBOX", "false"),
            ("ABANICO_ENGINE_RESULTS_GIB", ""),
            ("ABANICO_LISTEN", "x"),
        ];
        let config = read("[engine]\ncores = 1\nresults_gib = 7", &variables).unwrap();
        assert_eq!((config.cores, config.chunks, config.sandbox), (Some(3), Chunks::Off, SandboxMode::Off));
        assert_eq!(config.results_gib, 7, "an empty variable is as good as none");
        let named = read("engine = \"mediaconvert\"", &[("ABANICO_ENGINE_CORES", "1")]).unwrap();
        assert_eq!((named.kind, named.cores), (EngineKind::MediaConvert, Some(1)));
        assert_eq!(read("", &[]).unwrap().cores, None);
    }

    #[test]
    fn wrong_variable_is_named() {
        for (name, text) in [
            ("ABANICO_ENGINE_KORES", "1"),
            ("ABANICO_ENGINE_CORES", "many"),
            ("ABANICO_ENGINE_CORES", "-1"),
            ("ABANICO_ENGINE_CHUNKS", "true"),
            ("ABANICO_ENGINE_KIND", "cloud"),
        ] {
            let error =
                read("", &[("ABANICO_ENGINE_SANDBOX", "true"), (name, text)]).unwrap_err().to_string();
            assert!(error.contains(name), "{name}={text}: {error}");
        }
    }
}
