//! Checks that the generated files are up to date and that a change in the extract changes them.

use abanico_codegen::{generate, generate_s3, workspace};

fn extract() -> String {
    read("codegen/mediaconvert.json")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).expect("the extract is committed beside the code")
}

#[test]
fn regenerating_changes_nothing() {
    let mut files = generate(&extract(), &workspace()).unwrap();
    files.push(generate_s3(&read("codegen/s3.json"), &workspace()).unwrap());
    for (path, text) in files {
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

#[test]
fn new_operation_of_s3_changes_its_table() {
    let changed = read("codegen/s3.json").replace("renameObject", "renameTheObject");
    assert!(generate_s3(&changed, &workspace()).unwrap().1.contains("\"renameTheObject\""));
}
