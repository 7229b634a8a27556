//! Keeps browsers from running what is stored: everything that S3 answers is data, and the console is on the same
//! origin.
//!
//! Only headers change, never a body. Players, fonts, scripts' own requests and SDKs see the same objects as before.

use http::header::{
    ACCEPT, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response};

/// Documents get an origin of their own, without scripts, forms and plugins. It does nothing to other uses of an object.
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox");
/// Uses in which a browser shows an object as a document.
const AS_DOCUMENT: [&str; 5] = ["document", "iframe", "frame", "embed", "object"];
/// Types without scripts that browsers may show in a window, beside images, audio and video.
const PASSIVE: [&str; 5] =
    ["text/plain", "text/csv", "text/vtt", "application/vnd.apple.mpegurl", "application/x-mpegurl"];

/// Whether a browser wants to show the answer as a document. Without `Sec-Fetch-Dest`, which old browsers do not send,
/// the types that it accepts tell.
pub(crate) fn is_navigation(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-dest"), text("sec-fetch-mode")) {
        (_, Some("navigate")) => true,
        (Some(used_as), _) => AS_DOCUMENT.contains(&used_as),
        _ => text(ACCEPT.as_str()).is_some_and(|types| types.contains("text/html")),
    }
}

/// Sets what keeps a browser from running an answer. Goes last: nothing that a client stored or signed undoes it.
pub(crate) fn disarm<B>(response: &mut Response<B>, is_navigation: bool) {
    let is_success = response.status().is_success();
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, SANDBOX);
    if is_navigation && is_success && !is_passive(headers) {
        let stored =
            headers.get(CONTENT_DISPOSITION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let value = HeaderValue::from_str(&as_attachment(stored));
        headers.insert(CONTENT_DISPOSITION, value.unwrap_or(HeaderValue::from_static("attachment")));
    }
}

fn is_passive(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(first), None) = (types.next(), types.next()) else { return false };
    let kind = first.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    // Several types in one value: browsers differ in which they take.
    if kind.contains(',') || kind.ends_with("+xml") {
        return false;
    }
    let family = kind.split('/').next().unwrap_or_default();
    matches!(family, "image" | "audio" | "video") || PASSIVE.contains(&kind.as_str())
}

/// Makes a disposition an attachment and keeps the file name that it has.
fn as_attachment(disposition: &str) -> String {
    match disposition.split_once(';') {
        Some((_, parameters)) => format!("attachment;{parameters}"),
        None => "attachment".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn navigation_is_told_from_other_uses() {
        for (given, expected) in [
            (&[("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate")][..], true),
            (&[("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "navigate")], true),
            (&[("sec-fetch-dest", "embed"), ("sec-fetch-mode", "no-cors")], true),
            (&[("sec-fetch-dest", "object")], true),
            (&[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")], true),
            (&[("sec-fetch-dest", "video"), ("sec-fetch-mode", "no-cors")], false),
            (&[("sec-fetch-dest", "empty"), ("sec-fetch-mode", "cors"), ("accept", "text/html")], false),
            (&[("sec-fetch-dest", "image"), ("accept", "image/svg+xml")], false),
            (&[("sec-fetch-dest", "font")], false),
            (&[("accept", "*/*")], false),
            (&[], false),
        ] {
            assert_eq!(is_navigation(&headers(given)), expected, "{given:?}");
        }
    }

    #[test]
    fn active_types_become_downloads_in_a_window_only() {
        for (kind, is_shown) in [
            ("text/html", false),
            ("TEXT/HTML; charset=utf-8", false),
            ("application/xhtml+xml", false),
            ("image/svg+xml", false),
            ("text/xml", false),
            ("application/xml", false),
            ("application/dash+xml", false),
            ("application/pdf", false),
            ("text/javascript", false),
            ("multipart/x-mixed-replace", false),
            ("image/png, text/html", false),
            ("", false),
            ("video/mp4", true),
            ("image/jpeg", true),
            ("audio/mp4", true),
            ("text/plain; charset=utf-8", true),
            ("application/vnd.apple.mpegurl", true),
        ] {
            for (navigation, stored) in [(true, "inline"), (true, ""), (false, "inline")] {
                let mut response = Response::new(());
                response
                    .headers_mut()
                    .extend(headers(&[("content-type", kind), ("content-disposition", stored)]));
                disarm(&mut response, navigation);
                let told = response.headers()[CONTENT_DISPOSITION].to_str().unwrap();
                assert_eq!(told == "attachment", navigation && !is_shown, "{kind} {navigation} {told}");
                assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], "sandbox");
                assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
            }
        }
    }

    #[test]
    fn file_name_stays() {
        assert_eq!(as_attachment("inline; filename=\"a.html\""), "attachment; filename=\"a.html\"");
        assert_eq!(as_attachment("attachment"), "attachment");
    }
}
