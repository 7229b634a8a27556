//! Sets up the log on stderr, as lines for people or as JSON. No crate logs a secret.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterFn, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::arguments::LogFormat;
use crate::output;
use crate::own_names::LogLines;

/// A server's log levels if `RUST_LOG` is not set.
const OF_A_SERVER: &str = "warn,abanico=info,abanico_server=info,abanico_engine=info,abanico_tasks=info,\
                           abanico_artifacts=info,abanico_store=info,abanico_s3=info,abanico_trigger=info,\
                           abanico_fleet=info";

/// Name that all crates of this workspace begin with.
const OURS: &str = "abanico";
/// Logs requests with their addresses and signatures. Its errors are logged by `abanico_s3` instead.
const OF_S3: &str = "s3s";

/// Whether a line may be logged, whatever `RUST_LOG` says. Other crates' lines below `info` may have whole requests in
/// them: presigned URLs, `Authorization` headers, cookies.
fn is_harmless(line: &Metadata<'_>) -> bool {
    is_harmless_line(line.target(), line.level())
}

fn is_harmless_line(target: &str, level: &Level) -> bool {
    let name = target.split("::").next().unwrap_or_default();
    let is_of = |crate_name: &str| {
        name == crate_name || name.strip_prefix(crate_name).is_some_and(|rest| rest.starts_with('_'))
    };
    is_of(OURS) || (*level <= Level::INFO && !is_of(OF_S3))
}

/// Starts logging. `RUST_LOG` sets levels by crate, such as `warn,abanico_engine=debug`. Without it, a server also logs
/// information, and a command that shows its progress itself (`is_quiet`) logs only warnings and errors.
pub fn start(format: LogFormat, is_quiet: bool) {
    if format == LogFormat::Json {
        output::write_notes_as_json();
    }
    let default = if is_quiet { "warn" } else { OF_A_SERVER };
    let wanted = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let targets = wanted.as_deref().unwrap_or(default).parse().unwrap_or_else(|error| {
        output::note(format!(
            "warning: RUST_LOG is ignored: give levels such as `info,abanico_engine=debug`: {error}"
        ));
        targets(default)
    });
    let layer = fmt::layer().with_writer(move || LogLines(format)).with_target(false);
    let registry = tracing_subscriber::registry().with(targets).with(FilterFn::new(is_harmless));
    match format {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).init(),
        LogFormat::Text => {
            let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry.with(layer.with_ansi(is_terminal)).init();
        }
    }
}

/// Parses levels that are written in this file, which are known to be valid.
fn targets(text: &str) -> Targets {
    text.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_may_hold_requests_are_never_logged() {
        for target in ["s3s", "s3s::ops", "s3s::ops::signature", "s3s_aws"] {
            assert!(!is_harmless_line(target, &Level::ERROR), "{target}");
        }
        for target in [
            "hyper",
            "hyper_util::client",
            "h2",
            "reqwest",
            "object_store::client",
            "rustls",
            "log",
            "abanicox",
        ] {
            assert!(
                !is_harmless_line(target, &Level::DEBUG) && !is_harmless_line(target, &Level::TRACE),
                "{target}"
            );
            assert!(is_harmless_line(target, &Level::INFO), "{target}");
        }
        for target in ["abanico", "abanico_s3::door", "abanico::commands"] {
            assert!(is_harmless_line(target, &Level::TRACE), "{target}");
        }
    }

    #[test]
    fn server_logs_its_own_information_and_others_warnings() {
        let targets = targets(OF_A_SERVER);
        assert!(targets.would_enable("abanico_engine::driver", &Level::INFO));
        assert!(!targets.would_enable("abanico_engine::driver", &Level::DEBUG));
        assert!(targets.would_enable("hyper", &Level::WARN) && !targets.would_enable("hyper", &Level::INFO));
    }
}
