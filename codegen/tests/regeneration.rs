//! Regenerating changes nothing, and a changed extract is noticed.

use abanico_codegen::{generate, workspace};

fn extract() -> String {
    std::fs::read_to_string(workspace().join("codegen/mediaconvert.json"))
        .expect("the extract is committed beside the code")
}

#[test]
fn does_regenerating_change_nothing() {
    for (path, text) in generate(&extract(), &workspace()).unwrap() {
        let stands = std::fs::read_to_string(workspace().join(path)).unwrap();
        assert!(stands == text, "`{path}` is out of date: run `cargo run -p abanico-codegen`");
    }
}

#[test]
fn does_a_changed_extract_change_the_types() {
    let changed = extract()
        .replace("\"HrdBufferSize\"", "\"HrdBufferLength\"")
        .replace("\"hrdBufferSize\"", "\"hrdBufferLength\"");
    let files = generate(&changed, &workspace()).unwrap();
    assert!(files.iter().any(|(_, text)| text.contains("hrd_buffer_length")));
    assert!(files.iter().any(|(_, text)| text.contains("\"hrdBufferLength\"")));
}
