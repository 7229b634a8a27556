//! Asks the installed ffmpeg for its version, encoders and filters.
//!
//! A listed encoder need not work on this machine's hardware.

use std::collections::BTreeSet;
use std::time::Duration;

use abanico_plan::Capabilities;
use abanico_process::{Kind, OutputError, output};

use crate::tools::REMEDY;
use crate::{Error, ErrorKind, Tools};

/// Oldest supported version, major and minor.
const OLDEST: (u32, u32) = (5, 1);
/// Newest supported major version.
const NEWEST_MAJOR: u32 = 9;
/// Time limit of one query.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks ffmpeg for its version, encoders and filters.
///
/// # Errors
/// Returns [`ErrorKind::Tool`] if it cannot be started, or is older than 5.1 or newer than 9. Returns
/// [`ErrorKind::TimedOut`] if it does not answer.
pub async fn capabilities(tools: &Tools) -> Result<Capabilities, Error> {
    // Each start of ffmpeg takes a tenth of a second, so both queries run at once. One also gives the
    // version.
    let (encoders, filters) =
        tokio::try_join!(ask(tools, "-encoders", LIMIT), ask(tools, "-filters", LIMIT))?;
    let version = parse_version(&encoders.banner);
    let version = version.ok_or_else(|| {
        Error::new(
            ErrorKind::Tool,
            format!("`{}` does not report its version; {REMEDY}", tools.ffmpeg().display()),
        )
    })?;
    check_version(&version)?;
    let encoders = parse_names(&encoders.list, |flags| flags.len() == 6);
    let filters = parse_names(&filters.list, |flags| (2..=3).contains(&flags.len()));
    Ok(Capabilities { version, encoders, filters })
}

/// ffmpeg's answer to a query.
struct Answer {
    /// The banner, which has the version.
    banner: String,
    /// The list that was asked for.
    list: String,
}

async fn ask(tools: &Tools, question: &str, limit: Duration) -> Result<Answer, Error> {
    let path = tools.ffmpeg().display();
    let mut command = tools.query_command();
    command.arg(question);
    let answer = output(command, Kind::Tool, limit).await.map_err(|error| match error {
        OutputError::TimedOut => {
            let message = format!("`{path} {question}` did not answer in {} s", limit.as_secs());
            Error::new(ErrorKind::TimedOut, message)
        }
        OutputError::TooLong => {
            Error::new(ErrorKind::Tool, format!("`{path} {question}` answers without end; {REMEDY}"))
        }
        OutputError::Failed(_, cause) => {
            Error::new(ErrorKind::Tool, format!("cannot start `{path}`: {cause}; {REMEDY}"))
        }
    })?;
    if !answer.exit.is_success() {
        return Err(Error::new(ErrorKind::Tool, format!("`{path} {question}` ended with {}", answer.exit)));
    }
    Ok(Answer { banner: answer.stderr, list: String::from_utf8_lossy(&answer.stdout).into_owned() })
}

/// Returns the third word of `ffmpeg version X Copyright ...`.
fn parse_version(text: &str) -> Option<String> {
    text.lines().next()?.strip_prefix("ffmpeg version ")?.split(' ').next().map(str::to_owned)
}

/// Refuses versions outside the supported range. A build without a number (`N-1234-gabc`) counts as recent.
fn check_version(version: &str) -> Result<(), Error> {
    let digits = version.trim_start_matches('n');
    let mut numbers = digits.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().ok());
    let Some(Some(major)) = numbers.next() else { return Ok(()) };
    let minor = numbers.next().flatten().unwrap_or(0);
    if (major, minor) < OLDEST || major > NEWEST_MAJOR {
        let message = format!("ffmpeg `{version}` is not between 5.1 and 9; {REMEDY}");
        return Err(Error::new(ErrorKind::Tool, message));
    }
    Ok(())
}

/// Returns the second word of each line whose first word consists of flags, without the legend.
fn parse_names(text: &str, are_flags: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let is_flag = |c: char| c.is_ascii_uppercase() || c == '.' || c == '|';
    let names = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (flags, name) = (words.next()?, words.next()?);
        (are_flags(flags) && flags.chars().all(is_flag) && name != "=").then(|| name.to_owned())
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_from_the_first_line() {
        let text =
            "ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026 the FFmpeg developers\nbuilt with gcc";
        assert_eq!(parse_version(text).as_deref(), Some("5.1.9-0+deb12u1"));
        assert_eq!(parse_version("bash: no such thing"), None);
    }

    #[test]
    fn unsupported_versions_are_refused_with_a_remedy() {
        for fine in
            ["5.1", "5.1.9-0+deb12u1", "n7.1.1", "9.0.2", "n9.9", "N-118000-gabcdef", "git-2026-01-01"]
        {
            assert!(check_version(fine).is_ok(), "{fine}");
        }
        for wrong in ["4.4.2", "5.0.1", "n3.4", "10.0"] {
            let error = check_version(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tool);
            assert!(error.to_string().contains("apt-get install ffmpeg"), "{error}");
        }
    }

    #[test]
    fn legend_lines_are_not_names() {
        let encoders = "Encoders:\n V..... = Video\n A..... = Audio\n ------\n V....D libx264    H.264 (codec h264)\n \
                        A....D aac   AAC\n";
        let names = parse_names(encoders, |flags| flags.len() == 6);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["aac", "libx264"]);
        let filters = "Filters:\n  T.. = Timeline support\n  | = Source or sink filter\n T.C acue  A->A  Delay\n \
                       .. scale  V->V  new list\n";
        let names = parse_names(filters, |flags| (2..=3).contains(&flags.len()));
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["acue", "scale"]);
    }

    #[tokio::test]
    async fn installed_ffmpeg_answers() {
        let found = capabilities(&Tools::find(None, None).unwrap()).await.unwrap();
        assert!(found.encoders.contains("aac") && found.encoders.len() > 20, "{}", found.encoders.len());
        assert!(
            found.filters.contains("scale") && found.filters.contains("yadif") && found.filters.len() > 100
        );
    }

    #[tokio::test]
    async fn query_that_hangs_is_ended() {
        let tools = Tools::at("/usr/bin/yes".into(), "/no/ffprobe".into());
        // It prints its argument again and again.
        let error = ask(&tools, "x", Duration::from_secs(600)).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Tool, "{error}");
        let tools = Tools::at("/bin/sleep".into(), "/no/ffprobe".into());
        let error = ask(&tools, "1000", Duration::from_secs(1)).await.err().unwrap();
        assert_eq!(
            (error.kind(), error.to_string().contains("in 1 s")),
            (ErrorKind::TimedOut, true),
            "{error}"
        );
    }

    #[tokio::test]
    async fn error_names_the_program_that_cannot_start() {
        let error = capabilities(&Tools::at("/no/ffmpeg".into(), "/no/ffprobe".into())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tool);
        assert!(error.to_string().contains("`/no/ffmpeg`"), "{error}");
    }
}
