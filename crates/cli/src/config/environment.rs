//! Reads the engine's settings from environment variables, for containers: `ABANICO_ENGINE_CORES=4` is `cores = 4` under
//! `[engine]`. A variable wins over the file. It reads no other settings.

use serde::Deserialize;
use toml::{Table, Value};

use super::EngineConfig;
use crate::failure::{Hinted, WRONG_USAGE};

/// What the names of the variables begin with. The key in capital letters follows.
const PREFIX: &str = "ABANICO_ENGINE_";

/// Returns the engine's settings from a configuration file and the environment.
///
/// # Errors
/// Fails if a variable names no key, or has a value that its key cannot have. The message names the variable.
pub(super) fn engine(
    file: &Table,
    variables: impl Iterator<Item = (String, String)>,
) -> anyhow::Result<EngineConfig> {
    let mut table = match file.get("engine") {
        Some(Value::String(kind)) => Table::from_iter([("kind".to_owned(), Value::String(kind.clone()))]),
        Some(Value::Table(table)) => table.clone(),
        _ => Table::new(),
    };
    for (name, text) in variables {
        let Some(key) = name.strip_prefix(PREFIX).map(str::to_lowercase).filter(|_| !text.is_empty()) else {
            continue;
        };
        table.insert(key, value(&text));
        // Each variable by itself, so that the message can name it.
        EngineConfig::deserialize(table.clone()).map_err(|error| {
            let message = format!("the variable {name} is wrong: {}", error.message());
            Hinted::new(WRONG_USAGE, message, "docs/CONFIGURATION.md lists the keys of [engine]; the variable is the key in capital letters")
        })?;
    }
    Ok(EngineConfig::deserialize(table)?)
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
        let variables = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        engine(&file.parse().unwrap(), variables)
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
