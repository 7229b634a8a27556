//! Removes secrets from URLs for logs and messages: passwords, and parameter values that may be signatures or tokens.

/// Replaces a secret.
const REDACTED: &str = "REDACTED";
/// A parameter value with this many characters or more may be a token, whatever the parameter's name.
const LONG_VALUE: usize = 20;
/// Substrings of the names of parameters that carry credentials.
const SECRET_NAMES: [&str; 13] = [
    "sig", "token", "key", "auth", "pass", "pwd", "secret", "cred", "policy", "hdn", "session", "code", "jwt",
];

/// Returns the URL in a form that is safe to show: without user name and password, and with `REDACTED` for parameters
/// that look like signatures or tokens. URLs with a scheme other than `http` or `https` stay unchanged.
pub fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| is_web(scheme)) else {
        return url.to_owned();
    };
    // Extra slashes before the host mean nothing.
    let rest = rest.trim_start_matches(['/', '\\']);
    let authority_end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let user = if host.len() < authority.len() { format!("{REDACTED}@") } else { String::new() };
    let (path, fragment) = path.split_once('#').map_or((path, None), |(path, rest)| (path, Some(rest)));
    let fragment = if fragment.is_some() { format!("#{REDACTED}") } else { String::new() };
    let query = path.split_once('?');
    let path = query.map_or(path, |(path, _)| path);
    let query = query.map(|(_, query)| format!("?{}", shown_query(query))).unwrap_or_default();
    format!("{scheme}://{user}{host}{path}{query}{fragment}")
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

fn shown_query(query: &str) -> String {
    let shown: Vec<String> = query.split('&').map(shown_parameter).collect();
    shown.join("&")
}

fn shown_parameter(parameter: &str) -> String {
    let (name, value) = match parameter.split_once('=') {
        Some((name, value)) => (name, value),
        // The whole query is one token.
        None if parameter.len() >= LONG_VALUE => return REDACTED.to_owned(),
        None => return parameter.to_owned(),
    };
    let lower = name.to_ascii_lowercase();
    let is_secret = value.len() >= LONG_VALUE || SECRET_NAMES.iter().any(|part| lower.contains(part));
    // The name itself may be the token, if `=` is only its padding.
    let name = if name.len() >= 2 * LONG_VALUE { REDACTED } else { name };
    format!("{name}={}", if is_secret { REDACTED } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_redacted() {
        for (url, shown) in [
            ("https://ann:pa55@h.example/a.mp4", "https://REDACTED@h.example/a.mp4"),
            ("http://ann@h.example:81", "http://REDACTED@h.example:81"),
            ("HTTPS://a:b@c@h.example/x", "HTTPS://REDACTED@h.example/x"),
            ("http:///ann:pa55@h.example/x", "http://REDACTED@h.example/x"),
            ("http://\\ann:pa55@h.example/x", "http://REDACTED@h.example/x"),
            ("http://ann:pa55@h.example?x=1", "http://REDACTED@h.example?x=1"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }

    #[test]
    fn parameters_that_look_like_signatures_are_redacted() {
        let signed =
            "https://h.example/a.mp4?X-Amz-Signature=abc&X-Amz-Credential=me&id=7&Policy=p&Expires=9";
        let shown = "https://h.example/a.mp4?X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED&id=7&Policy=REDACTED&Expires=9";
        assert_eq!(without_secrets(signed), shown);
        assert_eq!(without_secrets("http://h/a?v=0123456789abcdefghij"), "http://h/a?v=REDACTED");
        assert_eq!(without_secrets("http://h/a?0123456789abcdefghij"), "http://h/a?REDACTED");
        assert_eq!(without_secrets("http://h/a?sas#tok"), "http://h/a?sas#REDACTED");
        assert!(!without_secrets(&format!("http://h/a?{}==", "Zm9v".repeat(20))).contains("Zm9v"));
    }

    #[test]
    fn plain_urls_and_other_schemes_stay() {
        for url in ["https://h.example/a%20b.mp4?id=7", "s3://b/k@x?token=1", "file:///a@b", "nonsense", ""] {
            assert_eq!(without_secrets(url), url);
        }
    }
}
