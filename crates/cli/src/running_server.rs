//! Finds the server that has a data folder open, and asks it: a command must not change the folder beside it.
//!
//! A server writes its address into the folder and keeps that file locked while it runs. The address in a file that
//! nobody has locked is not believed: another program may listen there by now, and would get the secret key. Nothing
//! here starts or stops a server.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::credentials;
use crate::failure::{Hinted, WORK_FAILED};

/// Name of the file in the data folder.
const FILE: &str = "server.json";
/// How long the server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to do what it is asked.
const WORK_TIMEOUT: Duration = Duration::from_secs(600);

/// What a server says of itself.
#[derive(Serialize, Deserialize)]
struct Note {
    /// The address that it listens on.
    address: SocketAddr,
}

/// The file with a running server's address. It is removed when this is dropped.
pub struct Announcement {
    path: PathBuf,
    /// Locked for as long as the server runs.
    _file: File,
}

impl Announcement {
    /// Writes the address into the data folder.
    ///
    /// # Errors
    /// Fails if the file cannot be written, or another process has it locked.
    pub fn write(data: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        let path = data.join(FILE);
        let text = serde_json::to_string(&Note { address })?;
        let written = || -> std::io::Result<File> {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            file.try_lock()?;
            file.set_len(0)?;
            file.write_all(text.as_bytes())?;
            Ok(file)
        };
        let _file = written().with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self { path, _file })
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // An old one does no harm: nobody has it locked.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A server that has a data folder open.
pub struct RunningServer {
    endpoint: String,
    secret: String,
    client: reqwest::Client,
}

impl RunningServer {
    /// Finds the server that uses the data folder.
    ///
    /// # Errors
    /// Fails if the folder does not tell its address, or its key pair cannot be read.
    pub fn of(data: &Path) -> anyhow::Result<Self> {
        let Some(Note { address }) = note(&data.join(FILE)) else {
            let message = format!(
                "another process uses `{}`, and does not say where it can be reached",
                data.display()
            );
            return Err(Hinted::new(WORK_FAILED, message, "stop it, then run the command again").into());
        };
        // The client is not built without a provider, though it never uses TLS.
        abanico_store::tls::use_ring();
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        let secret = credentials::load(data)?.secret_access_key;
        Ok(Self { endpoint: format!("http://{}", reachable(address)), secret, client })
    }

    /// Sends a GET request and returns the answer.
    ///
    /// # Errors
    /// Fails if the server does not answer, or refuses. The message is the server's.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(self.client.get(format!("{}{path}", self.endpoint))).await
    }

    /// Sends a POST request without a body and returns the answer.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(&self, path: &str) -> anyhow::Result<Value> {
        self.send(self.client.post(format!("{}{path}", self.endpoint)).timeout(WORK_TIMEOUT)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let answer = request.bearer_auth(&self.secret).send().await;
        let answer = answer.with_context(|| format!("the server at {} does not answer", self.endpoint))?;
        let (status, text) = (answer.status(), answer.text().await?);
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        let message = body.get("message").and_then(Value::as_str).unwrap_or(&text);
        let hint = match status.as_u16() {
            401 | 403 => "if the server's key pair is in its environment, set the same variables here",
            _ => "the message is the server's; its log says more",
        };
        Err(Hinted::new(WORK_FAILED, format!("the server refuses ({status}): {message}"), hint).into())
    }
}

/// Reads the note of a server that runs. `None` if there is none, nobody has it locked, or it is damaged.
fn note(path: &Path) -> Option<Note> {
    let mut file = File::open(path).ok()?;
    if !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Returns an address that reaches a server which listens on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_on_all_addresses_is_reached_here() {
        for (address, here) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("10.0.0.7:1", "10.0.0.7:1"),
        ] {
            assert_eq!(reachable(address.parse().unwrap()), here.parse().unwrap());
        }
    }

    #[test]
    fn announcement_lasts_as_long_as_the_server() {
        let folder = tempfile::tempdir().unwrap();
        assert!(RunningServer::of(folder.path()).is_err());
        let announcement = Announcement::write(folder.path(), "0.0.0.0:8".parse().unwrap()).unwrap();
        assert_eq!(RunningServer::of(folder.path()).unwrap().endpoint, "http://127.0.0.1:8");
        assert!(Announcement::write(folder.path(), "0.0.0.0:9".parse().unwrap()).is_err());
        let path = folder.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        drop(announcement);
        assert!(!path.exists());
        std::fs::write(&path, &text).unwrap();
        assert!(RunningServer::of(folder.path()).is_err(), "a killed server's file is not believed");
        let _announcement = Announcement::write(folder.path(), "127.0.0.1:9".parse().unwrap()).unwrap();
        assert_eq!(RunningServer::of(folder.path()).unwrap().endpoint, "http://127.0.0.1:9");
        std::fs::write(&path, "{").unwrap();
        assert!(RunningServer::of(folder.path()).is_err(), "a damaged file is as good as none");
    }
}
