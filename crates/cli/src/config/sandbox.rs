//! The key `sandbox`: whether ffmpeg runs in the sandbox, and whether it may run in a weaker one.

use serde::Deserialize;
use serde::de::Error;

/// How ffmpeg is sandboxed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum SandboxMode {
    /// Starts only if the kernel has Landlock and seccomp.
    Required,
    /// Uses what the kernel has, and warns about what is missing.
    #[default]
    BestEffort,
    /// No sandbox.
    Off,
}

/// Deserializes a mode from its name. `true` and `false` are older names of `"best-effort"` and `"off"`.
impl<'de> Deserialize<'de> for SandboxMode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        match (value.as_str(), value.as_bool()) {
            (Some("required"), _) => Ok(Self::Required),
            (Some("best-effort"), _) | (_, Some(true)) => Ok(Self::BestEffort),
            (Some("off"), _) | (_, Some(false)) => Ok(Self::Off),
            _ => Err(D::Error::custom(format!(
                "`{value}` is no mode of the sandbox: use \"required\", \"best-effort\" or \"off\""
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_have_names_and_older_names() {
        let mode = |text: &str| text.parse::<toml::Value>().unwrap().try_into::<SandboxMode>();
        assert_eq!(mode("\"required\"").unwrap(), SandboxMode::Required);
        assert_eq!(mode("\"best-effort\"").unwrap(), SandboxMode::BestEffort);
        assert_eq!(mode("true").unwrap(), SandboxMode::default());
        assert_eq!((mode("\"off\"").unwrap(), mode("false").unwrap()), (SandboxMode::Off, SandboxMode::Off));
        assert!(mode("\"strict\"").unwrap_err().to_string().contains("best-effort"));
        assert!(mode("1").is_err());
    }
}
