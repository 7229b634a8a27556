//! Expands the variables in names such as `film_$h$p`. Text that is not one of MediaConvert's variables stays
//! unchanged.
//!
//! MediaConvert's user guide lists the variables. `%0N` before the closing `$` pads a number with zeros
//! (`$h%04$` → `0720`).

use time::OffsetDateTime;

/// Values of the variables in names.
#[derive(Clone, Default, Debug)]
pub(crate) struct NameFacts {
    /// Start of the job in milliseconds since 1970 (UTC).
    pub started_epoch_ms: i64,
    /// Name of the first input without its extension.
    pub input_name: String,
    /// Values that only outputs have; `None` in a destination, whose output variables stay unchanged.
    pub output: Option<OutputNameFacts>,
}

/// Values that only outputs have. Numbers that an output does not have are `None`.
#[derive(Clone, Default, Debug)]
pub(crate) struct OutputNameFacts {
    /// Video bit rate in kilobits per second, the maximum for QVBR.
    pub video_kbps: Option<u64>,
    /// Audio bit rate in kilobits per second.
    pub audio_kbps: Option<u64>,
    /// Width in pixels.
    pub width: Option<u64>,
    /// Height in pixels.
    pub height: Option<u64>,
    /// Frames per second, rounded down.
    pub rate: Option<u64>,
    /// Extension of the file.
    pub extension: String,
}

/// Replaces variables by their values.
pub(crate) fn expand(text: &str, facts: &NameFacts) -> String {
    let (mut made, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find('$') {
        made.push_str(&rest[..start]);
        let after = &rest[start + 1..];
        // Text between two dollar signs that looks like a variable counts as one, even an unknown one.
        let variable = after.find('$').map(|end| (&after[..end], &after[end + 1..]));
        let is_name = |name: &str| name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '%');
        match variable.filter(|(name, _)| is_name(name)) {
            Some((name, following)) => {
                made.push_str(&value(name, facts).unwrap_or_else(|| format!("${name}$")));
                rest = following;
            }
            None => {
                made.push('$');
                rest = after;
            }
        }
    }
    made.push_str(rest);
    made
}

fn value(variable: &str, facts: &NameFacts) -> Option<String> {
    let (name, width) = match variable.split_once("%0") {
        Some((name, digits)) => (name, digits.parse::<usize>().ok().filter(|width| *width <= 20)?),
        None => (variable, 0),
    };
    let number = |number: u64| format!("{number:0width$}");
    let output = facts.output.as_ref();
    match name {
        // Two dollar signs stand for one.
        "" if width == 0 => Some("$".to_owned()),
        "dt" => Some(format!("{}T{}", date(facts), time(facts))),
        "d" => Some(date(facts)),
        "t" => Some(time(facts)),
        "fn" => Some(facts.input_name.clone()),
        "ex" => output.map(|output| output.extension.clone()),
        "rv" => output?.video_kbps.map(number),
        "ra" => output?.audio_kbps.map(number),
        "rc" => {
            let output = output?;
            let both = output.video_kbps.unwrap_or(0) + output.audio_kbps.unwrap_or(0);
            (both > 0).then(|| number(both))
        }
        "w" => output?.width.map(number),
        "h" => output?.height.map(number),
        "f" => output?.rate.map(number),
        _ => None,
    }
}

fn moment(facts: &NameFacts) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(facts.started_epoch_ms.div_euclid(1000))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn date(facts: &NameFacts) -> String {
    let moment = moment(facts);
    format!("{:04}{:02}{:02}", moment.year(), u8::from(moment.month()), moment.day())
}

fn time(facts: &NameFacts) -> String {
    let moment = moment(facts);
    format!("{:02}{:02}{:02}", moment.hour(), moment.minute(), moment.second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> NameFacts {
        NameFacts {
            // 2017-09-14 11:22:33 UTC.
            started_epoch_ms: 1_505_388_153_500,
            input_name: "día".to_owned(),
            output: Some(OutputNameFacts {
                video_kbps: Some(4500),
                audio_kbps: Some(96),
                width: Some(1280),
                height: Some(720),
                rate: Some(29),
                extension: "mp4".to_owned(),
            }),
        }
    }

    #[test]
    fn each_variable_has_its_value() {
        let cases = [
            ("_$dt$", "_20170914T112233"),
            ("$d$-$t$", "20170914-112233"),
            ("$rv$_$ra$_$rc$", "4500_96_4596"),
            ("$w$x$h%04$@$f$", "1280x0720@29"),
            ("$fn$.$ex$", "día.mp4"),
            ("5$$", "5$"),
            ("plain", "plain"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &facts()), expected, "{text}");
        }
    }

    #[test]
    fn unknown_variables_stay_unchanged() {
        for text in ["$W$", "$x", "$h%0a$", "a$b$c", "$h%099$"] {
            assert_eq!(expand(text, &facts()), text);
        }
        let destination = NameFacts { output: None, ..facts() };
        assert_eq!(expand("$fn$/$h$/$d$", &destination), "día/$h$/20170914");
        let silent = NameFacts { output: Some(OutputNameFacts::default()), ..facts() };
        assert_eq!(expand("$ra$$rv$", &silent), "$ra$$rv$");
    }
}
