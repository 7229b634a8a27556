//! The hosts that inputs may come from: parses host patterns from the configuration and matches URLs against them.
//!
//! No pattern allows every host.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

/// One host, or all hosts below a domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPattern {
    text: String,
    /// In lower case, with internationalised names in ASCII form and IPv6 addresses in brackets.
    host: String,
    below: bool,
    /// `None` means the standard port of the URL's scheme.
    port: Option<u16>,
}

/// The error for a text that names no hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` names no host: write `media.example.com`, `*.example.com`, `10.0.0.7:8080` or `[::1]:8080`"
)]
pub struct ParseHostPatternError {
    text: String,
}

impl HostPattern {
    /// Whether the pattern covers the host and port of `url`. A pattern without a port means the scheme's own: 80 or
    /// 443.
    pub(crate) fn matches(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let host = host.trim_end_matches('.');
        let standard = if url.scheme() == "https" { 443 } else { 80 };
        let right_host = if self.below {
            host.strip_suffix(&self.host).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            host == self.host
        };
        right_host && url.port_or_known_default() == Some(self.port.unwrap_or(standard))
    }
}

impl FromStr for HostPattern {
    type Err = ParseHostPatternError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseHostPatternError { text: text.to_owned() };
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // A colon inside brackets belongs to the address.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, Some(port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?))
            }
            _ => (rest, None),
        };
        // Normalise the host in the same way as a job's URL. First refuse the other parts that a URL can have.
        if host.contains(['/', '@', '?', '#', '*', '\\', '%']) || host.contains(char::is_whitespace) {
            return Err(wrong());
        }
        let url = Url::parse(&format!("http://{host}/")).map_err(|_| wrong())?;
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        let is_address = host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
        if host.is_empty() || url.port().is_some() || (below && is_address) {
            return Err(wrong());
        }
        Ok(Self { text: text.to_owned(), host: host.to_owned(), below, port })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, url: &str) -> bool {
        pattern.parse::<HostPattern>().unwrap().matches(&Url::parse(url).unwrap())
    }

    #[test]
    fn host_matches_its_exact_name_only() {
        for url in
            ["https://media.example.com/a", "http://MEDIA.example.com:80/", "https://media.example.com./"]
        {
            assert!(allows("media.example.com", url), "{url}");
        }
        for url in [
            "https://example.com/",
            "https://a.media.example.com/",
            "https://media.example.com.evil.org/",
            "https://xmedia.example.com/",
            "https://media.example.com@evil.org/",
            "https://evil.org/media.example.com",
            "https://evil.org?media.example.com",
        ] {
            assert!(!allows("media.example.com", url), "{url}");
        }
    }

    #[test]
    fn star_matches_subdomains_but_not_the_domain() {
        assert!(allows("*.cdn.example.com", "https://a.cdn.example.com/x"));
        assert!(allows("*.cdn.example.com", "https://a.b.cdn.example.com/x"));
        for url in [
            "https://cdn.example.com/",
            "https://.cdn.example.com/",
            "https://evilcdn.example.com/",
            "https://a.cdn.example.com.evil.org/",
        ] {
            assert!(!allows("*.cdn.example.com", url), "{url}");
        }
    }

    #[test]
    fn port_is_the_schemes_own_or_the_named() {
        assert!(allows("h.example", "http://h.example/") && allows("h.example", "https://h.example/"));
        assert!(
            !allows("h.example", "http://h.example:8080/") && !allows("h.example", "https://h.example:80/")
        );
        assert!(
            allows("h.example:8080", "http://h.example:8080/")
                && !allows("h.example:8080", "http://h.example/")
        );
        assert!(allows("[::1]:81", "http://[::1]:81/") && !allows("[::1]:81", "http://[::2]:81/"));
        assert!(allows("[::1]", "http://[0:0::1]/") && allows("*.h.example:81", "http://a.h.example:81/"));
    }

    #[test]
    fn all_spellings_of_a_host_match() {
        assert!(allows("127.0.0.1", "http://0x7f.1/") && allows("127.0.0.1", "http://2130706433/"));
        assert!(allows("MÜNCHEN.example", "http://xn--mnchen-3ya.example/"));
    }

    #[test]
    fn texts_that_name_no_host_are_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*.*.com",
            "a.*.com",
            "http://h",
            "h/path",
            "user@h",
            "h:",
            "h:0",
            "h:70000",
            "h:x",
            "::1",
            "*.10.0.0.1",
            "*.[::1]",
            "h?x",
            "h#x",
            "a b",
        ] {
            let parsed = text.parse::<HostPattern>();
            assert!(parsed.is_err(), "{text}");
            assert!(parsed.unwrap_err().to_string().contains(&format!("`{text}`")));
        }
    }
}
