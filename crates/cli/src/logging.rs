//! The log: in events of all crates, out lines on stderr, for people or as JSON. Never a secret: no crate logs one.

use tracing_subscriber::EnvFilter;

use crate::arguments::LogFormat;

/// Starts logging; `RUST_LOG` narrows or widens it. A server tells what happens; a command that shows progress itself
/// (`is_quiet`) logs warnings only.
pub fn start(format: LogFormat, is_quiet: bool) {
    let told =
        "warn,abanico=info,abanico_server=info,abanico_engine=info,abanico_s3=info,abanico_lambda=info";
    let default = if is_quiet { "warn" } else { told };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => {
            let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            builder.with_ansi(is_terminal).init();
        }
    }
}
