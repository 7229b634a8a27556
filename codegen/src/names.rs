//! Turns AWS's member names and enum values into Rust field and variant names, unique within each type.

/// Rust keywords that are also names of members.
const KEYWORDS: [&str; 3] = ["type", "mod", "ref"];

/// Returns a member name in snake case; keywords get the prefix `r#`.
pub fn field(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| letters.get(before));
        let after = letters.get(index + 1);
        let starts_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() || after.is_some_and(|after| after.is_lowercase())
            });
        if starts_word {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    if KEYWORDS.contains(&snake.as_str()) { format!("r#{snake}") } else { snake }
}

/// Returns distinct variant names for the values of an enum, in their order.
pub fn variants(texts: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for text in texts {
        let mut name: String = text
            .split(|letter: char| !letter.is_alphanumeric())
            .map(|word| capitalised(&word.to_lowercase()))
            .collect();
        if name.starts_with(|first: char| first.is_ascii_digit())
            || name.is_empty()
            || name == "Other"
            || name == "Self"
        {
            name.insert(0, 'V');
        }
        while names.contains(&name) {
            name.push('_');
        }
        names.push(name);
    }
    names
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_splits_pascal_case_into_words() {
        let cases = [
            ("NumberBFramesBetweenReferenceFrames", "number_b_frames_between_reference_frames"),
            ("H264Settings", "h264_settings"),
            ("MinIInterval", "min_i_interval"),
            ("AudioPTSOffset", "audio_pts_offset"),
            ("Type", "r#type"),
        ];
        for (name, expected) in cases {
            assert_eq!(field(name), expected);
        }
    }

    #[test]
    fn enum_values_become_distinct_variants() {
        let texts = ["SINGLE_PASS_HQ", "2X", "H_264", "OTHER", "H264"].map(str::to_owned);
        assert_eq!(variants(&texts), ["SinglePassHq", "V2x", "H264", "VOther", "H264_"]);
    }
}
