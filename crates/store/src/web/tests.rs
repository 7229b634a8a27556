//! Tests of web inputs: fetches from real servers on loopback that answer by a script.

mod redirects;
mod scripted_server;
mod transfers;

use std::path::PathBuf;

use super::*;
use crate::ErrorKind;
use scripted_server::{Answer, ScriptedServer};

/// A folder to fetch into.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("fetched")
    }

    /// Fetches `url` and returns the bytes. Fails the test if a failed transfer leaves a file.
    async fn fetch(&self, inputs: &WebInputs, url: &str) -> Result<Vec<u8>, Error> {
        let fetched = inputs.fetch(url, &self.file()).await;
        match fetched {
            Ok(fetched) => {
                let bytes = std::fs::read(self.file()).unwrap();
                assert_eq!(fetched.size_bytes, bytes.len() as u64);
                std::fs::remove_file(self.file()).unwrap();
                Ok(bytes)
            }
            Err(error) => {
                assert!(!self.file().exists(), "a failed transfer leaves nothing: {error}");
                Err(error)
            }
        }
    }
}

fn options(hosts: &[String]) -> WebOptions {
    WebOptions {
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        allow_private_addresses: true,
        ca_pem: None,
        limits: WebLimits::default(),
    }
}

/// Returns web inputs that may read from this server only.
fn inputs_from(server: &ScriptedServer) -> WebInputs {
    WebInputs::new(options(&[server.address().to_string()])).unwrap()
}

fn web_kind(error: &Error) -> WebErrorKind {
    match error.kind() {
        ErrorKind::Web(kind) => kind,
        other => panic!("{other:?}: {error}"),
    }
}

#[test]
fn web_is_off_until_a_host_is_named() {
    let error = WebInputs::default().check("https://h.example/x").unwrap_err();
    assert_eq!(web_kind(&error), WebErrorKind::Disallowed);
    let text = error.to_string();
    assert!(text.contains("host `h.example`") && text.contains("`hosts` of `[web_inputs]`"), "{text}");
}

#[test]
fn private_address_needs_permission_even_if_listed() {
    let hosts = ["127.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254"].map(str::to_owned);
    let (open, closed) = (options(&hosts), WebOptions { allow_private_addresses: false, ..options(&hosts) });
    let (open, closed) = (WebInputs::new(open).unwrap(), WebInputs::new(closed).unwrap());
    for url in ["http://127.0.0.1/x", "http://0x7f000001/x", "https://[::1]/", "http://[::ffff:a00:1]/"] {
        let error = closed.check(url).unwrap_err();
        assert_eq!(web_kind(&error), WebErrorKind::Disallowed, "{url}");
        assert!(error.to_string().contains("`allow_private_addresses`"), "{error}");
        open.check(url).unwrap();
    }
    assert!(open.check("http://169.254.169.254/latest/meta-data/").is_err());
}

#[test]
fn texts_that_are_not_web_urls_are_refused() {
    let inputs = WebInputs::new(options(&["h.example".to_owned()])).unwrap();
    for url in ["ftp://h.example/x", "file:///etc/passwd", "https://", "http://h.example:99999/", "h.example"]
    {
        assert!(inputs.check(url).is_err(), "{url}");
    }
    assert!(is_web_url("HTTPS://h/x") && !is_web_url("s3://h/http://x") && !is_web_url("http:x"));
}

#[test]
fn ca_file_without_certificates_is_refused() {
    let options =
        WebOptions { ca_pem: Some(b"no certificate".to_vec()), ..options(&["h.example".to_owned()]) };
    assert!(WebInputs::new(options).unwrap_err().to_string().contains("`ca_file`"));
}

#[test]
fn messages_do_not_contain_secrets() {
    let error = WebInputs::default().check("https://ann:pa55@h.example/x?token=t0k").unwrap_err();
    assert!(!error.to_string().contains("pa55") && !error.to_string().contains("t0k"), "{error}");
    let error = WebInputs::default().check("https://ann:pa55@h.example:bad/x").unwrap_err();
    assert!(!error.to_string().contains("pa55"), "{error}");
}
