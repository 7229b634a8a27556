//! Tests of `validate`: each test changes a valid job and checks the problems that are reported.

use serde_json::{Value, json};

use super::*;

mod rules;

fn job() -> Value {
    json!({
        "role": "arn:aws:iam::000000000000:role/r",
        "settings": {
            "inputs": [{"fileInput": "s3://in/a b.mp4"}],
            "outputGroups": [{
                "outputGroupSettings": {
                    "type": "FILE_GROUP_SETTINGS",
                    "fileGroupSettings": {"destination": "s3://out/a/"},
                },
                "outputs": [{
                    "containerSettings": {"container": "MP4"},
                    "videoDescription": {
                        "width": 1280,
                        "height": 720,
                        "codecSettings": {
                            "codec": "H_264",
                            "h264Settings": {"rateControlMode": "CBR", "bitrate": 4_500_000},
                        },
                    },
                }],
            }],
        },
    })
}

/// Sets the value at each pointer, whose parent must exist, and returns the problems.
fn problems_with(changes: &[(&str, Value)]) -> Vec<String> {
    let mut job = job();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match job.pointer_mut(parent).unwrap() {
            Value::Object(object) => drop(object.insert(key.to_owned(), value.clone())),
            other => panic!("{other} has no keys"),
        }
    }
    let outcome = validate(&job, "CreateJobRequest");
    outcome.err().map_or_else(Vec::new, |found| found.0.iter().map(ToString::to_string).collect())
}

const OUTPUT: &str = "/settings/outputGroups/0/outputs/0";

#[test]
fn valid_job_has_no_problems() {
    assert_eq!(problems_with(&[]), Vec::<String>::new());
}

#[test]
fn all_problems_are_reported_at_once() {
    let found = problems_with(&[
        ("/role", Value::Null),
        ("/settings/inputs", json!([])),
        ("/settings/outputGroups/0/outputs/0/containerSettings", Value::Null),
        ("/settings/outputGroups/0/outputs/0/videoDescription/width", json!(1281)),
    ]);
    assert_eq!(
        found,
        [
            "/: role is a required property".to_owned(),
            "/settings/inputs: Should have at least 1 items".to_owned(),
            format!("{OUTPUT}: containerSettings is a required property"),
            format!("{OUTPUT}/videoDescription/width: Should be a multiple of 2"),
        ]
    );
}

#[test]
fn empty_outputs_are_reported_like_the_service() {
    let found = problems_with(&[("/settings/outputGroups/0/outputs", json!([]))]);
    assert_eq!(found, ["/settings/outputGroups/0/outputs: Should have at least 1 items"]);
}

#[test]
fn several_outputs_need_a_name_modifier_each() {
    let outputs = json!([{"preset": "a"}, {"preset": "b", "nameModifier": "_b"}]);
    let found = problems_with(&[("/settings/outputGroups/0/outputs", outputs)]);
    assert_eq!(found, [format!("{OUTPUT}: nameModifier is a required property")]);
}

#[test]
fn each_rate_control_mode_requires_its_rate() {
    let at = format!("{OUTPUT}/videoDescription/codecSettings/h264Settings");
    for (mode, member) in [("CBR", "bitrate"), ("VBR", "bitrate"), ("QVBR", "maxBitrate")] {
        let found = problems_with(&[(&at, json!({"rateControlMode": mode}))]);
        assert_eq!(found, [format!("{at}: {member} is a required property")]);
    }
}

#[test]
fn ranges_enums_and_types_come_from_the_model() {
    let at = format!("{OUTPUT}/videoDescription");
    let found = problems_with(&[
        (&format!("{at}/sharpness"), json!(101)),
        (&format!("{at}/antiAlias"), json!("SOMETIMES")),
        (&format!("{at}/height"), json!("tall")),
    ]);
    assert_eq!(
        found,
        [
            format!("{at}/height: Should be an integer"),
            format!("{at}/sharpness: Should be less than or equal to 100"),
            format!("{at}/antiAlias: Should be equal to one of the allowed values in [DISABLED, ENABLED]"),
        ]
    );
}

#[test]
fn baseline_needs_cavlc() {
    let at = format!("{OUTPUT}/videoDescription/codecSettings/h264Settings");
    let settings = json!({"rateControlMode": "CBR", "bitrate": 1_000_000, "codecProfile": "BASELINE"});
    assert_eq!(problems_with(&[(&at, settings)]), [format!("{at}/entropyEncoding: Must be CAVLC")]);
}

#[test]
fn destination_must_be_an_s3_url() {
    let at = "/settings/outputGroups/0/outputGroupSettings/fileGroupSettings/destination";
    let found = problems_with(&[(at, json!("ftp://x"))]);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with(&format!("{at}: Should match pattern ")), "{found:?}");
}

#[test]
fn every_pattern_of_the_model_compiles() {
    for (name, shape) in crate::generated_tables::SHAPES {
        if let Shape::Text { pattern: Some(pattern), .. } = shape {
            // A word class outside of brackets could not be widened to other languages' letters.
            let widened = pattern.replace(r"\w", r"\w\x{80}-\x{10FFFF}");
            assert!(Regex::new(&widened).is_ok(), "{name}: {pattern} would let every text pass");
            let bare = pattern
                .match_indices(r"\w")
                .any(|(at, _)| pattern[..at].matches('[').count() <= pattern[..at].matches(']').count());
            assert!(!bare, "{name}: {pattern}");
        }
    }
}

#[test]
fn word_characters_are_those_of_every_language() {
    for text in ["Español", "日本語 2", "track_2", ""] {
        assert!(matches(r"^[\w\s]*$", text), "{text}");
    }
    for text in ["a–b", "a-b", "\u{1f600}"] {
        assert!(!matches(r"^[\w\s]*$", text), "{text}");
    }
    assert!(matches("^[a-z]*$", "abc") && !matches("^[a-z]*$", "é"));
}

/// Returns the only problem of a job with one change.
fn problem_with(pointer: &str, value: Value) -> String {
    let mut found = problems_with(&[(pointer, value)]);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn counts_are_limited() {
    let many = |count: usize, one: Value| Value::Array(vec![one; count]);
    let input = json!({"fileInput": "s3://in/a.mp4"});
    assert_eq!(problems_with(&[("/settings/inputs", many(150, input.clone()))]), Vec::<String>::new());
    assert_eq!(
        problem_with("/settings/inputs", many(151, input.clone())),
        "/settings/inputs: Should have at most 150 items"
    );
    let mut group = job().pointer("/settings/outputGroups/0").unwrap().clone();
    group["outputs"][0]["nameModifier"] = json!("_a");
    let output = group["outputs"][0].clone();
    group["outputs"] = many(100, output.clone());
    assert_eq!(problems_with(&[("/settings/outputGroups", many(2, group.clone()))]), Vec::<String>::new());
    group["outputs"] = many(101, output);
    assert_eq!(
        problem_with("/settings/outputGroups", many(2, group)),
        "/settings/outputGroups: Should have at most 200 outputs in all"
    );
    let clippings = many(1001, json!({"startTimecode": "00:00:00:00"}));
    assert_eq!(
        problem_with("/settings/inputs/0/inputClippings", clippings),
        "/settings/inputs/0/inputClippings: Should have at most 1000 items"
    );
    let selectors: Map<_, _> = (0..1001).map(|number| (number.to_string(), json!({}))).collect();
    assert_eq!(
        problem_with("/settings/inputs/0/audioSelectors", Value::Object(selectors)),
        "/settings/inputs/0/audioSelectors: Should have at most 1000 items"
    );
}

#[test]
fn number_of_values_and_problems_is_limited() {
    let deep = json!(vec![vec![0; 1000]; 100]);
    assert_eq!(problem_with("/settings/odd", deep), "/: Should have at most 100000 values in all");
    let wrong = vec![json!(17); 1000];
    assert_eq!(problems_with(&[("/settings/outputGroups", json!(wrong))]).len(), 100);
}

#[test]
fn values_are_counted_before_parsing() {
    for text in ["1", "[]", r#"{"a": [1, 2, {"b": null}], "c": "x, [y\"], {"}"#, r#"["\\", "\\\"", 3]"#, ""] {
        let counted = limits::count_values(text.as_bytes());
        let real = serde_json::from_str::<Value>(text).map_or(1, |value| count(&value));
        // An empty list counts its missing item.
        assert!(counted == real || counted == real + 1, "{text}: {counted} instead of {real}");
    }
    assert_eq!(limits::count_values(&[b','; 1000]), 1001);
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(object) => 1 + object.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

#[test]
fn texts_are_limited() {
    let destination = "/settings/outputGroups/0/outputGroupSettings/fileGroupSettings/destination";
    assert_eq!(
        problem_with(destination, json!(format!("s3://out/{}/", "x".repeat(8192)))),
        format!("{destination}: Should have at most 8192 characters")
    );
    assert_eq!(
        problem_with("/clientRequestToken", json!("x".repeat(257))),
        "/clientRequestToken: Should have at most 256 characters"
    );
    for (member, text) in [("jobTemplate", "a\u{7}b"), ("clientRequestToken", "a\nb"), ("queue", "a\0")] {
        let expected = format!("/{member}: Should not have control characters");
        assert_eq!(problem_with(&format!("/{member}"), json!(text)), expected);
    }
    assert_eq!(
        problem_with(&format!("{OUTPUT}/nameModifier"), json!("_a\n#EXT-X-KEY")),
        format!("{OUTPUT}/nameModifier: Should not have control characters")
    );
    // S3 allows control characters in keys, and triggers put keys into the metadata.
    let odd = [
        ("/settings/inputs/0/fileInput", json!("s3://in/a\nb.mp4")),
        ("/userMetadata", json!({"k": "a\nb"})),
    ];
    assert_eq!(problems_with(&odd), Vec::<String>::new());
}

#[test]
fn tags_and_metadata_have_their_limits() {
    let many = |count: usize| Value::Object((0..count).map(|n| (format!("k{n}"), json!("v"))).collect());
    assert_eq!(problems_with(&[("/tags", many(50)), ("/userMetadata", many(10))]), Vec::<String>::new());
    let longest = json!({"é".repeat(128): "é".repeat(256)});
    assert_eq!(
        problems_with(&[("/tags", longest.clone()), ("/userMetadata", longest)]),
        Vec::<String>::new()
    );
    for (member, value, what) in [
        ("tags", many(51), "/tags: Should have at most 50 items"),
        ("tags", json!({"": "v"}), "/tags: Should have keys of 1 to 128 characters"),
        ("tags", json!({"k".repeat(129): "v"}), "/tags: Should have keys of 1 to 128 characters"),
        ("tags", json!({"AWS:k": "v"}), "/tags: Should not have keys that begin with aws:"),
        ("tags", json!({"k": "v".repeat(257)}), "/tags/k: Should have at most 256 characters"),
        ("tags", json!({"k": "a\u{1b}b"}), "/tags/k: Should not have control characters"),
        ("userMetadata", many(11), "/userMetadata: Should have at most 10 items"),
        ("userMetadata", json!({"": "v"}), "/userMetadata: Should have keys of 1 to 128 characters"),
        (
            "userMetadata",
            json!({"k".repeat(129): "v"}),
            "/userMetadata: Should have keys of 1 to 128 characters",
        ),
        (
            "userMetadata",
            json!({"k": "é".repeat(257)}),
            "/userMetadata/k: Should have at most 256 characters",
        ),
        (
            "userMetadata",
            json!({"a\nb": "v"}),
            "/userMetadata: Should have keys of at most 256 characters without control characters",
        ),
    ] {
        assert_eq!(problem_with(&format!("/{member}"), value), what);
    }
    let name = validate(&json!({"name": "q".repeat(257)}), "CreateQueueRequest").unwrap_err();
    assert_eq!(name.to_string(), "/name: Should have at most 256 characters");
    let name = validate(&json!({"name": "q\n"}), "CreateQueueRequest").unwrap_err();
    assert_eq!(name.to_string(), "/name: Should not have control characters");
}

#[test]
fn unknown_values_are_named_with_the_known_ones() {
    let unknown = |settings: Value| unknown_value(&crate::parse::job_settings(settings).unwrap());
    let known = job()["settings"].take();
    assert_eq!(unknown(known), None);
    for (settings, told) in [
        (
            json!({"outputGroups": [{}, {"outputGroupSettings": {"type": "FILE_GROUP"}}]}),
            "/outputGroups/1/outputGroupSettings/type: type FILE_GROUP does not exist, only [HLS_GROUP_SETTINGS, ",
        ),
        (
            json!({"inputs": [{"audioSelectors": {"a/b": {"selectorType": "track"}}}]}),
            "/inputs/0/audioSelectors/a~1b/selectorType: selectorType track does not exist, only [PID, TRACK, ",
        ),
        (
            json!({"outputGroups": [{"outputGroupSettings": {"hlsGroupSettings": {"adMarkers": ["ELEMENTAL", "X"]}}}]}),
            "/outputGroups/0/outputGroupSettings/hlsGroupSettings/adMarkers/1: adMarkers X does not exist, only [",
        ),
    ] {
        let found = unknown(settings).unwrap().to_string();
        assert!(found.starts_with(told), "{found}");
    }
}
