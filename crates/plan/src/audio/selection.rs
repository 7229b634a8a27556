//! Selects the tracks of an input for an audio description, by the input's audio selectors. It never guesses:
//! a selector that names a missing track selects nothing.

use std::collections::BTreeMap;

use abanico_media::AudioTrack;
use abanico_model::generated::{
    AudioDefaultSelection, AudioDescription, AudioSelector, AudioSelectorGroup, AudioSelectorType,
};

use crate::setting::text;

/// The selectors of one input.
#[derive(Clone, Copy)]
pub(crate) struct Selectors<'a> {
    /// Selectors by name.
    pub single: &'a BTreeMap<String, AudioSelector>,
    /// Groups of selector names, by the group's name.
    pub groups: &'a BTreeMap<String, AudioSelectorGroup>,
}

impl<'a> Selectors<'a> {
    /// Returns the selectors of the description: the one that it names or the members of the group that it
    /// names, otherwise the one marked as default, otherwise the first. Empty if the input has no selectors.
    pub fn of(self, description: &AudioDescription) -> Vec<&'a AudioSelector> {
        let name = description.audio_source_name.as_ref();
        if let Some(group) = name.and_then(|name| self.groups.get(name)) {
            let names = group.audio_selector_names.iter().flatten();
            return names.filter_map(|name| self.single.get(name)).collect();
        }
        let named = name.and_then(|name| self.single.get(name));
        let marked =
            || self.single.values().find(|one| one.default_selection == Some(AudioDefaultSelection::Default));
        named.or_else(marked).or_else(|| self.single.values().next()).into_iter().collect()
    }
}

/// Returns the tracks that a selector names, in the order in which their channels are joined; none if one of
/// them is missing. Without a selector it returns the default track.
pub(crate) fn tracks<'a>(selector: Option<&AudioSelector>, all: &'a [AudioTrack]) -> Vec<&'a AudioTrack> {
    let Some(selector) = selector else { return default_track(all) };
    let found = match &selector.selector_type {
        Some(AudioSelectorType::Pid) => {
            let by_id = |pid: &i64| all.iter().find(|track| track.id.map(i64::from) == Some(*pid));
            selector.pids.iter().flatten().map(by_id).collect::<Option<Vec<_>>>()
        }
        Some(AudioSelectorType::LanguageCode) => {
            return all.iter().filter(|track| speaks(track, selector)).take(1).collect();
        }
        Some(AudioSelectorType::Stream) => {
            let by_index = |index: &i64| all.iter().find(|track| i64::from(track.stream_index) + 1 == *index);
            selector.streams.iter().flatten().map(by_index).collect()
        }
        None
        | Some(
            AudioSelectorType::Track
            | AudioSelectorType::HlsRenditionGroup
            | AudioSelectorType::AllPcm
            | AudioSelectorType::Other(_),
        ) => {
            let by_number = |number: &i64| all.get(usize::try_from(*number - 1).ok()?);
            let numbers: Vec<i64> = selector.tracks.iter().flatten().copied().collect();
            if numbers.is_empty() {
                return default_track(all);
            }
            numbers.iter().map(by_number).collect()
        }
    };
    found.unwrap_or_default()
}

/// Returns the track that players choose: of those that can be decoded, the one marked as the default. If none or several
/// are, commentaries and descriptions come last, and otherwise the file's order decides. Matroska marks every track as a
/// default unless the file says otherwise.
fn default_track(all: &[AudioTrack]) -> Vec<&AudioTrack> {
    let order = |track: &&AudioTrack| (track.is_undecodable, !track.is_default, track.is_aside);
    all.iter().min_by_key(order).into_iter().collect()
}

/// Returns a message about sound that was passed over because it cannot be decoded: what the selector would have taken
/// otherwise, if it leaves the choice open and took another track.
pub(crate) fn passed_over(
    selector: Option<&AudioSelector>,
    all: &[AudioTrack],
    taken: &AudioTrack,
) -> Option<String> {
    let is_open = selector.is_none_or(|selector| {
        use AudioSelectorType::{LanguageCode, Pid, Stream};
        !matches!(selector.selector_type, Some(Pid | LanguageCode | Stream))
            && selector.tracks.as_deref().unwrap_or_default().is_empty()
    });
    let first = all.iter().min_by_key(|track| (!track.is_default, track.is_aside))?;
    (is_open && first.is_undecodable && first.stream_index != taken.stream_index).then(|| {
        let (lost, taken) = (named(first, all), named(taken, all));
        format!("{lost} cannot be decoded, so {taken} is taken instead")
    })
}

/// Names a track by its number among the audio tracks, its codec and its language.
pub(crate) fn named(track: &AudioTrack, all: &[AudioTrack]) -> String {
    let number = all.iter().take_while(|other| other.stream_index != track.stream_index).count() + 1;
    let codec = match track.codec.as_str() {
        "" | "none" | "unknown" => "of an unknown codec".to_owned(),
        codec => format!("`{codec}`"),
    };
    let language = track.language.as_ref().map(|language| format!(", {language}")).unwrap_or_default();
    format!("audio track {number} ({codec}{language})")
}

/// Returns whether a track has the selector's language. AWS writes ISO 639-2 codes in capitals. Where a
/// language has two codes, files may use either.
fn speaks(track: &AudioTrack, selector: &AudioSelector) -> bool {
    let wanted = selector.custom_language_code.as_deref().or_else(|| text(&selector.language_code));
    let (Some(wanted), Some(spoken)) = (wanted, track.language.as_deref()) else { return false };
    terminological(&wanted.to_lowercase()) == terminological(&spoken.to_lowercase())
}

/// Maps both ISO 639-2 codes of a language to the terminological one.
fn terminological(code: &str) -> String {
    let pairs = [
        ("alb", "sqi"),
        ("arm", "hye"),
        ("baq", "eus"),
        ("bur", "mya"),
        ("chi", "zho"),
        ("cze", "ces"),
        ("dut", "nld"),
        ("fre", "fra"),
        ("geo", "kat"),
        ("ger", "deu"),
        ("gre", "ell"),
        ("ice", "isl"),
        ("mac", "mkd"),
        ("mao", "mri"),
        ("may", "msa"),
        ("per", "fas"),
        ("rum", "ron"),
        ("slo", "slk"),
        ("tib", "bod"),
        ("wel", "cym"),
    ];
    pairs.iter().find(|(other, _)| *other == code).map_or(code, |(_, own)| own).to_owned()
}

/// Returns a message for the user about a selector that found nothing.
pub(crate) fn nothing_found(selector: Option<&AudioSelector>, tracks: usize) -> String {
    if tracks == 0 {
        return "the input has no audio, so the outputs have none".to_owned();
    }
    let has = format!("the input has {tracks} audio track(s)");
    let what = selector.map(|selector| match &selector.selector_type {
        Some(AudioSelectorType::Pid) => {
            format!("not all of the PIDs {:?}", selector.pids.as_deref().unwrap_or_default())
        }
        Some(AudioSelectorType::LanguageCode) => {
            let code = selector.custom_language_code.as_deref().or_else(|| text(&selector.language_code));
            format!("none in the language {}", code.unwrap_or("that the job leaves out"))
        }
        Some(AudioSelectorType::Stream) => {
            format!("not all streams {:?}", selector.streams.as_deref().unwrap_or_default())
        }
        None
        | Some(
            AudioSelectorType::Track
            | AudioSelectorType::HlsRenditionGroup
            | AudioSelectorType::AllPcm
            | AudioSelectorType::Other(_),
        ) => {
            let numbers = selector.tracks.as_deref().unwrap_or_default();
            let missing =
                numbers.iter().find(|number| usize::try_from(**number).is_ok_and(|one| one > tracks));
            format!("none with number {}", missing.copied().unwrap_or_default())
        }
    });
    format!(
        "{has} but {}: outputs with this selector have no audio",
        what.unwrap_or_else(|| "none to use".to_owned())
    )
}

#[cfg(test)]
mod tests {
    use abanico_media::ExactTime;
    use serde_json::{Value, json};

    use super::*;

    fn track(stream_index: u32, language: &str, is_default: bool) -> AudioTrack {
        AudioTrack {
            stream_index,
            codec: "aac".into(),
            channels: 2,
            channel_layout: None,
            sample_rate_hz: 48_000,
            start: ExactTime::ZERO,
            end: ExactTime::from_millis(1000),
            language: Some(language.to_owned()),
            packet: ExactTime::ZERO,
            is_jittery: false,
            is_default,
            is_aside: false,
            is_undecodable: false,
            forms: Vec::new(),
            id: Some(0x100 + stream_index),
        }
    }

    fn found(selector: Value) -> Vec<u32> {
        let all = [track(1, "eng", false), track(2, "fre", true), track(3, "spa", false)];
        let selector: AudioSelector = serde_json::from_value(selector).unwrap();
        tracks(Some(&selector), &all).iter().map(|track| track.stream_index).collect()
    }

    #[test]
    fn each_kind_of_selector_finds_its_tracks() {
        assert_eq!(found(json!({"selectorType": "TRACK", "tracks": [3, 1]})), [3, 1]);
        assert_eq!(found(json!({"selectorType": "PID", "pids": [0x102]})), [2]);
        assert_eq!(found(json!({"selectorType": "STREAM", "streams": [2]})), [1]);
        assert_eq!(found(json!({"selectorType": "LANGUAGE_CODE", "languageCode": "FRA"})), [2]);
        assert_eq!(found(json!({"selectorType": "LANGUAGE_CODE", "customLanguageCode": "spa"})), [3]);
        assert_eq!(found(json!({})), [2], "the file's default track");
    }

    #[test]
    fn commentaries_are_the_default_only_if_marked() {
        let chosen = |marks: [(bool, bool); 3]| {
            let all: Vec<AudioTrack> = marks
                .iter()
                .zip(1..)
                .map(|((is_default, is_aside), index)| AudioTrack {
                    is_aside: *is_aside,
                    ..track(index, "eng", *is_default)
                })
                .collect();
            default_track(&all)[0].stream_index
        };
        let (film, aside) = ((false, false), (false, true));
        assert_eq!(chosen([aside, film, film]), 2, "none is marked as default");
        assert_eq!(chosen([(true, true), (true, false), (true, false)]), 2, "all are");
        assert_eq!(chosen([film, (true, true), film]), 2, "the commentary alone is");
        assert_eq!(chosen([film, film, (true, false)]), 3);
        assert_eq!(chosen([aside, aside, aside]), 1);
    }

    #[test]
    fn sound_that_cannot_be_decoded_is_passed_over_and_named() {
        let mut all = [track(1, "eng", true), track(2, "fre", false), track(3, "spa", false)];
        all[0].is_undecodable = true;
        all[0].codec = "unknown".into();
        let taken = default_track(&all)[0];
        assert_eq!(taken.stream_index, 2);
        assert_eq!(
            passed_over(None, &all, taken).as_deref(),
            Some(
                "audio track 1 (of an unknown codec, eng) cannot be decoded, so audio track 2 (`aac`, fre) is taken \
                 instead"
            )
        );
        let asked: AudioSelector = serde_json::from_value(json!({"tracks": [2]})).unwrap();
        assert_eq!(passed_over(Some(&asked), &all, taken), None, "the job chose");
        all[0].is_undecodable = false;
        assert_eq!(passed_over(None, &all, &all[0]), None);
    }

    #[test]
    fn selectors_of_missing_tracks_find_nothing() {
        for selector in [
            json!({"tracks": [1, 4]}),
            json!({"selectorType": "PID", "pids": [1]}),
            json!({"selectorType": "LANGUAGE_CODE", "languageCode": "DEU"}),
        ] {
            assert_eq!(found(selector.clone()), Vec::<u32>::new(), "{selector}");
            let selector: AudioSelector = serde_json::from_value(selector).unwrap();
            let why = nothing_found(Some(&selector), 3);
            assert!(
                why.contains("none with number 4") || why.contains("[1]") || why.contains("DEU"),
                "{why}"
            );
        }
    }

    #[test]
    fn groups_expand_and_unknown_names_use_the_default() {
        let single: BTreeMap<String, AudioSelector> = serde_json::from_value(
            json!({"a": {"tracks": [1]}, "b": {"tracks": [2], "defaultSelection": "DEFAULT"}, "c": {"tracks": [3]}}),
        )
        .unwrap();
        let groups: BTreeMap<String, AudioSelectorGroup> =
            serde_json::from_value(json!({"g": {"audioSelectorNames": ["c", "a"]}})).unwrap();
        let selectors = Selectors { single: &single, groups: &groups };
        let numbers = |name: &str| -> Vec<i64> {
            let description: AudioDescription =
                serde_json::from_value(json!({"audioSourceName": name})).unwrap();
            selectors.of(&description).iter().flat_map(|one| one.tracks.clone().unwrap()).collect()
        };
        assert_eq!((numbers("g"), numbers("a"), numbers("x")), (vec![3, 1], vec![1], vec![2]));
    }
}
