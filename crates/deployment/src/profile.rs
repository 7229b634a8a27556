//! Reads one profile of AWS's shared configuration files, `~/.aws/config` and `~/.aws/credentials`.
//!
//! AWS documents their format in "Configuration and credential file settings". This code never writes them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use abanico_aws::Credentials;

use crate::credentials::variable;

/// The settings of a profile; empty if neither file has it.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Profile {
    name: String,
    is_named: bool,
    settings: BTreeMap<String, String>,
}

impl Profile {
    /// Reads the profile `name`, or the default one. A file that cannot be read counts as empty.
    pub fn read(name: Option<&str>) -> Self {
        let config = text_of("AWS_CONFIG_FILE", "config");
        let credentials = text_of("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        Self::parse(name.unwrap_or("default"), name.is_some(), &config, &credentials)
    }

    /// Finds the profile in the text of both files. The credentials file takes precedence.
    pub(crate) fn parse(name: &str, is_named: bool, config: &str, credentials: &str) -> Self {
        let in_config = |section: &str| match section.strip_prefix("profile") {
            Some(rest) if rest.starts_with([' ', '\t']) => rest.trim() == name,
            _ => section == name && name == "default",
        };
        let mut settings = section_settings(config, in_config);
        settings.extend(section_settings(credentials, |section| section == name));
        Self { name: name.to_owned(), is_named, settings }
    }

    /// Returns the profile's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the user named the profile, rather than leaving it at the default.
    pub fn is_named(&self) -> bool {
        self.is_named
    }

    /// Returns the setting with this name, which must be in lower case.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns the profile's own keys. A profile with a role has none: other credentials have to assume the role.
    pub fn keys(&self) -> Option<Credentials> {
        if self.setting("role_arn").is_some() {
            return None;
        }
        Some(Credentials {
            access_key_id: self.setting("aws_access_key_id")?.to_owned(),
            secret_access_key: self.setting("aws_secret_access_key")?.to_owned(),
            session_token: self.setting("aws_session_token").map(str::to_owned),
        })
    }
}

fn text_of(override_variable: &str, file: &str) -> String {
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".aws").join(file));
    let path = variable(override_variable).map(PathBuf::from).or_else(home);
    path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
}

/// Returns the settings of all sections whose name `is_wanted` accepts. Indented lines belong to nested settings, such
/// as those of `s3`, and are skipped. A comment reads like a setting whose name nobody asks for.
fn section_settings(text: &str, is_wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let (mut settings, mut is_inside) = (BTreeMap::new(), false);
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            continue;
        }
        if let Some(section) = line.trim().strip_prefix('[') {
            is_inside = section.split(']').next().is_some_and(|section| is_wanted(section.trim()));
        } else if let Some((name, value)) = line.split_once('=').filter(|_| is_inside) {
            settings.insert(name.trim().to_lowercase(), without_comment(value).to_owned());
        }
    }
    settings
}

/// Cuts off the comment after a value. It begins with white space and `#` or `;`.
fn without_comment(value: &str) -> &str {
    let marks = [" #", " ;", "\t#", "\t;"];
    let end = marks.iter().filter_map(|mark| value.find(mark)).min().unwrap_or(value.len());
    value[..end].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
# mine
[default]
region = eu-west-1 # Dublin
s3 =
  region = wrong
# region = commented-out
; region = commented-out
aws_access_key_id = lower-precedence
[profile work]
Region=us-east-2
role_arn = arn:aws:iam::1:role/x
[work]
region = not-this-one
[ profile  spaced ]
region = x
";
    const CREDENTIALS: &str = "\
[default]
aws_access_key_id = A
aws_secret_access_key = S/+=x
[work]
aws_access_key_id = W
aws_secret_access_key = W
[temporary]
aws_access_key_id = T
aws_secret_access_key = T
aws_session_token = token
";

    #[test]
    fn profile_has_settings_of_both_files() {
        let profile = Profile::parse("default", false, CONFIG, CREDENTIALS);
        assert_eq!(profile.setting("region"), Some("eu-west-1"));
        let keys = profile.keys().unwrap();
        assert_eq!((keys.access_key_id.as_str(), keys.secret_access_key.as_str()), ("A", "S/+=x"));
        assert_eq!(keys.session_token, None);
        assert!(!profile.is_named());
        let temporary = Profile::parse("temporary", true, CONFIG, CREDENTIALS).keys().unwrap();
        assert_eq!(temporary.session_token.as_deref(), Some("token"));
    }

    #[test]
    fn named_profiles_have_a_prefix_in_the_config_file_only() {
        let profile = Profile::parse("work", true, CONFIG, CREDENTIALS);
        assert_eq!(profile.setting("region"), Some("us-east-2"));
        assert!(profile.is_named());
        assert_eq!(Profile::parse("spaced", true, CONFIG, "").setting("region"), Some("x"));
        let prefixed = Profile::parse("default", false, "[profile default]\nregion = x\n", "");
        assert_eq!(prefixed.setting("region"), Some("x"));
        let credentials = "[profile work]\nregion = x\n";
        assert_eq!(Profile::parse("work", true, "", credentials).setting("region"), None);
    }

    #[test]
    fn roles_and_missing_profiles_have_no_keys() {
        assert!(Profile::parse("work", true, CONFIG, CREDENTIALS).keys().is_none());
        assert!(Profile::parse("absent", true, CONFIG, CREDENTIALS).keys().is_none());
    }

    #[test]
    fn comments_and_empty_values_are_not_settings() {
        for line in ["x # y", "x ; y", "x\t# y", "x\t; y", " x \t", "x"] {
            let text = format!("[default]\nregion = {line}\n");
            assert_eq!(Profile::parse("default", false, &text, "").setting("region"), Some("x"), "{line:?}");
        }
        let marks = Profile::parse("default", false, "[default]\nregion = a#b;c\n", "");
        assert_eq!(marks.setting("region"), Some("a#b;c"), "a mark within a word begins no comment");
        for text in ["[default]\nregion =\n", "[default]\nregion = # x\n", "[default]\nregion\n"] {
            assert_eq!(Profile::parse("default", false, text, "").setting("region"), None, "{text:?}");
        }
    }
}
