//! Checks that the generated files are up to date and that a change in the extract changes them.

use abanico_codegen::{generate, workspace};

fn extract() -> String {
    std::fs::read_to_string(workspace().join("codegen/mediaconvert.json"))
        .expect("the extract is committed beside the code")
}

#[test]
fn regenerating_changes_nothing() {
    for (path, text) in generate(&extract(), &workspace()).unwrap() {
        let stands = std::fs::read_to_string(workspace().join(path)).unwrap();
        assert!(stands == text, "`{path}` is out of date: run `cargo run -p abanico-codegen`");
    }
}

#[test]
fn changed_extract_changes_the_types() {
    let changed = extract()
        .replace("\"HrdBufferSize\"", "\"HrdBufferLength\"")
        .replace("\"hrdBufferSize\"", "\"hrdBufferLength\"");
    let files = generate(&changed, &workspace()).unwrap();
    assert!(files.iter().any(|(_, text)| text.contains("hrd_buffer_length")));
    assert!(files.iter().any(|(_, text)| text.contains("\"hrdBufferLength\"")));
}
