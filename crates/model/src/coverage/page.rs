//! Generates `docs/SETTINGS.md`, the page of all settings, from the coverage table and AWS's model.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{State, leads_somewhere, state};
use crate::shape::Shape;

/// Number of leaves of `JobSettings` in each state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Leaves for which every value takes effect.
    pub honoured: usize,
    /// Leaves for which some values take effect and others are refused.
    pub partly: usize,
    /// Leaves that are accepted but have no visible effect.
    pub harmless: usize,
    /// Leaves that are refused.
    pub refused: usize,
}

impl Counts {
    /// Returns the number of all leaves.
    #[must_use]
    pub fn total(&self) -> usize {
        self.honoured + self.partly + self.harmless + self.refused
    }
}

/// Counts the leaves in each state.
#[must_use]
pub fn counts() -> Counts {
    let mut counts = Counts::default();
    for path in leaves() {
        match state(&path) {
            State::Honoured => counts.honoured += 1,
            State::Only(_) | State::OnlyBecause(..) | State::OnlyNumber(..) => counts.partly += 1,
            State::Harmless(_) => counts.harmless += 1,
            State::Advised(_) | State::Refused => counts.refused += 1,
        }
    }
    counts
}

/// Returns the page as Markdown.
#[must_use]
pub fn page() -> String {
    let counts = counts();
    let mut text = format!(
        "# Settings\n\nWhat abanico does with each of the {} settings of a MediaConvert job. `make goldens` generates \
         this page from the table that jobs are checked against (`crates/model/src/coverage/table.rs`); a test fails when \
         it is out of date.\n\n| state | settings | meaning |\n| --- | ---: | --- |\n\
         | honoured | {} | every value takes effect |\n\
         | some values | {} | the listed values take effect; a job with any other value is refused |\n\
         | harmless | {} | accepted, but has no effect that a viewer could notice, for the reason given |\n\
         | refused | {} | a job that sets it is refused, and the error names it |\n",
        counts.total(),
        counts.honoured,
        counts.partly,
        counts.harmless,
        counts.refused
    );
    let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut refused_whole: Vec<String> = Vec::new();
    for path in leaves() {
        let (above, member) = path.rsplit_once('/').unwrap_or(("", &path));
        if let Some(whole) = refused_structure(above) {
            if !refused_whole.contains(&whole) {
                refused_whole.push(whole);
            }
            continue;
        }
        sections.entry(above.to_owned()).or_default().push(row(member, state(&path)));
    }
    for (above, rows) in sections {
        let title = if above.is_empty() { "(job)".to_owned() } else { above };
        let _ = write!(text, "\n## `{title}`\n\n| member | state | remark |\n| --- | --- | --- |\n");
        rows.iter().for_each(|row| text.push_str(row));
    }
    text.push_str("\n## Structures refused as a whole\n\n");
    refused_whole.sort();
    refused_whole.iter().for_each(|path| {
        let _ = writeln!(text, "- `{path}`");
    });
    text
}

fn row(member: &str, state: State) -> String {
    match state {
        State::Honoured => format!("| `{member}` | honoured | |\n"),
        State::Only(values) => format!("| `{member}` | some values | {} |\n", values.join(", ")),
        State::OnlyBecause(values, why) => {
            format!("| `{member}` | some values | {}: {why} |\n", values.join(", "))
        }
        State::OnlyNumber(number, why) => format!("| `{member}` | some values | {number}: {why} |\n"),
        State::Harmless(why) => format!("| `{member}` | harmless | {why} |\n"),
        State::Advised(why) => format!("| `{member}` | refused | {why} |\n"),
        State::Refused => format!("| `{member}` | refused | |\n"),
    }
}

/// Returns the outermost structure on the path `above` that has no accepted member.
fn refused_structure(above: &str) -> Option<String> {
    let mut outer = String::new();
    for part in above.split('/').filter(|part| !part.is_empty()) {
        if !outer.is_empty() {
            outer.push('/');
        }
        outer.push_str(part);
        if matches!(state(&outer), State::Refused) && !leads_somewhere(&outer) {
            return Some(outer);
        }
    }
    None
}

/// Returns the paths of all leaves of `JobSettings`, in the form that [`state`] takes. No shape in it contains itself.
fn leaves() -> Vec<String> {
    let mut found = Vec::new();
    collect("JobSettings", "", &mut found);
    found
}

fn collect(shape: &str, path: &str, found: &mut Vec<String>) {
    match Shape::named(shape) {
        Some(Shape::Structure { members, .. }) => {
            for member in *members {
                let below =
                    if path.is_empty() { member.name.to_owned() } else { format!("{path}/{}", member.name) };
                collect(member.shape, &below, found);
            }
        }
        Some(Shape::List { item, .. }) => collect(item, path, found),
        Some(Shape::Map { value }) => collect(value, &format!("{path}/*"), found),
        _ => found.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/SETTINGS.md");

    #[test]
    fn settings_page_is_up_to_date() {
        if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
            std::fs::write(PAGE, page()).unwrap();
        }
        let stored = std::fs::read_to_string(PAGE).unwrap_or_default();
        assert!(stored == page(), "docs/SETTINGS.md is out of date: run `make goldens`");
    }

    #[test]
    fn each_leaf_is_counted_once() {
        assert_eq!(counts().total(), leaves().len());
        assert!(counts().honoured > 150 && counts().refused > 300, "{:?}", counts());
    }

    /// Members that jobs in 36 public repositories set. At least half of the repositories set those in the first group,
    /// or the simplest pipeline needs them. A tenth to a half of the repositories set those in the second.
    const USED: [(&str, &[&str]); 2] = [
        (
            "in half of all jobs",
            &[
                "inputs/fileInput",
                "inputs/timecodeSource",
                "inputs/audioSelectors/*/defaultSelection",
                "inputs/audioSelectors/*/offset",
                "inputs/audioSelectors/*/programSelection",
                "inputs/audioSelectors/*/tracks",
                "inputs/videoSelector/colorSpace",
                "inputs/videoSelector/rotate",
                "inputs/filterEnable",
                "inputs/filterStrength",
                "inputs/deblockFilter",
                "inputs/denoiseFilter",
                "inputs/psiControl",
                "timecodeConfig/source",
                "adAvailOffset",
                "outputGroups/name",
                "outputGroups/customName",
                "outputGroups/outputGroupSettings/type",
                "outputGroups/outputGroupSettings/fileGroupSettings/destination",
                "outputGroups/outputGroupSettings/hlsGroupSettings/destination",
                "outputGroups/outputGroupSettings/hlsGroupSettings/segmentLength",
                "outputGroups/outputGroupSettings/hlsGroupSettings/minSegmentLength",
                "outputGroups/outputs/nameModifier",
                "outputGroups/outputs/extension",
                "outputGroups/outputs/preset",
                "outputGroups/outputs/containerSettings/container",
                "outputGroups/outputs/videoDescription/width",
                "outputGroups/outputs/videoDescription/height",
                "outputGroups/outputs/videoDescription/scalingBehavior",
                "outputGroups/outputs/videoDescription/sharpness",
                "outputGroups/outputs/videoDescription/antiAlias",
                "outputGroups/outputs/videoDescription/afdSignaling",
                "outputGroups/outputs/videoDescription/respondToAfd",
                "outputGroups/outputs/videoDescription/timecodeInsertion",
                "outputGroups/outputs/videoDescription/dropFrameTimecode",
                "outputGroups/outputs/videoDescription/colorMetadata",
                "outputGroups/outputs/videoDescription/codecSettings/codec",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/rateControlMode",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/bitrate",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/maxBitrate",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/qvbrSettings/qvbrQualityLevel",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/codecProfile",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/codecLevel",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/gopSize",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/gopSizeUnits",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/numberBFramesBetweenReferenceFrames",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/numberReferenceFrames",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/framerateControl",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/framerateNumerator",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/framerateDenominator",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/sceneChangeDetect",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/qualityTuningLevel",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/parControl",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/entropyEncoding",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/interlaceMode",
                "outputGroups/outputs/audioDescriptions/audioSourceName",
                "outputGroups/outputs/audioDescriptions/audioTypeControl",
                "outputGroups/outputs/audioDescriptions/languageCodeControl",
                "outputGroups/outputs/audioDescriptions/codecSettings/codec",
                "outputGroups/outputs/audioDescriptions/codecSettings/aacSettings/bitrate",
                "outputGroups/outputs/audioDescriptions/codecSettings/aacSettings/sampleRate",
                "outputGroups/outputs/audioDescriptions/codecSettings/aacSettings/codingMode",
                "outputGroups/outputs/audioDescriptions/codecSettings/aacSettings/rateControlMode",
                "outputGroups/outputs/audioDescriptions/codecSettings/aacSettings/codecProfile",
            ],
        ),
        (
            "in a tenth to a half",
            &[
                "outputGroups/outputs/videoDescription/codecSettings/frameCaptureSettings/framerateNumerator",
                "outputGroups/outputs/videoDescription/codecSettings/frameCaptureSettings/framerateDenominator",
                "outputGroups/outputs/videoDescription/codecSettings/frameCaptureSettings/maxCaptures",
                "outputGroups/outputs/videoDescription/codecSettings/frameCaptureSettings/quality",
                "outputGroups/outputs/containerSettings/m3u8Settings/pmtPid",
                "outputGroups/outputs/containerSettings/m3u8Settings/videoPid",
                "outputGroups/outputs/containerSettings/m3u8Settings/audioPids",
                "outputGroups/outputs/containerSettings/m3u8Settings/pcrControl",
                "outputGroups/outputGroupSettings/hlsGroupSettings/manifestDurationFormat",
                "outputGroups/outputGroupSettings/hlsGroupSettings/segmentControl",
                "outputGroups/outputGroupSettings/hlsGroupSettings/directoryStructure",
                "outputGroups/outputGroupSettings/hlsGroupSettings/outputSelection",
                "outputGroups/outputGroupSettings/hlsGroupSettings/streamInfResolution",
                "outputGroups/outputGroupSettings/hlsGroupSettings/clientCache",
                "outputGroups/outputGroupSettings/hlsGroupSettings/manifestCompression",
                "outputGroups/outputGroupSettings/hlsGroupSettings/programDateTime",
                "outputGroups/outputGroupSettings/hlsGroupSettings/codecSpecification",
                "outputGroups/outputs/outputSettings/hlsSettings/segmentModifier",
                "outputGroups/outputs/outputSettings/hlsSettings/audioGroupId",
                "inputs/inputClippings/startTimecode",
                "inputs/inputClippings/endTimecode",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/hrdBufferSize",
                "outputGroups/outputs/videoDescription/codecSettings/h264Settings/dynamicSubGop",
                "outputGroups/outputGroupSettings/fileGroupSettings/destinationSettings/s3Settings/accessControl/cannedAcl",
                "outputGroups/outputGroupSettings/fileGroupSettings/destinationSettings/s3Settings/storageClass",
                "outputGroups/outputGroupSettings/fileGroupSettings/destinationSettings/s3Settings/encryption/encryptionType",
                "outputGroups/outputGroupSettings/dashIsoGroupSettings/destination",
                "outputGroups/outputGroupSettings/dashIsoGroupSettings/segmentLength",
                "outputGroups/outputs/videoDescription/codecSettings/h265Settings/rateControlMode",
            ],
        ),
    ];

    #[test]
    fn most_settings_of_real_jobs_are_accepted() {
        let all = leaves();
        let taken = |path: &str| !matches!(state(path), State::Refused | State::Advised(_));
        for (how_often, paths) in USED {
            for path in paths {
                assert!(all.iter().any(|leaf| leaf == path), "{path} is not a setting");
            }
            let missing: Vec<_> = paths.iter().filter(|path| !taken(path)).collect();
            assert!(missing.len() * 4 <= paths.len(), "{how_often}: {missing:?}");
        }
        assert!(
            USED[0].1.iter().all(|path| taken(path)),
            "every setting in half of all jobs must be accepted"
        );
    }
}
