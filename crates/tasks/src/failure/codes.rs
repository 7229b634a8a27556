//! MediaConvert's error codes that jobs end with here. This is the only place that has their numbers;
//! `docs/COMPATIBILITY.md` tells users what they mean.

use abanico_ffmpeg::ErrorKind as MediaErrorKind;
use abanico_plan::ErrorKind as PlanErrorKind;
use abanico_store::{ErrorKind as StoreErrorKind, WebErrorKind};

/// The input cannot be opened or is not a media file; a caption file or image cannot be read.
pub const NOT_READABLE: u32 = 1010;
/// An output needs video and the input has none.
pub const NO_VIDEO: u32 = 1020;
/// The input's codec or size is not supported.
pub const NOT_SUPPORTED: u32 = 1030;
/// The settings do not go with the input, or the service that the job was forwarded to refused it.
pub const SETTINGS: u32 = 1040;
/// A clipping is not inside its input.
pub const CLIPPING: u32 = 1060;
/// The input ends too early.
pub const TRUNCATED: u32 = 1076;
/// Access to the object or bucket is denied.
pub const DENIED: u32 = 1401;
/// The object or bucket does not exist.
pub const NOT_FOUND: u32 = 1404;
/// Anything else; the message says what.
pub const UNKNOWN: u32 = 1999;
/// The web server asks for credentials.
pub const WEB_UNAUTHENTICATED: u32 = 3401;
/// The web server refuses.
pub const WEB_REFUSED: u32 = 3403;
/// The web server does not have the file.
pub const WEB_NOT_FOUND: u32 = 3404;
/// The file cannot be fetched for another reason.
pub const WEB_NOT_FETCHED: u32 = 3408;
/// The web server failed.
pub const WEB_SERVER_FAILED: u32 = 3450;
/// The web server cannot be reached, or its certificate is not trusted.
pub const WEB_NOT_CONNECTED: u32 = 3451;
/// The policy, or the configuration of web inputs, disallows the input.
pub const DISALLOWED: u32 = 3457;
/// What the web server sent is not HTTP.
pub const WEB_UNKNOWN: u32 = 3999;

/// Returns the code of a failed probe.
pub fn of_probe(kind: MediaErrorKind) -> u32 {
    match kind {
        MediaErrorKind::NotMedia => NOT_READABLE,
        MediaErrorKind::NoVideo => NO_VIDEO,
        MediaErrorKind::Truncated => TRUNCATED,
        MediaErrorKind::Unsupported => NOT_SUPPORTED,
        MediaErrorKind::Tool
        | MediaErrorKind::Failed
        | MediaErrorKind::TimedOut
        | MediaErrorKind::Cancelled
        | MediaErrorKind::Io => UNKNOWN,
    }
}

/// Returns the code of a job that cannot be planned.
pub fn of_plan(kind: PlanErrorKind) -> u32 {
    match kind {
        PlanErrorKind::NoVideo => NO_VIDEO,
        PlanErrorKind::Settings => SETTINGS,
        PlanErrorKind::Clipping => CLIPPING,
        PlanErrorKind::Undecodable => NOT_SUPPORTED,
        _ => UNKNOWN,
    }
}

/// Returns the code of a file that could not be fetched or published.
pub fn of_store(kind: StoreErrorKind) -> u32 {
    match kind {
        StoreErrorKind::NotFound => NOT_FOUND,
        StoreErrorKind::Denied => DENIED,
        StoreErrorKind::Unsupported => NOT_READABLE,
        StoreErrorKind::Web(kind) => of_web(kind),
        _ => UNKNOWN,
    }
}

fn of_web(kind: WebErrorKind) -> u32 {
    match kind {
        WebErrorKind::Unauthenticated => WEB_UNAUTHENTICATED,
        WebErrorKind::Refused => WEB_REFUSED,
        WebErrorKind::Missing => WEB_NOT_FOUND,
        WebErrorKind::Busy | WebErrorKind::Interrupted | WebErrorKind::OverLimit | WebErrorKind::Unusable => {
            WEB_NOT_FETCHED
        }
        WebErrorKind::ServerFailed => WEB_SERVER_FAILED,
        WebErrorKind::NotConnected | WebErrorKind::Untrusted => WEB_NOT_CONNECTED,
        WebErrorKind::Disallowed => DISALLOWED,
        _ => WEB_UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn documentation_lists_these_codes() {
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let own = include_str!("codes.rs").lines().filter_map(|line| line.strip_prefix("pub const "));
        let own: Vec<u32> =
            own.filter_map(|line| number(line.rsplit_once("= ")?.1.trim_end_matches(';'))).collect();
        let page = include_str!("../../../../docs/COMPATIBILITY.md");
        let section = page.split("## Codes of jobs in ERROR").nth(1).unwrap().split("\n## ").next().unwrap();
        let told: Vec<u32> =
            section.lines().filter_map(|line| number(line.strip_prefix("| ")?.split('|').next()?)).collect();
        assert!(own.len() > 10 && own == told, "{own:?} {told:?}");
    }
}
