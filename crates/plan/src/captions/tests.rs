//! Tests of the sources of captions and of the outputs made from them.

use abanico_captions::FontColour;
use serde_json::{Value, json};

use super::*;

fn description(destination: Value) -> CaptionDescription {
    serde_json::from_value(
        json!({"captionSelectorName": "Captions Selector 1", "destinationSettings": destination}),
    )
    .unwrap()
}

fn input(source: Value) -> Input {
    serde_json::from_value(json!({"captionSelectors": {"Captions Selector 1":
        {"languageCode": "SPA", "sourceSettings": source}}}))
    .unwrap()
}

fn file(url: &str, delta: i64, units: &str) -> Value {
    json!({"sourceType": "SRT", "fileSourceSettings":
        {"sourceFile": url, "timeDelta": delta, "timeDeltaUnits": units}})
}

fn clip(input: usize, start_ms: i64, length_ms: i64) -> Clip {
    let (start, length) = (ExactTime::from_millis(start_ms), ExactTime::from_millis(length_ms));
    Clip { input, start, length, ends_with_input: true }
}

#[test]
fn captions_are_timed_from_each_inputs_first_frame() {
    let inputs = [
        input(file("s3://b/1.srt", 5, "SECONDS")),
        input(json!({"sourceType": "NULL_SOURCE"})),
        input(file("s3://b/1.srt", -250, "MILLISECONDS")),
        Input::default(),
    ];
    let clips = [clip(0, 1500, 4000), clip(1, 0, 1000), clip(2, 0, 2000), clip(3, 0, 100)];
    let zeros = [ExactTime::from_millis(500), ExactTime::ZERO, ExactTime::ZERO, ExactTime::ZERO];
    let mut files = Vec::new();
    let sources = CaptionSources { inputs: &inputs, clips: &clips, first_pictures: &zeros };
    let made = parts(&description(json!({})), sources, &mut files, "/x").unwrap();
    assert_eq!(files, [CaptionFile { url: "s3://b/1.srt".to_owned(), format: CaptionFormat::SubRip }]);
    let told: Vec<_> =
        made.iter().map(|part| (part.file, part.delta.millis(), part.start.millis())).collect();
    assert_eq!(told, [(Some(0), 5000, 1000), (None, 0, 0), (Some(0), -250, 0), (None, 0, 0)]);
    assert_eq!(language(&description(json!({})), &inputs), Some("spa".to_owned()));
}

#[test]
fn missing_selectors_list_the_existing_ones() {
    let told = |inputs: &[Input]| {
        let clips = [clip(0, 0, 1000)];
        let sources = CaptionSources { inputs, clips: &clips, first_pictures: &[] };
        let made = parts(&description(json!({})), sources, &mut Vec::new(), "/d");
        made.unwrap_err().to_string()
    };
    let other: Input = serde_json::from_value(json!({"captionSelectors": {"Other": {}}})).unwrap();
    assert!(
        told(&[other])
            .contains("no input has the caption selector `Captions Selector 1`; existing selectors: Other")
    );
    let text = told(&[input(json!({"sourceType": "SCC"}))]);
    assert!(
        text.contains("captions from SCC are not supported") && text.contains("/inputs/0/captionSelectors/")
    );
    assert!(told(&[input(json!({"sourceType": "WEBVTT"}))]).contains("sourceFile is a required property"));
}

#[test]
fn unknown_caption_destinations_are_refused() {
    let of = |kind: &str| Destination::of(&description(json!({"destinationType": kind})), "/d");
    assert_eq!(of("BURN_IN").unwrap(), Destination::BurnIn);
    assert_eq!((of("SRT").unwrap(), of("WEBVTT").unwrap()), (Destination::Srt, Destination::WebVtt));
    assert!(of("TELETEXT").unwrap_err().to_string().contains("only [BURN_IN, SRT, WEBVTT]"));
    assert!(Destination::of(&description(json!({})), "/d").is_err());
    let merged = description(
        json!({"webvttDestinationSettings": {"stylePassthrough": "MERGE", "accessibility": "ENABLED"}}),
    );
    assert_eq!(passthrough(&merged, Destination::WebVtt), StylePassthrough::Enabled);
    assert_eq!(passthrough(&merged, Destination::Srt), StylePassthrough::Disabled);
    assert!(merges(&merged) && !merges(&description(json!({}))));
    assert!(is_accessible(&merged) && !is_accessible(&description(json!({}))));
}

#[test]
fn burn_in_style_follows_the_job() {
    let style = burn_in_style(
        &description(json!({"burninDestinationSettings": {"fontSize": 30, "fontColor": "HEX",
            "hexFontColor": "11223344", "outlineColor": "RED", "outlineSize": 3, "backgroundColor": "WHITE",
            "backgroundOpacity": 128, "shadowColor": "NONE", "shadowXOffset": -4, "alignment": "LEFT",
            "xPosition": 20, "yPosition": 40, "fallbackFont": "PROPORTIONAL_SERIF",
            "stylePassthrough": "ENABLED", "applyFontColor": "ALL_TEXT"}})),
        "/d",
    )
    .unwrap();
    assert_eq!(style.font_colour, FontColour::parse_hex("11223344").unwrap());
    assert_eq!(
        (style.font_size, style.outline_size, style.background_opacity),
        (Some(30), Some(3), Some(128))
    );
    assert_eq!((style.x_position, style.y_position, style.shadow_x_offset), (Some(20), Some(40), Some(-4)));
    assert_eq!(style.font_family.as_deref(), Some("Serif"));
    assert_eq!(style.style_passthrough, StylePassthrough::Enabled);
    let bad =
        description(json!({"burninDestinationSettings": {"fontColor": "HEX", "hexFontColor": "green"}}));
    let told = burn_in_style(&bad, "/d").unwrap_err().to_string();
    assert!(
        told.contains("/d/destinationSettings/burninDestinationSettings/hexFontColor")
            && told.contains("`green`")
    );
    assert_eq!(burn_in_style(&description(json!({})), "/d").unwrap(), BurnInStyle::default());
}
